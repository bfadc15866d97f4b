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

// checkpointPause is how long the log is left to grow.
const checkpointPause = 100 * time.Millisecond

// writerCheckpoint is the length of the log, in pages of 4 kB, from which the writer
// does it.
const writerCheckpoint = "wal_autocheckpoint(16384)"

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
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.written:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(checkpointPause):
		}
		// Not truncating: that would have writers wait.
		if _, err := c.db.ExecContext(ctx, `pragma wal_checkpoint(passive)`); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "the log of the database stays long", "error", err)
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
