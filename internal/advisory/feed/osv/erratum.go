package osv

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
)

// almalinux judges an erratum of AlmaLinux, which lists binary packages.
func (j *judgement) almalinux() { j.update("almalinux", false) }

// rocky judges an erratum of Rocky Linux, which lists source packages
// (resf/distro-tools, apollo/server/routes/api_osv.py).
func (j *judgement) rocky() { j.update("rocky", true) }

// update judges an erratum. The vulnerabilities that it fixes are listed as
// related, in newer records as upstream, in some as aliases, which they are not.
func (j *judgement) update(distribution string, source bool) {
	j.erratum = true
	rec := j.record
	vulnerabilities := cves(rec.aliases, rec.upstream, rec.related)
	if len(vulnerabilities) == 0 {
		vulnerabilities = []string{rec.id}
	}
	// Updates that mend other things or add some are no concern of ours:
	// ALBA and ALEA, RLBA and RLEA, beside ALSA and RLSA.
	security := vulnerabilities[0] != rec.id || len(rec.id) > 2 && strings.HasPrefix(rec.id[2:], "SA-")
	streams := rec.streams()
	j.advisories = slices.Grow(j.advisories, min(len(vulnerabilities)*len(rec.affected), maxStatements))
	for i := range rec.affected {
		a := &rec.affected[i]
		release, ok := j.belongs(a)
		if !ok || !security {
			continue
		}
		release, _, _ = strings.Cut(release, ".") // advisories speak of the major release
		if !digits(release) {
			j.unplaced(a)
			continue
		}
		list, ok := j.ranges(a)
		if !ok {
			continue
		}
		base := advisory.Advisory{
			Ecosystem: distribution + ":" + release, Package: a.name, Source: source,
			Severity: first(rec.updateSeverity(), word(rec.severity)),
		}
		for _, v := range list {
			v.fixed = a.withEpoch(v.fixed)
			modules := []string{""}
			if modular(v.fixed) || modular(v.last) {
				modules = streams
			}
			for _, base.Module = range modules {
				j.state(base, vulnerabilities, []interval{v})
			}
		}
	}
}

// modular reports the version of a module's package, whose release has
// "module+el8" in Rocky Linux, "module_el8" in AlmaLinux.
func modular(version string) bool {
	_, after, ok := strings.Cut(version, ".module")
	return ok && (strings.HasPrefix(after, "+el") || strings.HasPrefix(after, "_el"))
}

// stream finds "mariadb:10.3" in "Important: mariadb:10.3 and mariadb-devel:10.3
// security update", and "httpd:2.4" in "Important: httpd:2.4/mod_http2 security update".
var stream = regexp.MustCompile(`(?:^|\s)([a-z0-9][A-Za-z0-9._+-]*:[A-Za-z0-9][A-Za-z0-9._+-]*)(?:/\S*)?(?:\s|$)`)

// streams are those of the modules that an erratum's summary names, one or two.
// Some name none: then it is not known which of its modules' streams is meant.
func (rec *record) streams() []string {
	var streams []string
	summary := strings.ReplaceAll(rec.summary, rec.id, "")
	for _, match := range stream.FindAllStringSubmatch(strings.ReplaceAll(summary, " ", "  "), -1) {
		if !slices.Contains(streams, match[1]) {
			streams = append(streams, match[1])
		}
	}
	const most = 4
	if len(streams) == 0 || len(streams) > most {
		return []string{advisory.AnyModule}
	}
	return streams
}

// severityWords finds "Important: krb5 security update" and "php:8.0 security update (Important)".
var severityWords = regexp.MustCompile(`^([A-Z][a-z]+): |\(([A-Z][a-z]+)\)$`)

// updateSeverity is the grade in an erratum's summary, as Red Hat gives it.
func (rec *record) updateSeverity() advisory.Severity {
	match := severityWords.FindStringSubmatch(rec.summary)
	if match == nil {
		return advisory.Unknown
	}
	return word(match[1] + match[2])
}

var purlEpoch = regexp.MustCompile(`[?&]epoch=([1-9][0-9]*)(?:&|$)`)

// withEpoch adds the epoch, which older records of Rocky Linux have in the
// package URL alone, to a version.
func (a *affected) withEpoch(version string) string {
	if version == "" || strings.Contains(version, ":") || a.purl == "" {
		return version
	}
	if match := purlEpoch.FindStringSubmatch(a.purl); match != nil {
		return match[1] + ":" + version
	}
	return version
}
