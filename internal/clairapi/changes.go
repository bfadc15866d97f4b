package clairapi

import (
	"encoding/json"
	"time"

	"github.com/pratique/pratique/internal/advisory"
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
	Threat  Threat            `json:"threat"`
}

// Outgoing is a notification that is to be sent.
type Outgoing struct {
	// ID is a UUID.
	ID string
	// API is APIv1 or APIv4.
	API string
	// Attempts counts how often it was sent in vain since it last arrived.
	Attempts int
}

// The APIs that notifications are of.
const (
	APIv1 = "v1"
	APIv4 = "v4"
)

// Told is what a notification of the v1 API tells: a vulnerability of a namespace
// before and after. Old is nil for one that is new, New for one that is gone.
type Told struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Old       *Side  `json:"old,omitempty"`
	New       *Side  `json:"new,omitempty"`
}

// Side is a vulnerability at one time.
type Side struct {
	Written
	// Packages are those that are stored and were, or are, affected.
	Packages []int64 `json:"packages,omitempty"`
}

// WrittenFeed is the feed under which vulnerabilities stand that clients wrote;
// its parts are namespaces.
const WrittenFeed = "clair"

// Written is a vulnerability as a client of the v1 API writes it.
type Written struct {
	Description string            `json:"description,omitempty"`
	Link        string            `json:"link,omitempty"`
	Severity    advisory.Severity `json:"severity"`
	Metadata    json.RawMessage   `json:"metadata,omitempty"`
	// Fixes are the affected packages with the version that is fixed, "" for none.
	Fixes []Fix `json:"fixes,omitempty"`
}

// Fix is an affected package.
type Fix struct {
	Package string `json:"package"`
	Version string `json:"version,omitempty"`
}

// V1Notification is a notification of the v1 API.
type V1Notification struct {
	Name                       string
	Created, Notified, Deleted time.Time
	Told                       Told
}
