package clairv4

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Those who ask while one is made share the next, which begins after they asked.
func TestFlights(t *testing.T) {
	f := newFlights(1, time.Minute)
	began, proceed := make(chan int), make(chan struct{})
	n := 0
	work := func(context.Context) (answer, error) {
		n++
		began <- n
		<-proceed
		return answer{status: n}, nil
	}
	results := make(chan int)
	ask := func() {
		result, err := f.do(t.Context(), "a", work)
		if err != nil {
			t.Error(err)
		}
		results <- result.status
	}
	go ask()
	<-began
	var late []*flight
	for range 10 {
		late = append(late, f.join(t.Context(), "a", work))
	}
	proceed <- struct{}{}
	if got := <-results; got != 1 {
		t.Errorf("the first got %d", got)
	}
	if got := <-began; got != 2 {
		t.Errorf("the next is %d", got)
	}
	proceed <- struct{}{}
	for _, l := range late {
		if <-l.done; l.result.status != 2 {
			t.Errorf("who came late got %d", l.result.status)
		}
	}
	go ask()
	if got := <-began; got != 3 {
		t.Errorf("afterwards: %d", got)
	}
	proceed <- struct{}{}
	if got := <-results; got != 3 {
		t.Errorf("afterwards: got %d", got)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.running)+len(f.next) > 0 {
		t.Errorf("left over: %d, %d", len(f.running), len(f.next))
	}
}

func TestFlightsFail(t *testing.T) {
	f := newFlights(1, time.Second)
	var crash *panicked
	if _, err := f.do(t.Context(), "a", func(context.Context) (answer, error) { panic("x") }); !errors.As(err, &crash) {
		t.Errorf("got %v", err)
	}
	// Who leaves does not end it for the others.
	ctx, leave := context.WithCancel(t.Context())
	began, proceed := make(chan struct{}), make(chan struct{})
	first := f.join(ctx, "a", func(ctx context.Context) (answer, error) {
		close(began)
		<-proceed
		return answer{status: 7}, ctx.Err()
	})
	<-began
	leave()
	close(proceed)
	if <-first.done; first.err != nil || first.result.status != 7 {
		t.Errorf("got %d, %v", first.result.status, first.err)
	}
	if _, err := f.do(ctx, "b", func(ctx context.Context) (answer, error) { <-ctx.Done(); return answer{}, ctx.Err() }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Another image does not wait for the first, as far as there is room.
func TestFlightsAreBounded(t *testing.T) {
	f := newFlights(2, time.Minute)
	var mu sync.Mutex
	most, now := 0, 0
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			_, err := f.do(t.Context(), strconv.Itoa(i), func(context.Context) (answer, error) {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				runtime.Gosched() // so that others come meanwhile, if they may
				mu.Lock()
				now--
				mu.Unlock()
				return answer{}, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if most > 2 {
		t.Errorf("%d at a time", most)
	}
}
