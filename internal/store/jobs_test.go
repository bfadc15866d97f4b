package store_test

import (
	"fmt"
	"testing"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// fillJobs stores n jobs: most are done, one in a hundred failed, the last
// thousand wait.
func fillJobs(t testing.TB, s *store.Store, n int) {
	s.Exec(t, fmt.Sprintf(`insert into jobs (kind, key, state, attempts, max_attempts, run_at, created_at, finished_at)
		with recursive numbers(i) as (select 1 union all select i + 1 from numbers where i < %d)
		select case when i %% 10 = 0 then 'image' else 'layer' end, 'k' || i,
			case when i > %[1]d - 1000 then 'queued' when i %% 100 = 0 then 'failed' else 'done' end,
			1, 5, i, i, case when i > %[1]d - 1000 then null else i end
		from numbers`, n), "analyze")
}

func BenchmarkJobLists(b *testing.B) {
	for name, location := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		s, err := store.Open(b.Context(), location(b), store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		fillJobs(b, s, 100_000)
		for _, filter := range []job.Filter{
			{}, {Before: 50_000}, {Kind: "image"}, {Kind: "layer", Before: 60_000}, {Kind: "none"},
			{State: job.Done}, {State: job.Failed, Before: 2000}, {State: job.Running}, {State: job.Queued},
			{State: job.Queued, Kind: "layer"}, {State: job.Queued, Kind: "none"}, {State: job.Failed, Kind: "image"},
			{State: job.Failed, Kind: "layer"}, {State: job.Done, Kind: "image", Before: 50_000}, {State: job.Running, Kind: "layer"},
		} {
			filter.Limit = 100
			b.Run(fmt.Sprintf("%s/state=%s,kind=%s,before=%d", name, filter.State, filter.Kind, filter.Before), func(b *testing.B) {
				for b.Loop() {
					if _, err := s.Jobs(b.Context(), filter); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
