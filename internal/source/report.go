package source

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
)

// Report is what a source answers of an image.
type Report struct {
	Findings []Reported
	// Handle is the source's word for what it knows of the image, to be given
	// back next time; "" where it has none.
	Handle string
}

// Reported is a vulnerability of a package, in the source's words.
type Reported struct {
	// Vulnerability is the source's name for it.
	Vulnerability string
	Description   string
	Link          string
	Severity      advisory.Severity
	// CVSS is a base score, 0 where it gives none, and Vector what it is computed from.
	CVSS   float64
	Vector string
	// Package and Version are of a binary or a source package; the rest may be "".
	Package, Version, Architecture string
	// Distribution is as in inventory.Package ("debian:12").
	Distribution string
	// Fixed is the first version that is not affected, "" where there is none.
	Fixed string
	// Layer is the digest of the layer that brought the package.
	Layer string
}

// Bounds of a report. What is longer is cut, where it is for people only.
const (
	maxFindings    = 500_000
	maxName        = 256
	maxDescription = 16 << 10
)

// clean makes a report one that can be stored, or says why it is none.
func (r *Report) clean() error {
	if len(r.Findings) > maxFindings {
		return Malformed("it lists %d findings, more than %d", len(r.Findings), maxFindings)
	}
	if len(r.Handle) > maxName || !utf8.ValidString(r.Handle) {
		r.Handle = ""
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		for _, name := range []struct {
			what string
			text *string
		}{{"vulnerability", &f.Vulnerability}, {"package", &f.Package}, {"version", &f.Version}, {"architecture", &f.Architecture},
			{"distribution", &f.Distribution}, {"fixed version", &f.Fixed}, {"layer", &f.Layer}, {"vector", &f.Vector}} {
			if *name.text = strings.TrimSpace(*name.text); len(*name.text) > maxName {
				return Malformed("the %s of finding %d has %d bytes, more than %d", name.what, i+1, len(*name.text), maxName)
			}
			if !utf8.ValidString(*name.text) || strings.ContainsFunc(*name.text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				return Malformed("the %s of finding %d is not text", name.what, i+1)
			}
		}
		if f.Vulnerability == "" || f.Package == "" {
			return Malformed("finding %d does not name a vulnerability and a package", i+1)
		}
		f.Vulnerability = canonical(f.Vulnerability)
		f.Description, f.Link = forPeople(f.Description, maxDescription), forPeople(f.Link, 2048)
		if !strings.HasPrefix(f.Link, "https://") && !strings.HasPrefix(f.Link, "http://") {
			f.Link = ""
		}
		if f.CVSS < 0 || f.CVSS > 10 {
			f.CVSS, f.Vector = 0, ""
		}
		if f.Severity < advisory.Unknown || f.Severity > advisory.Critical {
			f.Severity = advisory.Unknown
		}
	}
	return nil
}

// canonical is the name by which others know a vulnerability: some publishers
// write "CVE-2020-1234 on Ubuntu 20.04 LTS (focal) - low.".
func canonical(name string) string {
	first, _, _ := strings.Cut(name, " ")
	if strings.HasPrefix(first, "CVE-") {
		return first
	}
	return name
}

func forPeople(text string, most int) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "\uFFFD")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// Located finds the packages of an inventory that a source speaks of.
type Located map[string][]int

// Locate prepares for the packages of an inventory.
func Locate(packages []inventory.Package) Located {
	l := make(Located, 2*len(packages))
	add := func(name, version string, i int) {
		key := locator(name, version)
		if at := l[key]; len(at) == 0 || at[len(at)-1] != i {
			l[key] = append(at, i)
		}
	}
	for i, p := range packages {
		add(p.Name, p.Version, i)
		if p.SourceName != "" {
			version := p.SourceVersion
			if version == "" {
				version = p.Version
			}
			add(p.SourceName, version, i)
			add(p.SourceName, p.Version, i)
		}
	}
	return l
}

// Of are the indexes of the packages that a finding is on: those of the name
// and version, be it their own or their source's, and of the architecture where
// the source names one that is there. None is a package that only the source knows.
func (l Located) Of(packages []inventory.Package, f Reported) []int {
	found := l[locator(f.Package, f.Version)]
	if f.Architecture == "" {
		return found
	}
	var same []int
	for _, i := range found {
		if packages[i].Architecture == f.Architecture {
			same = append(same, i)
		}
	}
	if len(same) > 0 {
		return same
	}
	return found
}

// locator is by what a package is found: sources write names in other cases,
// Go's versions with a v and RPM's without an epoch of nothing.
func locator(name, version string) string {
	return fmt.Sprintf("%s\x00%s", strings.ToLower(name), strings.TrimPrefix(strings.TrimPrefix(version, "v"), "0:"))
}
