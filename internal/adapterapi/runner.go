package adapterapi

import (
	"context"
	"sync"
)

// runner runs a bounded number of tasks at a time, and lets a bounded number wait.
type runner struct {
	ctx    context.Context //nolint:containedctx // of the tasks, which outlive requests
	cancel context.CancelFunc
	slots  chan struct{}
	places chan struct{}

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

func newRunner(workers, queue int) *runner {
	r := &runner{slots: make(chan struct{}, workers), places: make(chan struct{}, workers+queue)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// start runs a task soon, or returns false where too many wait.
func (r *runner) start(task func(context.Context)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	select {
	case r.places <- struct{}{}:
	default:
		return false
	}
	r.running.Go(func() {
		defer func() { <-r.places }()
		select {
		case r.slots <- struct{}{}:
			defer func() { <-r.slots }()
		case <-r.ctx.Done():
		}
		task(r.ctx)
	})
	return true
}

// close refuses new tasks, waits for those under way until ctx ends, then cancels
// them and waits for their end.
func (r *runner) close(ctx context.Context) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	defer r.cancel()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		r.running.Wait()
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		r.cancel()
		<-idle
	}
}
