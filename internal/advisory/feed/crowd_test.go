package feed

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crowd{free: 2}
		for range 2 {
			if err := c.enter(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		var order []int64
		var wait sync.WaitGroup
		for _, work := range []int64{3, 10, 0, 7} {
			wait.Go(func() {
				if err := c.enter(t.Context(), work); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, work)
				mu.Unlock()
			})
			synctest.Wait()
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		wait.Go(func() {
			if err := c.enter(ctx, 100); !errors.Is(err, gone) {
				t.Errorf("who went before it was let in: %v", err)
			}
		})
		synctest.Wait()
		cancel(gone)
		synctest.Wait()
		if len(order) > 0 {
			t.Errorf("%v were let in though two are in", order)
		}
		for range 6 { // each of whom somebody else takes the place of, until nobody waits
			c.leave()
			synctest.Wait()
		}
		wait.Wait()
		if want := []int64{10, 7, 3, 0}; !slices.Equal(order, want) {
			t.Errorf("they were let in as %v, want %v", order, want)
		}
		if c.free != 2 || len(c.waiting) != 0 {
			t.Errorf("%d places are free, %d wait", c.free, len(c.waiting))
		}
	})
}
