package image

import (
	"time"

	"github.com/pratique/pratique/internal/advisory"
)

// Summary is what a list shows of an image, or of an index of images.
type Summary struct {
	Digest string
	// Index says that it stands for the images of several platforms, whose sizes
	// and findings are added up.
	Index     bool
	Platforms []string // "linux/amd64", sorted
	Size      int64    // bytes
	// State is that of the image; of an index, of the one that is furthest behind.
	State    State
	Findings map[advisory.Severity]int
}

// At is a moment in the life of an image's findings.
type At struct {
	Time time.Time
	// Findings are those that are known from then on.
	Findings map[advisory.Severity]int
	// Came and Went are the vulnerabilities of the findings that were not known
	// before, or no more.
	Came, Went []string
}

// Push is a manifest's arrival in a repository.
type Push struct {
	Registry, Repository string
	By                   string
	Time                 time.Time
	Tags                 []string // that stand for it now
}

// Referrer is a manifest that speaks of another one, its subject.
type Referrer struct {
	Registry, Repository string
	Digest               string
	MediaType            string
	ArtifactType         string
	Size                 int64 // bytes, of the manifest
	Annotations          map[string]string
	By                   string
	Time                 time.Time
}
