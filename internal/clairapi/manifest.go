package clairapi

import (
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// Manifest is an image as clients of the v4 API know it.
type Manifest struct {
	// Hash is the client's name for it, a digest.
	Hash string
	// Layers are base first.
	Layers []ManifestLayer
	// InventoryID is that of the layers; 0 where they could not be indexed, for
	// the reason in Error.
	InventoryID int64
	Error       string
	// Detectors is the indexer's state at that time; "" for an image of our own
	// registries.
	Detectors    string
	Distribution inventory.Distribution
}

// ManifestLayer is a layer of a manifest.
type ManifestLayer struct {
	// Hash is the client's name for it, a digest of any algorithm; Digest is that
	// of its analysis.
	Hash, Digest string
}

// IndexedPackage is a package of an inventory with its id in the database.
type IndexedPackage struct {
	ID int64
	inventory.Installed
}

// Threat is a vulnerability of a package, without the places where the package is.
type Threat struct {
	PackageID     int64
	Vulnerability string
	Description   string
	Severity      advisory.Severity
	// Published is zero where nobody says it.
	Published time.Time
	// CVSS, Vector, EPSS and Percentile are as in match.Finding.
	CVSS             float64
	Vector           string
	EPSS, Percentile float64
	ExploitedSince   time.Time
	// Statement is what says so, as far as a match keeps it.
	Statement match.Statement
}
