package builtin

import (
	"context"
	"time"
)

// await settles the image as soon as its layers are analysed, here or by
// another replica, for at most the settling time.
func (a *Analyser) await(ctx context.Context, digest string) error {
	deadline := time.NewTimer(a.opts.Settle)
	defer deadline.Stop()
	another := time.NewTicker(time.Second)
	defer another.Stop()
	for {
		changed := a.changed()
		settled, err := a.settle(ctx, digest)
		if err != nil || settled {
			return err
		}
		select {
		case <-changed:
		case <-another.C:
		case <-deadline.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *Analyser) changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.change
}

func (a *Analyser) announce() {
	a.mu.Lock()
	close(a.change)
	a.change = make(chan struct{})
	a.mu.Unlock()
	a.opts.OnChange()
}
