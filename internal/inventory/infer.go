package inventory

import (
	"regexp"
	"strings"
)

// MadeBy reports whether a distribution may have made the packages of the
// operating system that there are.
func (img Image) MadeBy(d Distribution) bool {
	for _, p := range img.Packages {
		if OfSystem(p.Type) && !d.Makes(p.Type) {
			return false
		}
	}
	return true
}

// releasePackages are packages whose version is that of the release.
var releasePackages = map[string]struct{ id, version string }{
	"alpine-release":     {"alpine", `^(\d+\.\d+)\.`},
	"alpine-base":        {"alpine", `^(\d+\.\d+)\.`},
	"almalinux-release":  {"almalinux", `^(\d+)\.`},
	"azurelinux-release": {"azurelinux", `^(\d+\.\d+)-`},
	"centos-release":     {"centos", `^(\d+)[-.]`},
	"mariner-release":    {"mariner", `^(\d+\.\d+)-`},
	"oraclelinux-release": {
		"ol", `^(?:\d+:)?(\d+)\.`,
	},
	"photon-release":        {"photon", `^(\d+\.\d+)-`},
	"redhat-release":        {"rhel", `^(\d+)\.`},
	"redhat-release-server": {"rhel", `^(\d+)\.`},
	"rocky-release":         {"rocky", `^(\d+)\.`},
	"system-release":        {"amzn", `^(?:\d+:)?(2|20\d\d)[-.]`},
}

// releaseMarks are the endings by which distributions tell the builds of their
// releases apart; the group is the release.
var releaseMarks = map[string][]struct {
	id   string
	mark *regexp.Regexp
}{
	"deb": {
		{"ubuntu", regexp.MustCompile(`(?:ubuntu|~)[\d.]*?(\d\d\.(?:04|10))(?:\.\d+)?$`)},
		{"debian", regexp.MustCompile(`[+~]deb(\d+)u\d+(?:\+b\d+)?$`)},
	},
	"rpm": {
		{"amzn", regexp.MustCompile(`\.amzn(2|20\d\d)(?:\.|$)`)},
		{"azurelinux", regexp.MustCompile(`\.azl(\d+)$`)},
		{"fedora", regexp.MustCompile(`\.fc(\d+)$`)},
		{"photon", regexp.MustCompile(`\.ph(\d+)$`)},
		{"rhel", regexp.MustCompile(`\.el(\d+)(?:_\d+)?(?:\.|$)`)},
	},
}

// InferDistribution tells a distribution by the packages of the operating
// system: by the one whose version is the release's, else by the list of apk's
// repositories or by the endings of versions ("+deb12u1", ".el9"). ok is false where nothing tells it, or where
// the endings of two releases are about as many: those of the release before
// may be left over from an upgrade.
func (img Image) InferDistribution() (d Distribution, ok bool) {
	votes := make(map[Distribution]int)
	named := make(map[Distribution]bool)
	for _, p := range img.Packages {
		if !OfSystem(p.Type) {
			continue
		}
		if release, known := releasePackages[p.Name]; known && PackageType(release.id) == p.Type {
			if found := regexp.MustCompile(release.version).FindStringSubmatch(p.Version); found != nil {
				version := found[1]
				if release.id == "alpine" {
					version = "v" + version
				}
				named[Distribution{ID: release.id, Version: version}] = true
			}
		}
		version := p.Version
		if p.SourceVersion != "" {
			version = p.SourceVersion
		}
		for _, m := range releaseMarks[p.Type] {
			found := m.mark.FindStringSubmatch(version)
			if found == nil {
				continue
			}
			release := found[1]
			if (m.id == "azurelinux" || m.id == "photon") && !strings.Contains(release, ".") {
				release += ".0"
			}
			votes[Distribution{ID: m.id, Version: release}]++
			break
		}
	}
	if len(named) == 1 {
		for d = range named {
			return d, img.MadeBy(d)
		}
	}
	if len(named) > 1 {
		return Distribution{}, false
	}
	if d := img.Listed; d.ID != "" && img.OfSystem() && img.MadeBy(d) {
		return d, true
	}
	most, next := 0, 0
	for candidate, n := range votes {
		switch {
		case n > most:
			d, most, next = candidate, n, most
		case n > next:
			next = n
		}
	}
	return d, most > 2*next && img.MadeBy(d)
}
