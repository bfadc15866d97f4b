package osv

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
)

// judgement is what one record comes to.
type judgement struct {
	ecosystem ecosystem
	reader    *reader
	record    *record
	// about is set where the record speaks of the ecosystem.
	about bool
	// erratum is set where the record is on an update, which fixes some
	// vulnerabilities, and not on one vulnerability.
	erratum    bool
	advisories []advisory.Advisory
	skipped    []omission
	full       bool
}

// omission is a part of a record that was left out.
type omission struct{ name, reason string }

// skip tells that something of the record was left out; what names it, "" is
// the record.
func (j *judgement) skip(what, reason string) {
	j.skipped = append(j.skipped, omission{strings.TrimSpace(j.record.id + " " + what), reason})
}

// maxStatements bounds what one record states. The largest real one, on the
// kernel of AlmaLinux, states 8,214.
const maxStatements = 100_000

// state adds a statement for each vulnerability and interval.
func (j *judgement) state(base advisory.Advisory, vulnerabilities []string, list []interval) {
	if base.Status == "" {
		base.Status = advisory.Affected
	}
	if !j.record.withdrawn.IsZero() {
		base.Status = advisory.Withdrawn
	}
	for _, vulnerability := range vulnerabilities {
		base.Vulnerability, base.ID = vulnerability, j.record.id
		if base.ID == vulnerability {
			base.ID = ""
		}
		for _, v := range list {
			if len(j.advisories) == maxStatements {
				if !j.full {
					j.full = true
					j.skip("", fmt.Sprintf("it states more than %d things; the rest is left out", maxStatements))
				}
				return
			}
			a := base
			a.Introduced, a.Fixed, a.LastAffected = v.introduced, v.fixed, v.last
			if a.Fixed != "" {
				a.Fix = advisory.FixUnknown
			}
			j.advisories = append(j.advisories, a)
		}
	}
}

// ranges are the affected versions of a sound entry by its ranges; ok is false
// for one that is malformed.
func (j *judgement) ranges(a *affected) (list []interval, ok bool) {
	if a.problem != "" {
		j.skip(a.name, a.problem)
		return nil, false
	}
	list, problem := a.intervals()
	if problem != "" {
		j.skip(a.name, problem)
	}
	return list, true
}

// listed are the affected versions of an entry one by one.
func (j *judgement) listed(a *affected) []interval {
	list, cut, err := j.reader.enumerated(a)
	switch {
	case err != nil:
		j.skip(a.name, err.Error())
	case cut:
		j.skip(a.name, fmt.Sprintf("more than %d versions; the rest is left out", maxVersions))
	case j.reader.problem != "":
		j.skip(a.name, "versions: "+j.reader.problem)
	}
	return list
}

// unplaced tells once that entries name no release of the distribution.
func (j *judgement) unplaced(a *affected) {
	reason := "ecosystem " + a.ecosystem + " names no release"
	if n := len(j.skipped); n == 0 || j.skipped[n-1].reason != reason {
		j.skip("", reason)
	}
}

// belongs reports whether an entry is of the ecosystem, and the release that it names.
func (j *judgement) belongs(a *affected) (release string, ok bool) {
	name, release, _ := strings.Cut(a.ecosystem, ":")
	if name != j.ecosystem.folder {
		return "", false
	}
	j.about = true
	return release, true
}

// cves are the distinct CVE ids among names, sorted.
func cves(lists ...[]string) (ids []string) {
	for _, names := range lists {
		for _, name := range names {
			if id := strings.ToUpper(strings.TrimSpace(name)); isCVE(id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// isCVE reports an id such as CVE-2024-1234.
func isCVE(s string) bool {
	rest, ok := strings.CutPrefix(s, "CVE-")
	if !ok || len(rest) < 9 || len(rest) > 24 || rest[4] != '-' {
		return false
	}
	return digits(rest[:4]) && digits(rest[5:])
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// word reads a publisher's grade.
func word(s string) advisory.Severity {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "critical":
		return advisory.Critical
	case "high", "important":
		return advisory.High
	case "medium", "moderate":
		return advisory.Medium
	case "low":
		return advisory.Low
	case "negligible":
		return advisory.Negligible
	}
	return advisory.Unknown
}

// first is the first grade that is known.
func first(grades ...advisory.Severity) advisory.Severity {
	for _, g := range grades {
		if g != advisory.Unknown {
			return g
		}
	}
	return advisory.Unknown
}

func join(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(parts, "; ")
}
