package clairv4

import (
	"context"
	"sync"
	"time"
)

// flights has what many ask for at the same time made once. Whoever asks gets what
// was begun after he asked: he who comes while it is made waits for the next. So
// nobody is told what was true before.
type flights struct {
	// slots bounds what is made at a time.
	slots chan struct{}
	// timeout bounds the making of one.
	timeout time.Duration

	mu      sync.Mutex
	running map[string]*flight
	next    map[string]*flight
}

type flight struct {
	work func(context.Context) (answer, error)
	ctx  context.Context //nolint:containedctx // of who asked first, without his end
	done chan struct{}

	// Set before done is closed.
	result answer
	err    error
}

func newFlights(atOnce int, timeout time.Duration) *flights {
	return &flights{slots: make(chan struct{}, atOnce), timeout: timeout, running: make(map[string]*flight), next: make(map[string]*flight)}
}

// do returns what work returns, or the error of ctx where that ends first.
func (f *flights) do(ctx context.Context, key string, work func(context.Context) (answer, error)) (answer, error) {
	mine := f.join(ctx, key, work)
	select {
	case <-mine.done:
		return mine.result, mine.err
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

func (f *flights) join(ctx context.Context, key string, work func(context.Context) (answer, error)) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if waiting := f.next[key]; waiting != nil {
		return waiting
	}
	mine := &flight{work: work, ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
	if f.running[key] != nil {
		f.next[key] = mine
		return mine
	}
	f.running[key] = mine
	go f.run(key, mine)
	return mine
}

// run makes one, and then the next of that key for those who came meanwhile.
func (f *flights) run(key string, mine *flight) {
	for mine != nil {
		f.make(mine)
		close(mine.done)
		f.mu.Lock()
		mine = f.next[key]
		delete(f.next, key)
		if f.running[key] = mine; mine == nil {
			delete(f.running, key)
		}
		f.mu.Unlock()
	}
}

func (f *flights) make(mine *flight) {
	ctx, cancel := context.WithTimeout(mine.ctx, f.timeout)
	defer cancel()
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		mine.err = ctx.Err()
		return
	}
	mine.result, mine.err = recovered(func() (answer, error) { return mine.work(ctx) })
}
