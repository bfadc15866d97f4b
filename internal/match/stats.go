package match

import (
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/image"
)

// Stats counts what is stored.
type Stats struct {
	// CountedAt is when all but Vulnerabilities and Assessments were counted.
	CountedAt    time.Time
	Registries   int
	Repositories int
	Tags         int
	// Images counts images by the state of their analysis.
	Images map[image.State]int
	// BlobBytes is the size of all blobs that some repository holds.
	BlobBytes int64
	// Packages counts distinct packages.
	Packages int
	// Vulnerabilities counts those that affect any of the packages, by the
	// highest severity that is stated.
	Vulnerabilities map[advisory.Severity]int
	// Assessments counts those that hold.
	Assessments int
	// Uncounted is of how many images and vulnerabilities it is not counted yet what
	// a change did to Vulnerabilities, and to lists.
	Uncounted int
}
