package app

import (
	"context"
	"log/slog"
	"time"
)

// counting does what transactions left to be counted, so that lists and figures
// are right soon after: see store.CountFindings.
type counting struct {
	count func(context.Context) (left int, err error)
	log   *slog.Logger
	// pause is between looks for work, tell between words on its progress.
	pause, tell time.Duration
}

// run ends with ctx.
func (c counting) run(ctx context.Context) error {
	look := time.NewTicker(c.pause)
	defer look.Stop()
	for {
		c.all(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// all counts until nothing is left, or something fails, which the next look mends.
func (c counting) all(ctx context.Context) {
	began, told := time.Now(), time.Now()
	for said := false; ctx.Err() == nil; {
		left, err := c.count(ctx)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				c.log.ErrorContext(ctx, "figures could not be counted", "error", err)
			}
			return
		case left == 0:
			if said {
				c.log.InfoContext(ctx, "figures are counted", "took", time.Since(began).Round(time.Millisecond))
			}
			return
		case time.Since(told) >= c.tell:
			c.log.InfoContext(ctx, "figures are being counted; lists and the dashboard may lag behind", "left", left)
			said, told = true, time.Now()
		}
	}
}
