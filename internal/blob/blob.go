// Package blob stores immutable bytes under their digest, and the uploads that
// become them.
//
// It must not know repositories, users or HTTP: who may read a blob is decided
// above it.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrUnknown is returned for a blob that is not stored.
var ErrUnknown = errors.New("unknown blob")

// ErrUploadUnknown is returned for an upload that never was, was committed or
// was aborted.
var ErrUploadUnknown = errors.New("unknown upload")

// ErrFull is returned where the storage has no room left.
var ErrFull = errors.New("no space left in the blob storage")

// OffsetError says that an append did not start where the upload ends.
type OffsetError struct {
	// Have is where the upload ends, Want where the append starts, in bytes.
	Have, Want int64
}

func (e *OffsetError) Error() string {
	return fmt.Sprintf("the upload holds %d bytes, the chunk starts at %d", e.Have, e.Want)
}

// DigestError says that an upload's bytes are not those of the stated digest.
type DigestError struct {
	Stated, Actual string
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("the content's digest is %s, not %s", e.Actual, e.Stated)
}

// Info is what the storage knows of a blob.
type Info struct {
	Digest string
	Size   int64 // bytes
	// StoredAt is when it was last committed, by the storage's clock.
	StoredAt time.Time
}

// Store is content-addressed storage. It is safe for use by several
// goroutines, and by several processes over the same storage.
//
// Digests are as ParseDigest accepts them; others give ErrDigestMalformed.
type Store interface {
	// Open returns a blob and its size in bytes, or ErrUnknown. The content
	// is an *os.File where there is one, so that net/http can use sendfile.
	Open(ctx context.Context, digest string) (content io.ReadSeekCloser, size int64, err error)
	// Stat returns a blob's size in bytes, or ErrUnknown.
	Stat(ctx context.Context, digest string) (int64, error)
	// Delete removes a blob, or returns ErrUnknown. Readers that have it open
	// go on.
	Delete(ctx context.Context, digest string) error

	// Hold keeps a blob, one that is stored or is about to be, from being
	// removed by any process until release is called, or this one dies. Whoever
	// makes it known that a blob is there, where that was not known, holds it
	// from before he looks or commits until what he says is stored.
	Hold(ctx context.Context, digest string) (release func(), err error)
	// Remove removes a blob that nobody holds if it is unwanted, which is asked
	// while nobody can hold it. It reports false where the blob stays, and
	// returns ErrUnknown where there is none. Readers that have it open go on.
	Remove(ctx context.Context, digest string, unwanted func(context.Context) (bool, error)) (bool, error)
	// List visits the stored blobs in no order, those that come and go meanwhile
	// perhaps, until visit returns an error.
	List(ctx context.Context, visit func(Info) error) error

	// Start begins an upload and returns its id, a UUID. The digest at commit
	// should be of the algorithm; another one is allowed and costs a re-read.
	Start(ctx context.Context, algorithm Algorithm) (id string, err error)
	// Append adds what content holds to an upload, at offset, which must be
	// where the upload ends (*OffsetError); a negative offset means there. It
	// returns the size of the upload. Where it fails, what was read before is
	// kept, and the size returned is right.
	Append(ctx context.Context, id string, offset int64, content io.Reader) (size int64, err error)
	// Size returns how many bytes an upload holds, or ErrUploadUnknown.
	Size(ctx context.Context, id string) (int64, error)
	// Commit makes an upload the blob of digest, whether or not there is one,
	// and returns its size. A *DigestError leaves the upload as it was.
	Commit(ctx context.Context, id, digest string) (size int64, err error)
	// Abort drops an upload, or returns ErrUploadUnknown.
	Abort(ctx context.Context, id string) error
	// Stale lists the uploads to which nothing was added since a time.
	Stale(ctx context.Context, since time.Time) (ids []string, err error)
}
