package usage_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/usage"
)

// kept adds up what is written.
type kept struct {
	mu      sync.Mutex
	pulls   map[string]int64
	batches int
	fails   error
}

func (k *kept) AddPulls(ctx context.Context, pulls []usage.Pulled) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fails != nil {
		return k.fails
	}
	if k.pulls == nil {
		k.pulls = make(map[string]int64)
	}
	k.batches++
	for _, p := range pulls {
		k.pulls[fmt.Sprintf("%d %s %s", p.RepositoryID, p.Digest, p.Tag)] += p.Pulls
	}
	return ctx.Err()
}

func (k *kept) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fails = err
}

func (k *kept) want(t *testing.T, what string, want map[string]int64) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !maps.Equal(k.pulls, want) {
		t.Errorf("%s: (-want +got) %s", what, cmp.Diff(want, k.pulls))
	}
}

func quiet(o usage.Options) usage.Options {
	o.Log = slog.New(slog.DiscardHandler)
	return o
}

func TestPullsAreWrittenInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k kept
		c := usage.New(&k, usage.Options{})
		ctx, stop := context.WithCancel(t.Context())
		var ran sync.WaitGroup
		ran.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		var pulling sync.WaitGroup
		for range 8 {
			pulling.Go(func() {
				for range 1000 {
					c.Pulled(1, usage.Pull{RepositoryID: 7, Digest: "a", Tag: "v1"})
					c.Pulled(1, usage.Pull{RepositoryID: 7, Digest: "a"})
				}
			})
		}
		pulling.Wait()
		k.want(t, "nothing is written in a pull", nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		k.want(t, "after five seconds", map[string]int64{"7 a v1": 8000, "7 a ": 8000})
		if k.batches != 1 {
			t.Errorf("%d batches", k.batches)
		}
		c.Pulled(1, usage.Pull{RepositoryID: 7, Digest: "b"})
		stop()
		ran.Wait()
		k.want(t, "at the end", map[string]int64{"7 a v1": 8000, "7 a ": 8000, "7 b ": 1})
	})
}

// TestCounterIsBounded: what is too much is written early, and what the database does
// not take is not kept for ever.
func TestCounterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k kept
		c := usage.New(&k, quiet(usage.Options{MaxPulled: 10}))
		ctx, stop := context.WithCancel(t.Context())
		var ran sync.WaitGroup
		ran.Go(func() { _ = c.Run(ctx) })
		all := make(map[string]int64)
		for i := range 10 {
			c.Pulled(1, usage.Pull{Digest: fmt.Sprint(i)})
			all[fmt.Sprintf("0 %d ", i)] = 1
		}
		synctest.Wait()
		k.want(t, "early", all)

		k.fail(errors.New("the database is away"))
		for i := range 100 {
			c.Pulled(1, usage.Pull{Digest: fmt.Sprint(i)})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		k.fail(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		again := 0
		for _, n := range k.pulls {
			if again += int(n); n > 2 {
				t.Errorf("counted %d times", n)
			}
		}
		if again -= len(all); again < 10 || again > 20 {
			t.Errorf("%d were kept until the database was back", again)
		}
		stop()
		ran.Wait()
	})
}

// failing takes some batches only.
type failing struct {
	kept
	left int
}

func (f *failing) AddPulls(ctx context.Context, pulls []usage.Pulled) error {
	if f.left--; f.left < 0 {
		return errors.New("the database is away")
	}
	return f.kept.AddPulls(ctx, pulls)
}

// TestNothingCountsTwice: of several batches of which one fails, those that were
// written are not written again.
func TestNothingCountsTwice(t *testing.T) {
	f := failing{left: 2}
	c := usage.New(&f, quiet(usage.Options{}))
	want := make(map[string]int64)
	for i := range 1700 {
		c.Pulled(1, usage.Pull{RepositoryID: int64(i % 3), Digest: fmt.Sprint(i)})
		want[fmt.Sprintf("%d %d ", i%3, i)] = 1
	}
	c.Write(t.Context())
	if len(f.pulls) != 1000 {
		t.Errorf("%d were written before the failure", len(f.pulls))
	}
	f.left = 10
	c.Write(t.Context())
	c.Write(t.Context())
	f.want(t, "in the end", want)
}

// TestNamed: who asked what a tag names, and then fetches that, pulled the tag.
func TestNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k kept
		c := usage.New(&k, usage.Options{MaxPulled: 3})
		tag, digest := usage.Pull{RepositoryID: 1, Digest: "a", Tag: "v1"}, usage.Pull{RepositoryID: 1, Digest: "a"}
		want := make(map[string]int64)
		written := func(what string, tags, digests int64) {
			t.Helper()
			c.Write(t.Context())
			if want["1 a v1"] += tags; tags+want["1 a v1"] == 0 {
				delete(want, "1 a v1")
			}
			want["1 a "] += digests
			k.want(t, what, want)
		}
		c.Pulled(1, digest)
		written("by digest", 0, 1)
		c.Named(1, tag)
		c.Pulled(2, digest)
		written("another client", 0, 1)
		c.Pulled(1, digest)
		c.Pulled(1, digest)
		written("once for each question", 1, 1)
		c.Named(1, tag)
		time.Sleep(time.Minute)
		c.Pulled(1, digest)
		written("too late", 0, 1)
		c.Named(1, tag)
		for i := range 3 {
			c.Named(9, usage.Pull{RepositoryID: 1, Digest: fmt.Sprint(i), Tag: "x"})
		}
		c.Pulled(1, digest)
		written("too many clients ask", 0, 1)
	})
}

func BenchmarkPulled(b *testing.B) {
	var k kept
	c := usage.New(&k, usage.Options{})
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			c.Pulled(1, usage.Pull{RepositoryID: 1, Digest: "sha256:0123456789abcdef", Tag: "v1"})
		}
	})
}
