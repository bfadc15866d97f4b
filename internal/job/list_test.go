package job_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/store"
)

func TestJobsPagesAndFilters(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		q := job.New(s, options(t, nil))
		fill(t, s, 1000)
		queued := enqueue(t, q, "image", "new")
		all := func(filter job.Filter) (ids []int64) {
			filter.Limit = 37
			for {
				page, err := q.Jobs(t.Context(), filter)
				if err != nil {
					t.Fatal(err)
				}
				for _, j := range page {
					if filter.Kind != "" && j.Kind != filter.Kind || filter.State != "" && j.State != filter.State {
						t.Errorf("filter %+v lets %+v through", filter, j)
					}
					if n := len(ids); n > 0 && j.ID >= ids[n-1] {
						t.Errorf("filter %+v: job %d after %d", filter, j.ID, ids[n-1])
					}
					ids = append(ids, j.ID)
				}
				if len(page) < filter.Limit {
					return ids
				}
				filter.Before = page[len(page)-1].ID
			}
		}
		for _, test := range []struct {
			filter job.Filter
			want   int
		}{
			{job.Filter{}, 1001}, {job.Filter{Kind: "image"}, 101}, {job.Filter{Kind: "layer"}, 900}, {job.Filter{Kind: "none"}, 0},
			{job.Filter{State: job.Done}, 990}, {job.Filter{State: job.Failed}, 10}, {job.Filter{State: job.Running}, 0},
			{job.Filter{Kind: "layer", State: job.Queued}, 0},
		} {
			if got := all(test.filter); len(got) != test.want {
				t.Errorf("filter %+v: got %d jobs, want %d", test.filter, len(got), test.want)
			}
		}
		if diff := cmp.Diff([]int64{queued}, all(job.Filter{Kind: "image", State: job.Queued})); diff != "" {
			t.Error(diff)
		}
		oldest, err := q.Jobs(t.Context(), job.Filter{Kind: "image", Oldest: true, Limit: 3})
		if err != nil || len(oldest) != 3 || oldest[0].ID > oldest[1].ID || oldest[1].ID > oldest[2].ID {
			t.Fatalf("the oldest: %+v, %v", oldest, err)
		}
		if next, err := q.Jobs(t.Context(), job.Filter{Kind: "image", Oldest: true, After: oldest[1].ID, Limit: 1}); err != nil || len(next) != 1 || next[0].ID != oldest[2].ID {
			t.Errorf("after the second: %+v, %v", next, err)
		}
		if _, err := q.Jobs(t.Context(), job.Filter{State: "lost"}); !errors.Is(err, job.ErrInvalid) {
			t.Errorf("unknown state: got %v, want ErrInvalid", err)
		}
	})
}
