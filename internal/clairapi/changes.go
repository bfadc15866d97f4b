package clairapi

import (
	"time"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// Update is a reading of a feed's document that changed something.
type Update struct {
	// Ref is a UUID.
	Ref        string
	Feed, Part string
	Date       time.Time
}

// Reason is what happened to a vulnerability of a package.
type Reason string

// The reasons.
const (
	Added   Reason = "added"
	Removed Reason = "removed"
	Changed Reason = "changed"
)

// Change is a difference that a reading made to what affects a package.
type Change struct {
	PackageID int64
	Package   inventory.Package
	Reason    Reason
	// Before and After are what was stated and is, as far as a match keeps it; nil
	// where nothing was or is.
	Before, After *match.Statement
	// Threat describes the vulnerability as it is now.
	Threat Threat
}

// Notice tells that the vulnerabilities of a manifest changed.
type Notice struct {
	// ID is a UUID.
	ID       string `json:"-"`
	Manifest string `json:"manifest"`
	Reason   Reason `json:"reason"`
	// Package and Threat are those of the most severe change.
	Package inventory.Package `json:"package"`
	// Distribution is that of the manifest.
	Distribution inventory.Distribution `json:"distribution"`
	Threat       Threat                 `json:"threat"`
}
