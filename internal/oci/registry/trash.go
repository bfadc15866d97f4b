package registry

import (
	"errors"
	"time"
)

// Deletion says who deletes something, and why.
type Deletion struct {
	By, Reason string
	// Days is for how long it stays in the trash where its registry does not say
	// that; 0 is not at all.
	Days int
}

// MaxTrashDays bounds for how long something stays in the trash.
const MaxTrashDays = 3650

// Trashed is a manifest with its tags, or tags alone, in the trash.
type Trashed struct {
	ID         int64
	Registry   string
	Repository string
	Digest     string
	// Tags pointed at the manifest.
	Tags []string
	// Whole is false where tags were deleted and their manifest was not.
	Whole     bool
	MediaType string
	// Subject is the digest of the manifest that it is about, or "".
	Subject string
	// Size is that of the manifest and its blobs, in bytes.
	Size      int64
	PushedBy  string
	PushedAt  time.Time
	DeletedAt time.Time
	DeletedBy string
	Reason    string
	ExpiresAt time.Time
}

// Restored is what came back from the trash.
type Restored struct {
	Repository Repository
	// Manifests came back, with what they refer to and what refers to them.
	Manifests []*Manifest
	// Tags came back; Taken did not, for they name something else by now.
	Tags, Taken []string
}

// ErrNotInTrash says that there is no such thing in the trash.
var ErrNotInTrash = errors.New("it is not in the trash")

// ErrIncomplete says that what is in the trash cannot be restored, for something
// that it refers to is gone.
var ErrIncomplete = errors.New("it cannot be restored, for what it refers to is gone")

// ErrTaken says that of what is in the trash nothing can be restored: somebody has
// pushed its tags since.
var ErrTaken = errors.New("it cannot be restored, for its tags name something else by now")
