package redhat

import (
	"slices"
	"strings"
)

// cpe is a name of the Common Platform Enumeration by which Red Hat calls a
// product, https://redhatproductsecurity.github.io/security-data-guidelines/cpe/:
// "cpe:/a:redhat:openshift:4.12::el8".
type cpe struct {
	// part is "o" or "a"; edition is a channel ("appstream") or the release of
	// RHEL that the product is for ("el8").
	part, vendor, product, version, update, edition string
}

// parseCPE reads a name in the form of version 2.2 or 2.3.
func parseCPE(s string) (cpe, bool) {
	const longest = 200
	s = strings.ToLower(strings.TrimSpace(s))
	rest, old := strings.CutPrefix(s, "cpe:/")
	if !old {
		var current bool
		if rest, current = strings.CutPrefix(s, "cpe:2.3:"); !current {
			return cpe{}, false
		}
	}
	if len(s) > longest || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return cpe{}, false
	}
	fields := append(strings.Split(rest, ":"), make([]string, 6)...)
	for i, field := range fields {
		if field == "*" || field == "-" {
			fields[i] = ""
		}
	}
	c := cpe{part: fields[0], vendor: fields[1], product: fields[2], version: fields[3], update: fields[4], edition: fields[5]}
	if len(c.part) != 1 || c.vendor == "" || c.product == "" {
		return cpe{}, false
	}
	return c, true
}

func (c cpe) String() string {
	s := "cpe:/" + strings.Join([]string{c.part, c.vendor, c.product, c.version, c.update, c.edition}, ":")
	return strings.TrimRight(s, ":")
}

// mainstream reports a product whose packages every installation of a release
// of RHEL may have: the release itself, whatever its channel, and the extras of
// RHEL 7 and before, which came with every subscription.
func (c cpe) mainstream() bool {
	return c.vendor == "redhat" && c.version != "" &&
		(c.product == "enterprise_linux" || c.product == "rhel_extras" || c.product == "rhel_extras_rt")
}

// extended reports a stream of a minor release of RHEL that is kept longer than
// the release: rhel_eus:9.2, enterprise_linux_eus:10.0, rhel_els:7.
func (c cpe) extended() bool {
	rest, ok := strings.CutPrefix(c.product, "rhel_")
	if !ok {
		if rest, ok = strings.CutPrefix(c.product, "enterprise_linux_"); !ok {
			return false
		}
	}
	kind, _, _ := strings.Cut(rest, "_")
	return c.vendor == "redhat" && c.version != "" && slices.Contains([]string{"eus", "aus", "tus", "e4s", "els", "mission"}, kind)
}

// release is the distribution of a mainstream product or an extended stream.
// RHEL 10 and later have minor releases in the names of the mainstream, too.
func (c cpe) release() string {
	major, _, _ := strings.Cut(c.version, ".")
	return "rhel:" + major
}

// ecosystem is what statements on the product are kept under:
//
//   - "rhel:9" for the mainstream of RHEL 9;
//   - the name without its channel, and with the part "o", for an extended
//     stream: "cpe:/a:redhat:rhel_eus:9.2::appstream" and
//     "cpe:/o:redhat:rhel_eus:9.2::baseos" are "cpe:/o:redhat:rhel_eus:9.2".
//     Red Hat's guidance for scanners is to compare no more than that: channels,
//     and whether they are o or a, are accidents of how updates are published;
//   - the name as it is printed, in lower case and the form of version 2.2, for
//     everything else, where the edition says for which RHEL it is built.
func (c cpe) ecosystem() string {
	switch {
	case c.mainstream():
		return c.release()
	case c.extended():
		return cpe{part: "o", vendor: c.vendor, product: c.product, version: c.version}.String()
	}
	return c.String()
}

// applicable are the ecosystems that hold for a package of the product, as a
// repository names it. Statements on what is not fixed name less than the
// product: the major version, not the RHEL that it is for.
func (c cpe) applicable() []string {
	if c.mainstream() || c.extended() {
		return []string{c.ecosystem()}
	}
	var list []string
	for {
		list = append(list, c.String(), cpe{part: c.part, vendor: c.vendor, product: c.product, version: c.version}.String())
		if c.version == "" {
			break
		}
		end := strings.LastIndexByte(c.version, '.')
		c.version, c.update = c.version[:max(end, 0)], ""
	}
	slices.Sort(list)
	return slices.Compact(list)
}
