package layer

import (
	"errors"
	"fmt"
)

// What a layer can be refused for. The errors that wrap these name particulars.
var (
	// ErrCorrupt: the compressed data or the archive is damaged or cut off.
	ErrCorrupt = errors.New("corrupt")
	// ErrLimit: the layer is beyond a limit of Options.
	ErrLimit = errors.New("limit exceeded")
	// ErrDigest: the bytes are not those that were asked for.
	ErrDigest = errors.New("digest mismatch")
)

// CorruptError wraps ErrCorrupt.
type CorruptError struct {
	// Format is what cannot be read: "gzip", "zstd", "xz", "bzip2", "tar".
	Format string
	Err    error
	// garbage marks damage where another member of compressed data could begin.
	garbage bool
}

func (e *CorruptError) Error() string   { return fmt.Sprintf("corrupt %s data: %v", e.Format, e.Err) }
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }

// LimitError wraps ErrLimit.
type LimitError struct {
	// Limit names the limit: "bytes", "uncompressed bytes", "compression ratio",
	// "entries", "path length", "header size", "headers in total", "file size", "window".
	Limit string
	// Value is the limit, in bytes where it is a size.
	Value int64
}

func (e *LimitError) Error() string { return fmt.Sprintf("limit exceeded: %s > %d", e.Limit, e.Value) }
func (e *LimitError) Unwrap() error { return ErrLimit }

// DigestError wraps ErrDigest.
type DigestError struct {
	Want, Got string
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("digest mismatch: want %s, got %s", e.Want, e.Got)
}
func (e *DigestError) Unwrap() error { return ErrDigest }

// Permanent reports errors that the same bytes would give again.
func Permanent(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrLimit) || errors.Is(err, ErrDigest)
}
