// Package garbage deletes what nothing refers to any more: blobs that were
// pushed, and what was derived from them. Pushes go on meanwhile, and several
// replicas may collect at a time; docs/decisions/0015-garbage.md says why
// nothing is lost.
//
// It must not know SQL or files.
package garbage

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pratique/pratique/internal/blob"
)

// Store knows what refers to what.
type Store interface {
	RepositoryIDs(ctx context.Context, after int64, limit int) ([]int64, error)
	// UnlinkUnreferenced makes blobs unreadable in a repository that none of its
	// manifests refers to, and that no client was told of since a time.
	UnlinkUnreferenced(ctx context.Context, repositoryID int64, before time.Time) (int, error)
	// LinkedBlobs returns those of the digests that some repository links. A
	// blob that has no link gets one only from somebody who holds it.
	LinkedBlobs(ctx context.Context, digests []string) (map[string]bool, error)
}

// Blobs are the stored blobs; blob.Store is one.
type Blobs interface {
	List(ctx context.Context, visit func(blob.Info) error) error
	Remove(ctx context.Context, digest string, unwanted func(context.Context) (bool, error)) (bool, error)
}

// Options are the choices of a Collector. The zero value is usable.
type Options struct {
	// Grace is for how long blobs are kept that nothing refers to; 24 h where
	// zero. A client that was told of one may rely on it for half of that.
	Grace time.Duration
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	Log *slog.Logger
}

// Collector deletes blobs.
type Collector struct {
	store Store
	blobs Blobs
	opts  Options
}

// New returns a collector.
func New(store Store, blobs Blobs, opts Options) *Collector {
	if opts.Grace == 0 {
		opts.Grace = 24 * time.Hour
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	return &Collector{store: store, blobs: blobs, opts: opts}
}

// Result is what was done.
type Result struct {
	// Unlinked counts blobs that became unreadable in a repository, Removed
	// those whose bytes were deleted, Bytes how many these were. Seen counts
	// the stored blobs.
	Unlinked, Seen, Removed int
	Bytes                   int64
}

// Collect unlinks blobs that no manifest refers to, and then deletes those that
// no repository links. It may be called by several replicas at a time, and be
// interrupted anywhere.
func (c *Collector) Collect(ctx context.Context, progress func(Result)) (Result, error) {
	before := c.opts.Now().Add(-c.opts.Grace)
	var r Result
	if err := c.unlink(ctx, before, &r, progress); err != nil {
		return r, err
	}
	return r, c.sweep(ctx, before, &r, progress)
}

func (c *Collector) unlink(ctx context.Context, before time.Time, r *Result, progress func(Result)) error {
	const page = 200
	for after := int64(0); ; {
		ids, err := c.store.RepositoryIDs(ctx, after, page)
		if err != nil {
			return err
		}
		for _, id := range ids {
			n, err := c.store.UnlinkUnreferenced(ctx, id, before)
			if err != nil {
				return err
			}
			r.Unlinked += n
			after = id
		}
		progress(*r)
		if len(ids) < page {
			return nil
		}
	}
}

func (c *Collector) sweep(ctx context.Context, before time.Time, r *Result, progress func(Result)) error {
	const page = 500
	old := make([]blob.Info, 0, page)
	flush := func() error {
		defer func() { old = old[:0] }()
		progress(*r)
		return c.remove(ctx, old, r)
	}
	err := c.blobs.List(ctx, func(b blob.Info) error {
		r.Seen++
		if !b.StoredAt.Before(before) {
			return nil
		}
		if old = append(old, b); len(old) < page {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// remove deletes those blobs that no repository links.
func (c *Collector) remove(ctx context.Context, blobs []blob.Info, r *Result) error {
	digests := make([]string, len(blobs))
	for i, b := range blobs {
		digests[i] = b.Digest
	}
	linked, err := c.store.LinkedBlobs(ctx, digests)
	if err != nil {
		return err
	}
	for _, b := range blobs {
		if linked[b.Digest] {
			continue
		}
		removed, err := c.blobs.Remove(ctx, b.Digest, func(ctx context.Context) (bool, error) {
			// What was read before nobody could hold it counts for nothing.
			linked, err := c.store.LinkedBlobs(ctx, []string{b.Digest})
			return !linked[b.Digest], err
		})
		if errors.Is(err, blob.ErrUnknown) { // another replica was faster
			continue
		}
		if err != nil {
			return err
		}
		if removed {
			r.Removed++
			r.Bytes += b.Size
			c.opts.Log.DebugContext(ctx, "blob is deleted, nothing refers to it", "blob", b.Digest, "size", b.Size)
		}
	}
	return nil
}
