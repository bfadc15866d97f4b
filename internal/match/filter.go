package match

import (
	"time"

	"github.com/pratique/pratique/internal/advisory"
)

// Filter narrows and orders a list of vulnerabilities. The zero value, but for
// Limit, is all, the most severe first.
type Filter struct {
	// Severities are those that are let through; all where empty.
	Severities []advisory.Severity
	// CVSS and EPSS are the lowest scores; what nobody scores has 0.
	CVSS, EPSS float64
	// Exploited lets through what is on a list of exploited vulnerabilities, or only
	// what is on none. Fixable is about whether any affected package has a fix.
	Exploited, Fixable *bool
	// Since and Before bound when it was first found, in any package: from Since on,
	// until before Before.
	Since, Before time.Time
	// Text is a part of the name, in any case, or an alias.
	Text string
	// Found is what has to hold of one finding in a stored image.
	Found Found
	// In are the registries in which it must be found, and of which the figures
	// are; all where nil.
	In []string
	// Expired lets through that on which an assessment expired, where nothing else
	// was decided in its scope since.
	Expired bool
	// At is the time at which assessments are looked at.
	At time.Time

	Sort Sort
	// Ascending turns the order around. Of two that are equal the name decides,
	// from A to Z, but in the order of names.
	Ascending bool
	// After continues a list after that item.
	After *Cursor
	// Limit is the most items to return.
	Limit int
}

// Found narrows findings; "" or empty is any.
type Found struct {
	Registry string
	// Repository is the name in the registry, REPOSITORY, or REGISTRY/REPOSITORY where
	// no registry is given.
	Repository string
	// Package is the name of the package, or of its source.
	Package string
	// Source is the vulnerability source that reports it.
	Source string
	// States are assess.Unassessed and names of assessment types, any of which it has.
	States []string
}

// Any reports whether it narrows nothing.
func (f Found) Any() bool {
	return f.Registry == "" && f.Repository == "" && f.Package == "" && f.Source == "" && len(f.States) == 0
}

// Sort is what a list of vulnerabilities is ordered by.
type Sort string

// The orders. All but the one by name start with the greatest.
const (
	BySeverity  Sort = "severity"
	ByCVSS      Sort = "cvss"
	ByEPSS      Sort = "epss"
	ByFirstSeen Sort = "first_seen"
	ByImages    Sort = "images"
	ByName      Sort = "name"
)

// Cursor is a place in a list of vulnerabilities: the value of what it is ordered
// by, 0 for names, and the name.
type Cursor struct {
	Value float64 `json:"v"`
	Name  string  `json:"n"`
}

// Cursor is the place of a vulnerability in a list.
func (v Summary) Cursor(by Sort) Cursor {
	c := Cursor{Name: v.Name}
	switch by {
	case ByCVSS:
		c.Value = v.CVSS
	case ByEPSS:
		c.Value = v.EPSS
	case ByFirstSeen:
		c.Value = float64(v.FirstSeen.UnixMicro()) // exact until the year 2255
	case ByImages:
		c.Value = float64(v.Images)
	case ByName:
	default:
		c.Value = float64(v.Severity)
	}
	return c
}
