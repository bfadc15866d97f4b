// Package event tells those who listen what has changed: jobs, feeds, the
// analysis of images and what is decided, whichever replica changed it.
//
// It reads what is stored, once a second while somebody listens, so that it
// needs nothing of the database but queries, and a listener that was away for
// a while misses no last state. It must not know HTTP.
package event

import (
	"context"
	"errors"
	"time"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/job"
)

// Topic is what one can listen to.
type Topic string

// The topics.
const (
	Jobs   Topic = "jobs"
	Feeds  Topic = "feeds"
	Images Topic = "images"
	// Decided are assessments, their types, and policies with their exceptions.
	Decided Topic = "decisions"
)

// Event is the present state of something that changed. It may come more than
// once, and stands for all changes since the one before.
type Event struct {
	// ID grows with the time of the change: the point from which a listener
	// goes on.
	ID int64
	// One of these is set; none where Lost is.
	Job   *job.Job
	Feed  *Feed
	Image *Image
	// Decisions says that what is decided has changed.
	Decisions *Decisions
	// Lost says that more changed than is told: look at everything again.
	Lost bool
}

// Feed is how a feed stands.
type Feed struct {
	Name                                 string
	LastAttempt, LastSuccess, LastChange time.Time
	Error                                string
}

func (f Feed) changedAt() time.Time {
	latest := f.LastAttempt
	for _, t := range []time.Time{f.LastSuccess, f.LastChange} {
		if t.After(latest) {
			latest = t
		}
	}
	return latest
}

// Image is how the analysis of an image stands.
type Image struct {
	Digest    string
	State     image.State
	Error     string
	ChangedAt time.Time
}

// Decisions is how far what is decided has changed.
type Decisions struct {
	// Assessments is the number of the last event of their history, Changes that
	// of the last change of a policy or a type in the audit log.
	Assessments, Changes int64
	ChangedAt            time.Time
}

// Store reads what changed.
type Store interface {
	// ChangedJobs and ChangedImages list at most limit of what changed at a time
	// or later, the newest change first.
	ChangedJobs(ctx context.Context, since time.Time, limit int) ([]job.Job, error)
	ChangedImages(ctx context.Context, since time.Time, limit int) ([]Image, error)
	// FeedStates lists all feeds.
	FeedStates(ctx context.Context) ([]Feed, error)
	// LastDecisions is zero where nothing was decided yet.
	LastDecisions(ctx context.Context) (Decisions, error)
}

// What Listen answers where it does not let one listen.
var (
	// ErrFull says that as many listen as may.
	ErrFull = errors.New("as many listen as may")
	// ErrClosed says that the broker does not run.
	ErrClosed = errors.New("events are not told: the server stops")
)
