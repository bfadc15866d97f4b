package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/job"
)

// feedWatch raises the alarm over feeds that are too old: nothing else does, for
// what is stored stays, and is served as if all were well.
type feedWatch struct {
	status    func(context.Context) ([]feed.Status, error)
	schedules func(context.Context) ([]job.Schedule, error)
	log       *slog.Logger
	now       func() time.Time
	started   time.Time

	mu      sync.Mutex
	watched []watchedFeed // as of the last look
}

type watchedFeed struct {
	name        string
	lastSuccess time.Time
	stale       string // why; "" where it is not
}

func newFeedWatch(status func(context.Context) ([]feed.Status, error), schedules func(context.Context) ([]job.Schedule, error), log *slog.Logger, now func() time.Time) *feedWatch {
	return &feedWatch{status: status, schedules: schedules, log: log, now: now, started: now()}
}

// stale says, by name, why feeds are too old.
func (w *feedWatch) stale(ctx context.Context, statuses []feed.Status) (map[string]string, error) {
	schedules, err := w.schedules(ctx)
	if err != nil {
		return nil, err
	}
	now := w.now()
	interval := time.Duration(0)
	for _, s := range schedules {
		if s.Name == updateFeeds && s.Enabled {
			if interval, err = job.Interval(s.Cron, now); err != nil {
				return nil, fmt.Errorf("schedule %s: %w", s.Name, err)
			}
		}
	}
	reasons := make(map[string]string)
	for _, s := range statuses {
		if reason := s.Stale(now, interval, w.started); reason != "" {
			reasons[s.Name] = reason
		}
	}
	return reasons, nil
}

// run looks once a minute.
func (w *feedWatch) run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.log.ErrorContext(ctx, "how old the feeds are cannot be told", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look notes how old the feeds are, and logs what changed.
func (w *feedWatch) look(ctx context.Context) error {
	statuses, err := w.status(ctx)
	if err != nil {
		return err
	}
	reasons, err := w.stale(ctx, statuses)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := make(map[string]bool)
	for _, f := range w.watched {
		before[f.name] = f.stale != ""
	}
	w.watched = w.watched[:0]
	for _, s := range statuses {
		f := watchedFeed{name: s.Name, lastSuccess: s.LastSuccess, stale: reasons[s.Name]}
		w.watched = append(w.watched, f)
		switch {
		case f.stale != "" && !before[f.name]:
			w.log.WarnContext(ctx, "a feed is stale", "feed", f.name, "reason", f.stale)
		case f.stale == "" && before[f.name]:
			w.log.InfoContext(ctx, "a feed is current again", "feed", f.name)
		}
	}
	return nil
}

// alarms are a line for each feed that is too old.
func (w *feedWatch) alarms() (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.watched {
		if f.stale != "" {
			lines = append(lines, "feed "+f.name+" is stale: "+f.stale)
		}
	}
	return lines
}

var (
	feedAge = prometheus.NewDesc("pratique_feed_age_seconds",
		"How long ago every document of the feed was last confirmed; absent where that never was.", []string{"feed"}, nil)
	feedStale = prometheus.NewDesc("pratique_feed_stale",
		"1 where the feed is older than twice the interval at which it is to be read, else 0.", []string{"feed"}, nil)
)

// Describe implements prometheus.Collector.
func (w *feedWatch) Describe(out chan<- *prometheus.Desc) {
	out <- feedAge
	out <- feedStale
}

// Collect implements prometheus.Collector.
func (w *feedWatch) Collect(out chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	for _, f := range w.watched {
		if !f.lastSuccess.IsZero() {
			out <- prometheus.MustNewConstMetric(feedAge, prometheus.GaugeValue, now.Sub(f.lastSuccess).Seconds(), f.name)
		}
		stale := 0.0
		if f.stale != "" {
			stale = 1
		}
		out <- prometheus.MustNewConstMetric(feedStale, prometheus.GaugeValue, stale, f.name)
	}
}
