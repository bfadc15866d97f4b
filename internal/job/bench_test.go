package job_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// eachB runs a benchmark on both engines.
func eachB(b *testing.B, bench func(b *testing.B, s *store.Store)) {
	for name, location := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		b.Run(name, func(b *testing.B) {
			s, err := store.Open(b.Context(), location(b), store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				if err := s.Close(); err != nil {
					b.Error(err)
				}
			})
			bench(b, s)
		})
	}
}

// BenchmarkThroughput enqueues and does jobs that do nothing, 8 at a time.
func BenchmarkThroughput(b *testing.B) {
	eachB(b, func(b *testing.B, s *store.Store) {
		q := job.New(s, job.Options{})
		did := make(chan struct{}, b.N)
		stop := start(b, q, map[string]job.Handler{"work": {Concurrency: 8, Run: func(context.Context, *job.Task) error {
			did <- struct{}{}
			return nil
		}}})
		requests := make([]job.Request, b.N)
		for i := range requests {
			requests[i] = job.Request{Kind: "work", Key: fmt.Sprint(i)}
		}
		b.ResetTimer()
		if _, err := q.EnqueueAll(b.Context(), requests); err != nil {
			b.Fatal(err)
		}
		for range b.N {
			<-did
		}
		stop()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	})
}

// BenchmarkLatency is from the call of Enqueue to the start of the handler, and
// from the return of Enqueue.
func BenchmarkLatency(b *testing.B) {
	eachB(b, func(b *testing.B, s *store.Store) {
		q := job.New(s, job.Options{})
		started := make(chan time.Time)
		start(b, q, map[string]job.Handler{"work": {Concurrency: 8, Run: func(context.Context, *job.Task) error {
			started <- time.Now()
			return nil
		}}})
		var wake time.Duration
		for i := 0; b.Loop(); i++ {
			if _, err := q.Enqueue(b.Context(), "work", fmt.Sprint(i), nil, job.EnqueueOptions{}); err != nil {
				b.Fatal(err)
			}
			stored := time.Now()
			wake += (<-started).Sub(stored)
		}
		b.ReportMetric(float64(wake.Microseconds())/float64(b.N), "µs-wake/op")
	})
}

// BenchmarkIdlePoll is what a queue with nothing to do costs each second, with
// 100,000 finished jobs in the table.
func BenchmarkIdlePoll(b *testing.B) {
	eachB(b, func(b *testing.B, s *store.Store) {
		fill(b, s, 100_000)
		kinds := []string{"layer", "image", "feeds", "match", "prune", "expire", "notify", "scan"}
		for b.Loop() {
			if _, err := s.JobOutlook(b.Context(), kinds); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// fill stores finished jobs, every hundredth of which failed.
func fill(tb testing.TB, s *store.Store, n int) {
	tb.Helper()
	ctx, now := context.Background(), time.Now()
	drafts := make([]job.Draft, n)
	for i := range drafts {
		kind := "layer"
		if i%10 == 0 {
			kind = "image"
		}
		drafts[i] = job.Draft{Kind: kind, Key: fmt.Sprint(i), Payload: []byte(`{}`), MaxAttempts: 5, RunAt: now, CreatedAt: now}
	}
	if _, err := s.EnqueueJobs(ctx, drafts); err != nil {
		tb.Fatal(err)
	}
	for done := 0; done < n; {
		outcome, err := s.TurnJobs(ctx, job.Turn{Owner: "x", Now: now, LeaseUntil: now.Add(time.Hour), Want: map[string]int{"layer": 25_000, "image": 25_000}})
		if err != nil {
			tb.Fatal(err)
		}
		var results []job.Result
		for _, j := range outcome.Claimed {
			state := job.Done
			if j.ID%100 == 0 {
				state = job.Failed
			}
			results = append(results, job.Result{Hold: job.Hold{ID: j.ID, Try: 1}, State: state, Attempts: 1, FinishedAt: now})
		}
		if _, err := s.TurnJobs(ctx, job.Turn{Owner: "x", Now: now, Results: results}); err != nil {
			tb.Fatal(err)
		}
		done += len(results)
	}
}
