package job

import (
	"context"
	"slices"
	"time"
)

// beat renews leases and stores progress until ended is closed.
func (r *runner) beat(base context.Context, ended <-chan struct{}) {
	opts := r.q.opts
	tick := time.NewTicker(min(opts.Poll, opts.Lease/6))
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		r.saveProgress(base)
		r.heedCancellations(base)
		if now := opts.Now(); r.leaseEndsBefore(now.Add(opts.Lease * 2 / 3)) {
			r.renew(base, now)
		}
	}
}

func (r *runner) saveProgress(base context.Context) {
	var news []Progress
	var of []*Task
	for _, task := range r.current() {
		if progress, fresh := task.news(); fresh {
			news, of = append(news, progress), append(of, task)
		}
	}
	if len(news) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(base, callTimeout)
	defer cancel()
	if err := r.q.store.SaveJobProgress(ctx, r.owner, r.q.opts.Now(), news); err != nil {
		r.q.opts.Log.WarnContext(ctx, "job queue: progress is not stored", "error", err)
		for i, task := range of {
			task.giveBack(news[i].Lines)
		}
	}
}

// heedCancellations ends the jobs that somebody wants ended, here or by way of
// another replica.
func (r *runner) heedCancellations(base context.Context) {
	tasks := r.current()
	if len(tasks) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(base, callTimeout)
	defer cancel()
	ids, err := r.q.store.JobsToCancel(ctx, r.owner)
	if err != nil {
		r.q.opts.Log.WarnContext(ctx, "job queue: cannot see which jobs are cancelled", "error", err)
		return
	}
	for _, task := range tasks {
		if slices.Contains(ids, task.ID) {
			task.cancel(ErrCancelled)
		}
	}
}

// renew moves the leases of all running jobs and cancels those that are lost,
// or that may be lost because the store did not answer for a whole lease.
func (r *runner) renew(base context.Context, now time.Time) {
	tasks := r.current()
	if len(tasks) == 0 {
		return
	}
	holds := make([]Hold, len(tasks))
	for i, task := range tasks {
		holds[i] = task.hold()
	}
	until := now.Add(r.q.opts.Lease)
	// A call that hangs must not outlast the leases.
	ctx, cancel := context.WithTimeout(base, r.q.opts.Lease/3)
	kept, err := r.q.store.HoldJobs(ctx, r.owner, holds, until)
	cancel()
	if err != nil {
		r.q.opts.Log.WarnContext(base, "job queue: leases are not renewed", "jobs", len(holds), "error", err)
	}
	still := make(map[int64]bool, len(kept))
	for _, id := range kept {
		still[id] = true
	}
	now = r.q.opts.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, task := range tasks {
		switch {
		case r.tasks[task.ID] != task: // recorded as finished meanwhile
		case still[task.ID]:
			task.leaseEnd = until
		case err == nil || !now.Before(task.leaseEnd):
			task.cancel(ErrLeaseLost)
		}
	}
}

func (r *runner) leaseEndsBefore(t time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, task := range r.tasks {
		if !task.leaseEnd.After(t) {
			return true
		}
	}
	return false
}

// current lists the tasks whose end is not recorded yet.
func (r *runner) current() []*Task {
	r.mu.Lock()
	defer r.mu.Unlock()
	tasks := make([]*Task, 0, len(r.tasks))
	for _, task := range r.tasks {
		tasks = append(tasks, task)
	}
	return tasks
}
