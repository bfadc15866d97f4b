package match

import (
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
)

// Summary is a vulnerability that affects stored images.
type Summary struct {
	ID          int64
	Name        string
	Description string
	// Severity is the highest that any live match states.
	Severity advisory.Severity
	// EPSS and Percentile are as in Finding.
	EPSS, Percentile float64
	// Images counts stored images, Packages distinct packages that it affects.
	Images   int
	Packages int
	// Fixable is set where at least one affected package has a fix.
	Fixable bool
}

// Filter narrows a list of vulnerabilities. The zero value, but for Limit, is all.
type Filter struct {
	// AtLeast is the lowest severity.
	AtLeast advisory.Severity
	// Text is a part of the name, in any case.
	Text string
	// After continues a list after that item.
	After *Cursor
	// Limit is the most items to return.
	Limit int
}

// Cursor is a place in a list of vulnerabilities, the most severe first.
type Cursor struct {
	Severity advisory.Severity
	Name     string
}

// Vulnerability is a vulnerability with all that feeds say of it.
type Vulnerability struct {
	ID int64
	// Name is the CVE id where there is one; Aliases are its other names, sorted.
	Name    string
	Aliases []string
	advisory.Summary
	// EPSS and Percentile are as in Finding.
	EPSS, Percentile float64
	FirstSeen        time.Time
	Statements       []Statement
	// Details are what each feed says of it, by feed.
	Details []Stated
}

// Stated is a detail with the feed that it is from.
type Stated struct {
	Feed, Part string
	advisory.Detail
}

// Affected is a stored image, at one place, with one package that a
// vulnerability affects.
type Affected struct {
	Digest     string
	Registry   string
	Repository string
	Tags       []string
	Package    inventory.Package
	Fixed      string
	Severity   advisory.Severity
}

// AffectedCursor is a place in a list of affected images.
type AffectedCursor struct {
	Registry, Repository, Digest string
	PackageID                    int64
}
