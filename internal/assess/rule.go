package assess

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pratique/pratique/internal/advisory"
)

// Rule says which findings a type assesses by itself. All of its conditions must
// hold; members that are not set are no condition. It is judged for all findings
// of a vulnerability in packages of one name at once, wherever they are: see
// Group.
type Rule struct {
	// SeverityFrom and SeverityTo bound the gravest severity of the findings.
	SeverityFrom *advisory.Severity `json:"severity_from,omitempty"`
	SeverityTo   *advisory.Severity `json:"severity_to,omitempty"`
	// CVSSFrom and CVSSTo bound the base score. What has no score is outside.
	CVSSFrom *float64 `json:"cvss_from,omitempty"`
	CVSSTo   *float64 `json:"cvss_to,omitempty"`
	// EPSSFrom is the least probability of being exploited, from 0 to 1.
	EPSSFrom *float64 `json:"epss_from,omitempty"`
	// Exploited asks for being, or not being, on a list of exploited ones.
	Exploited *bool `json:"exploited,omitempty"`
	// FixAvailable asks for a fix in all of the packages, or in none.
	FixAvailable *bool `json:"fix_available,omitempty"`
	// Packages are patterns of which one must match the package's name.
	Packages []string `json:"packages,omitempty"`
	// Paths are patterns of which one must match, for every package in every
	// image, the path of the file that proves it.
	Paths []string `json:"paths,omitempty"`
	// Feeds are feeds of which each finding must be from one.
	Feeds []string `json:"feeds,omitempty"`
	// PackageTypes are types of which each package must have one.
	PackageTypes []string `json:"package_types,omitempty"`
}

const (
	maxPatterns = 100
	maxPattern  = 512
)

// check returns a *FieldError where the rule cannot be one.
func (r *Rule) check() error {
	empty := r.SeverityFrom == nil && r.SeverityTo == nil && r.CVSSFrom == nil && r.CVSSTo == nil && r.EPSSFrom == nil && r.Exploited == nil &&
		r.FixAvailable == nil && len(r.Packages)+len(r.Paths)+len(r.Feeds)+len(r.PackageTypes) == 0
	switch {
	case empty:
		return invalid("rule", "has no condition: it would assess everything")
	case r.SeverityFrom != nil && r.SeverityTo != nil && *r.SeverityFrom > *r.SeverityTo:
		return invalid("rule.severity_to", "%s is below severity_from, %s", *r.SeverityTo, *r.SeverityFrom)
	case outside(r.CVSSFrom, 10):
		return invalid("rule.cvss_from", "%v is not between 0 and 10", *r.CVSSFrom)
	case outside(r.CVSSTo, 10):
		return invalid("rule.cvss_to", "%v is not between 0 and 10", *r.CVSSTo)
	case r.CVSSFrom != nil && r.CVSSTo != nil && *r.CVSSFrom > *r.CVSSTo:
		return invalid("rule.cvss_to", "%v is below cvss_from, %v", *r.CVSSTo, *r.CVSSFrom)
	case outside(r.EPSSFrom, 1):
		return invalid("rule.epss_from", "%v is not between 0 and 1", *r.EPSSFrom)
	}
	for _, list := range []struct {
		field    string
		patterns []string
	}{{"packages", r.Packages}, {"paths", r.Paths}, {"feeds", r.Feeds}, {"package_types", r.PackageTypes}} {
		field := "rule." + list.field
		if len(list.patterns) > maxPatterns {
			return invalid(field, "has more than %d entries", maxPatterns)
		}
		for i, p := range list.patterns {
			at := fmt.Sprintf("%s[%d]", field, i)
			switch {
			case p == "":
				return invalid(at, "is empty")
			case len(p) > maxPattern:
				return invalid(at, "is longer than %d bytes", maxPattern)
			case strings.ContainsRune(p, 0) || !utf8.ValidString(p):
				return invalid(at, "is not text")
			}
			if list.field != "packages" && list.field != "paths" {
				continue
			}
			for part := range strings.SplitSeq(p, "/") {
				if _, err := path.Match(part, ""); err != nil {
					return invalid(at, "%q is not a pattern: %v", p, err)
				}
			}
		}
	}
	return nil
}

func outside(n *float64, most float64) bool {
	return n != nil && (math.IsNaN(*n) || *n < 0 || *n > most)
}

// Group is all findings of a vulnerability in packages of one name. Rules judge
// groups, so that their assessments have scopes that people can read: the
// package, or everywhere where all groups are judged alike.
type Group struct {
	Package string
	// Severity is the gravest.
	Severity advisory.Severity
	// CVSS is the base score, 0 where nobody gives one.
	CVSS      float64
	EPSS      float64
	Exploited bool
	// Fixed and Unfixed count packages with and without a fix.
	Fixed, Unfixed int
	// Feeds and Types are those of the findings.
	Feeds, Types []string
	// Paths are those of the files that prove the packages, in any image. They
	// are nil where no rule asks for them.
	Paths []string
}

// matches reports whether all conditions hold.
func (r *Rule) matches(g Group) bool {
	switch {
	case r.SeverityFrom != nil && g.Severity < *r.SeverityFrom,
		r.SeverityTo != nil && g.Severity > *r.SeverityTo,
		r.CVSSFrom != nil && (g.CVSS == 0 || g.CVSS < *r.CVSSFrom),
		r.CVSSTo != nil && (g.CVSS == 0 || g.CVSS > *r.CVSSTo),
		r.EPSSFrom != nil && g.EPSS < *r.EPSSFrom,
		r.Exploited != nil && g.Exploited != *r.Exploited,
		r.FixAvailable != nil && *r.FixAvailable && g.Unfixed > 0,
		r.FixAvailable != nil && !*r.FixAvailable && g.Fixed > 0:
		return false
	}
	if len(r.Packages) > 0 && !matchesAny(r.Packages, g.Package) {
		return false
	}
	if len(r.Paths) > 0 && (len(g.Paths) == 0 || slices.ContainsFunc(g.Paths, func(p string) bool { return !matchesAny(r.Paths, p) })) {
		return false
	}
	return within(g.Feeds, r.Feeds) && within(g.Types, r.PackageTypes)
}

// within reports whether all are among the allowed; none allowed is no bound.
func within(all, allowed []string) bool {
	return len(allowed) == 0 || !slices.ContainsFunc(all, func(s string) bool { return !slices.Contains(allowed, s) })
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return MatchPath(p, name) })
}

// MatchPath reports whether a path, or a name with slashes, matches a pattern: as
// path.Match, where an element ** stands for any number of elements. Slashes in
// front do not matter. A malformed pattern matches nothing.
func MatchPath(pattern, name string) bool {
	return matchElements(strings.Split(strings.Trim(pattern, "/"), "/"), strings.Split(strings.Trim(name, "/"), "/"))
}

// matchElements keeps the last ** to return to, which is enough: what an earlier
// one could take, the last one can, too.
func matchElements(pattern, name []string) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		if p < len(pattern) && pattern[p] == "**" {
			star, mark = p, n
			p++
			continue
		}
		if p < len(pattern) {
			if ok, err := path.Match(pattern[p], name[n]); err == nil && ok {
				p, n = p+1, n+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	for p < len(pattern) && pattern[p] == "**" {
		p++
	}
	return p == len(pattern)
}
