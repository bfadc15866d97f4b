// Package clairapi is what clients of the Clair APIs speak of: layers under
// names that they choose, and chains of these.
//
// The Clair APIs have no notion of rights: whoever reaches them may have any
// layer fetched, and may read the analysis of any layer that he can name.
package clairapi

import (
	"errors"
	"unicode/utf8"
)

// MaxChain is the most layers that a chain may have. Images are limited to 127
// by the container runtimes.
const MaxChain = 500

// What can be wrong with a name.
var (
	// ErrNotFound is returned for a name that is unknown.
	ErrNotFound = errors.New("not found")
	// ErrName is returned for a name that cannot be kept, see ValidName.
	ErrName = errors.New("name is empty, too long, or holds control characters")
	// ErrUnknownParent is returned where the parent must be indexed first.
	ErrUnknownParent = errors.New("parent layer is unknown")
	// ErrChainTooLong is returned for a layer beyond MaxChain.
	ErrChainTooLong = errors.New("chain of layers is too long")
)

// Layer is a layer that a client named.
type Layer struct {
	Name string
	// ParentName is "" for a base layer.
	ParentName string
	// Digest is of the bytes that were downloaded.
	Digest string
	// Format is as the client wrote it.
	Format string
	// InventoryID is the inventory of the chain that ends with this layer.
	InventoryID int64
	// Distribution is the inventory's, "debian:12"; "" where there is none.
	// Inferred is set where no release file names it.
	Distribution string
	Inferred     bool
	// Origin is the URL of the repository that the layer came from, "" where that
	// cannot be told; Detectors is the indexer's state at that time.
	Origin, Detectors string
}

// ValidName reports whether something of that name can exist: names are keys in
// a database and segments of a URL.
func ValidName(name string) bool {
	if name == "" || len(name) > 1000 || !utf8.ValidString(name) {
		return false
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
