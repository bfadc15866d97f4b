package feed_test

import (
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
)

func TestStale(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name     string
		age      time.Duration // 0 is never
		interval time.Duration
		running  time.Duration
		failure  string
		want     string
	}{
		{"fresh", time.Hour, 6 * time.Hour, 0, "", ""},
		{"one update was missed", 12 * time.Hour, 6 * time.Hour, 0, "", ""},
		{"twice the interval", 12*time.Hour + time.Second, 6 * time.Hour, 0, "", "it was last read as a whole at 2026-11-25T23:59:59Z; it is to be read every 6h"},
		{"and it is known why", 13 * time.Hour, 6 * time.Hour, 0, "no route", "it was last read as a whole at 2026-11-25T23:00:00Z; it is to be read every 6h; the last update failed: no route"},
		{"that failed lately", time.Hour, 6 * time.Hour, 0, "no route", ""},
		{"every ten minutes", 21 * time.Minute, 10 * time.Minute, 0, "", "it was last read as a whole at 2026-11-26T11:39:00Z; it is to be read every 10m"},
		{"every hour and a half", 4 * time.Hour, 90 * time.Minute, 0, "", "it was last read as a whole at 2026-11-26T08:00:00Z; it is to be read every 1h30m"},
		{"never, for the program has just begun", 0, 6 * time.Hour, time.Minute, "", ""},
		{"never, and that for long", 0, 6 * time.Hour, 13 * time.Hour, "refused", "it was never read as a whole; it is to be read every 6h; the last update failed: refused"},
		{"imported by hand", 6 * 24 * time.Hour, 0, 0, "", ""},
		{"imported by hand, and then forgotten", 8 * 24 * time.Hour, 0, 0, "", "it was last read as a whole at 2026-11-18T12:00:00Z; no schedule updates it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := feed.Status{Name: "x", Error: test.failure}
			if test.age > 0 {
				s.LastSuccess = now.Add(-test.age)
			}
			if got := s.Stale(now, test.interval, now.Add(-test.running)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
