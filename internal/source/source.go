// Package source is about vulnerability sources: scanners, of our own and of
// others, that are attached to registries and asked of the images in these.
//
// An external source is told of an image's layers, fetches them from here, and
// answers what it finds. What it answers stands beside what others find: the
// same vulnerability of the same package is one finding with several witnesses.
//
// The package must not know SQL nor HTTP; the protocols are in packages below it.
package source

import (
	"errors"
	"fmt"
	"time"
)

// BuiltIn is the name of the built-in analyser, as a source and as an extension.
const BuiltIn = "built-in"

// Source is an external scanner as it was configured.
type Source struct {
	ID   int64
	Name string
	// Extension is the name of its kind.
	Extension string
	// URL is where its interface is; its path has no slash at its end.
	URL string
	// Sealed is the Authorization header of requests to it, encrypted; nil where
	// there is none.
	Sealed []byte
	// CA are the certificates, PEM, that its server's is signed with, beside the
	// system's; SkipVerify takes any certificate.
	CA         string
	SkipVerify bool
	// Timeout bounds one scan of one image, Concurrency how many are under way.
	Timeout     time.Duration
	Concurrency int
	// Version moves at each change.
	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// What callers branch on.
var (
	// ErrNotFound is a source, registry or image that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists is a name that is taken.
	ErrExists = errors.New("exists already")
	// ErrChanged is a source that someone else changed meanwhile.
	ErrChanged = errors.New("was changed meanwhile")
	// ErrDisabled is an extension that is not enabled.
	ErrDisabled = errors.New("the extension is not enabled")
	// ErrBuiltIn is what cannot be done with the built-in analyser.
	ErrBuiltIn = errors.New("the built-in analyser has no settings; attach it to registries or detach it")
	// ErrTaken is a scan that another process has taken over.
	ErrTaken = errors.New("another process has taken the scan over")
)

// InUseError says which sources are in the way of disabling an extension.
type InUseError struct {
	Extension string
	Sources   []string
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("it is used by %s; delete these sources first", join(e.Sources))
}

func join(names []string) string {
	const shown = 10
	text := ""
	for i, name := range names {
		if i == shown {
			return fmt.Sprintf("%s and %d more", text, len(names)-shown)
		}
		if i > 0 {
			text += ", "
		}
		text += name
	}
	return text
}

// FieldError is a value that cannot be taken.
type FieldError struct{ Field, Reason string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Attachment is a source of a registry.
type Attachment struct {
	Source string
	// Extension is its kind.
	Extension string
	// AttachedAt is zero for the built-in analyser.
	AttachedAt time.Time
}

// State is how far a source is with an image.
type State string

// The states.
const (
	// Queued: it is to be asked.
	Queued State = "queued"
	// Running: it is being asked.
	Running State = "running"
	// Answered: the last answer is good.
	Answered State = "answered"
	// Waiting: a try failed, and there will be another one.
	Waiting State = "waiting"
	// Quarantined: all tries failed, or no further one would help. It is asked
	// again when someone says so, or by the next run of the job.
	Quarantined State = "quarantined"
)

// Scan is what a source was, or is to be, asked of an image.
type Scan struct {
	ID       int64
	Source   string
	SourceID int64
	Image    string // digest
	State    State
	Attempts int
	// Error is why the last try failed; "" where it did not.
	Error string
	// Handle is the source's own word for what it knows of the image.
	Handle string
	// AskedAt is the start of the last try; AnsweredAt is when the last good
	// answer came, which stands whatever became of later tries. Both may be zero.
	AskedAt, AnsweredAt time.Time
	// NextTryAt is zero where no further try is due.
	NextTryAt time.Time
}
