// Package usage counts how registries are used: who pulls is not asked, but what is
// pulled, how often and when last, and what room it takes.
//
// It must not know SQL nor HTTP. What is a pull says its caller.
package usage

import "time"

// Figures are how often something was pulled, and when last: the zero time is never.
type Figures struct {
	Pulls    int64
	LastPull time.Time
}

// Sizes are bytes of blobs, each counted once.
type Sizes struct {
	Total int64
	// Shared are those that are reached from elsewhere, too. They stay where what the
	// sizes are of is deleted.
	Shared int64
}

// Own are the bytes that a deletion would set free.
func (s Sizes) Own() int64 { return s.Total - s.Shared }

// Usage is all of it.
type Usage struct {
	Figures
	Sizes
}

// Place is a repository that holds an image, and how that is pulled from there.
type Place struct {
	Registry, Repository string
	Figures
}

// Pull is one of a manifest.
type Pull struct {
	RepositoryID int64
	Digest       string
	// Tag is what it was pulled by; "" where that was the digest.
	Tag string
	// Index says that the manifest lists others. A client pulls one of these, too,
	// and the two are one pull of the repository.
	Index bool
}

// Pulled is a number of pulls that are alike.
type Pulled struct {
	Pull
	Figures
}
