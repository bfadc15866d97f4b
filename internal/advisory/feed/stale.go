package feed

import (
	"fmt"
	"time"
)

// StaleUnscheduled is how old a feed may be that no schedule updates: bundles are
// imported by hand.
const StaleUnscheduled = 7 * 24 * time.Hour

// Stale says why a feed is too old at a time, "" where it is not. It may be as old
// as twice the interval at which it is updated, 0 where it is by no schedule; one
// that was never read counts from the time since when it might have been.
func (s Status) Stale(now time.Time, interval time.Duration, since time.Time) string {
	limit, what := 2*interval, fmt.Sprintf("it is to be read every %s", words(interval))
	if interval <= 0 {
		limit, what = StaleUnscheduled, "no schedule updates it"
	}
	from, when := s.LastSuccess, fmt.Sprintf("it was last read as a whole at %s", s.LastSuccess.UTC().Format(time.RFC3339))
	if from.IsZero() {
		from, when = since, "it was never read as a whole"
	}
	if now.Sub(from) <= limit {
		return ""
	}
	reason := when + "; " + what
	if s.Error != "" {
		reason += "; the last update failed: " + s.Error
	}
	return reason
}

// words writes a duration without the parts that are zero: "6h", "36h", "10m".
func words(d time.Duration) string {
	d = d.Round(time.Minute)
	switch h, m := d/time.Hour, d%time.Hour/time.Minute; {
	case m == 0:
		return fmt.Sprintf("%dh", h)
	case h == 0:
		return fmt.Sprintf("%dm", m)
	default:
		return fmt.Sprintf("%dh%dm", h, m)
	}
}
