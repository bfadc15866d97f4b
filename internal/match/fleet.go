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
	// CVSS is the base score, 0 where nobody gives one.
	CVSS float64
	// EPSS and Percentile are as in Finding.
	EPSS, Percentile float64
	// Exploited is set of what is on a list of exploited vulnerabilities.
	Exploited bool
	// FirstSeen is when a source first reported it of any package.
	FirstSeen time.Time
	// Images counts stored images, Packages distinct packages that it affects.
	Images   int
	Packages int
	// Fixable is set where at least one affected package has a fix.
	Fixable bool
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
