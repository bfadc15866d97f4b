package store

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"time"
)

// checkpoints brings what SQLite's log holds into its file, beside the writer: by
// itself, SQLite has every fourth megabyte's writer do that and wait for the disk
// twice more. The writer does it where the log grows faster than this is done.
type checkpoints struct {
	db      *sql.DB
	written chan struct{} // something is in the log; holds one at most
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

const (
	// checkpointPause is how long the log is left to grow.
	checkpointPause = 100 * time.Millisecond
	// longLog is the length of the log, in pages of 4 kB, from which the writer does it.
	longLog = 16384
	// longPause is for how long a log of that length is left to the writer. Only
	// who writes can start the log anew, and does so where it brought all of it home
	// itself, which two cannot do at once.
	longPause = 2 * time.Second
)

func startCheckpoints(db *sql.DB) *checkpoints {
	db.SetMaxOpenConns(1)
	ctx, stop := context.WithCancel(context.Background())
	c := &checkpoints{db: db, written: make(chan struct{}, 1), stop: stop}
	c.ended.Go(func() { c.run(ctx) })
	return c
}

// wrote tells that something was committed.
func (c *checkpoints) wrote() {
	if c == nil {
		return
	}
	select {
	case c.written <- struct{}{}:
	default:
	}
}

func (c *checkpoints) run(ctx context.Context) {
	pause := checkpointPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.written:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		// Not truncating: that would have writers wait.
		var busy, length, done int
		if err := c.db.QueryRowContext(ctx, `pragma wal_checkpoint(passive)`).Scan(&busy, &length, &done); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "the log of the database stays long", "error", err)
		}
		pause = checkpointPause
		if length >= longLog {
			pause = longPause
		}
	}
}

func (c *checkpoints) close() error {
	if c == nil {
		return nil
	}
	c.stop()
	c.ended.Wait()
	return c.db.Close()
}
