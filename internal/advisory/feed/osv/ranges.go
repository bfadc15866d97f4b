package osv

import (
	"bytes"
	"fmt"
)

// The kinds of events, which are their names in the schema.
const (
	introduced   = "introduced"
	fixed        = "fixed"
	lastAffected = "last_affected"
	limit        = "limit"
)

// interval is a run of affected versions, as in advisory.Advisory.
type interval struct{ introduced, fixed, last string }

// intervals are the affected versions that the ranges of an entry state, other
// than by commits. problem says why a range states nothing.
func (a *affected) intervals() (list []interval, problem string) {
	for _, s := range a.ranges {
		if s.kind != "ECOSYSTEM" && s.kind != "SEMVER" {
			continue
		}
		of, reason := s.intervals()
		if list = append(list, of...); reason != "" && problem == "" {
			problem = reason
		}
	}
	return list, problem
}

// intervals pairs the events of a range. Events may come in any order, but
// which order they are meant to be in only versions tell, which are not
// compared here. Published ones alternate, if not always upwards: a beginning
// and its end stand together. Where they do not, but there are as many ends as
// beginnings, the first of either belong together, and so on.
func (s span) intervals() (list []interval, problem string) {
	var begins, ends []event
	alternate, bound := true, ""
	open := false
	for _, e := range s.events {
		switch e.kind {
		case introduced:
			alternate = alternate && !open
			begins, open = append(begins, e), true
		case fixed, lastAffected:
			if !open && len(begins) > 0 && alternate {
				continue // after one end another changes nothing
			}
			alternate = alternate && open
			ends, open = append(ends, e), false
		case limit:
			if bound == "" || e.version == "*" {
				bound = e.version
			} else if bound != "*" && bound != e.version {
				return nil, "several limits"
			}
		}
	}
	switch {
	case len(begins) == 0:
		return nil, "nothing is introduced"
	case !alternate && len(ends) > 1 && len(ends) != len(begins):
		return nil, fmt.Sprintf("which of %d ends belong to which of %d beginnings cannot be told", len(ends), len(begins))
	}
	for i, begin := range begins {
		v := interval{introduced: begin.version}
		if v.introduced == "0" || s.kind == "SEMVER" && v.introduced == "0.0.0-0" {
			v.introduced = ""
		}
		end := event{kind: fixed}
		switch {
		case !alternate && len(ends) == 1:
			end = ends[0]
		case i < len(ends):
			end = ends[i]
		case bound != "*":
			end.version = bound // versions from there on are not spoken of
		}
		if end.kind == fixed {
			v.fixed = end.version
		} else {
			v.last = end.version
		}
		list = append(list, v)
	}
	return list, ""
}

// maxVersions bounds the versions that are taken one by one.
const maxVersions = 10_000

// enumerated are the versions that an entry lists, each as the interval that
// holds only it. cut tells that there are more than are taken.
func (r *reader) enumerated(a *affected) (list []interval, cut bool, err error) {
	if len(a.versions) == 0 || bytes.Equal(a.versions, []byte("null")) {
		return nil, false, nil
	}
	r.reset(a.versions)
	var versions []string
	if err := r.strings(&versions, maxVersions+1); err != nil {
		return nil, false, err
	}
	if cut = len(versions) > maxVersions; cut {
		versions = versions[:maxVersions]
	}
	for _, v := range versions {
		list = append(list, interval{introduced: v, last: v})
	}
	return list, cut, nil
}
