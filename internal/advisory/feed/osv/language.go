package osv

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
)

// language judges a record on packages of a language.
func (j *judgement) language() {
	rec := j.record
	vulnerabilities := cves([]string{rec.id}, rec.aliases)
	if len(vulnerabilities) == 0 {
		vulnerabilities = []string{rec.id}
	}
	for i := range rec.affected {
		a := &rec.affected[i]
		if _, ok := j.belongs(a); !ok {
			continue
		}
		list, ok := j.ranges(a)
		if !ok {
			continue
		}
		// OSV.dev lists the versions that lie in the ranges beside them. Where
		// there are no ranges the list is all there is, and where a package is
		// malicious it says what the ranges do not.
		if len(list) == 0 || rec.malicious() {
			list = append(list, j.listed(a)...)
		}
		name := a.name
		if j.ecosystem.spell != nil {
			name = j.ecosystem.spell(name)
		}
		j.state(advisory.Advisory{
			Ecosystem: j.ecosystem.key, Package: name, Severity: rec.languageSeverity(a), Note: rec.languageNote(a),
		}, vulnerabilities, list)
	}
}

// malicious reports a record on a package that was made, or taken over, to do
// harm (https://github.com/ossf/malicious-packages).
func (rec *record) malicious() bool { return strings.HasPrefix(rec.id, "MAL-") }

// languageSeverity is the publisher's grade. Records on malicious packages have
// none, yet all say that a machine which ever had one is lost.
func (rec *record) languageSeverity(a *affected) advisory.Severity {
	switch {
	case rec.malicious():
		return advisory.Critical
	case a.informational == "unsound": // memory may be corrupted, if a caller is careless
		if len(rec.grades)+len(a.grades) == 0 {
			return advisory.Low
		}
	case a.informational != "": // "unmaintained", "notice": no vulnerability is known
		return advisory.Negligible
	}
	return first(word(a.severity), word(rec.severity))
}

// languageNote is what limits an entry, in the publisher's words: RustSec's kind
// of notice, the systems that alone are affected, that nobody at Go reviewed the
// record, and versions that are no Go module's ("custom_ranges"), which a range
// from 0 without an end stands in for.
func (rec *record) languageNote(a *affected) string {
	var systems, outside, review string
	if len(a.systems) > 0 {
		slices.Sort(a.systems)
		systems = "only on " + strings.Join(slices.Compact(a.systems), ", ")
	}
	for _, s := range a.outside {
		for _, e := range s.events {
			if len(outside) < 200 {
				outside = strings.TrimPrefix(fmt.Sprintf("%s, %s %s", outside, e.kind, e.version), ", ")
			}
		}
	}
	if outside != "" {
		outside = "custom ranges: " + outside
	}
	if rec.review != "" && rec.review != "REVIEWED" {
		review = strings.ToLower(rec.review)
	}
	return join(a.informational, systems, review, outside)
}
