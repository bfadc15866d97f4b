package feed

import (
	"context"
	"slices"
	"sync"
)

// crowd lets so many documents be read and stored at once. Of those that wait, the
// one with the most to state is next, for it takes longest: all of them are done
// sooner, and in less memory, than where each is given a part of the processors.
type crowd struct {
	mu      sync.Mutex
	free    int
	waiting []*waiter
}

type waiter struct {
	work  int64         // statements, about
	begin chan struct{} // closed when it may
}

// enter waits until a document of about so many statements may be read. The caller
// calls leave unless there is an error.
func (c *crowd) enter(ctx context.Context, work int64) error {
	c.mu.Lock()
	if c.free > 0 {
		c.free--
		c.mu.Unlock()
		return nil
	}
	w := &waiter{work: work, begin: make(chan struct{})}
	c.waiting = append(c.waiting, w)
	c.mu.Unlock()
	select {
	case <-w.begin:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	i := slices.Index(c.waiting, w)
	if i >= 0 {
		c.waiting = slices.Delete(c.waiting, i, i+1)
	}
	c.mu.Unlock()
	if i < 0 { // it was let in at that moment
		c.leave()
	}
	return context.Cause(ctx)
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.free++
		return
	}
	next := 0
	for i, w := range c.waiting {
		if w.work > c.waiting[next].work {
			next = i
		}
	}
	close(c.waiting[next].begin)
	c.waiting = slices.Delete(c.waiting, next, next+1)
}
