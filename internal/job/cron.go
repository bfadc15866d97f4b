package job

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // zones are known where the system has no list of them

	"github.com/adhocore/gronx"
)

// Zone is a place's time zone by its name in the IANA database, such as
// Europe/Berlin or UTC. The error is a *FieldError.
func Zone(name string) (*time.Location, error) {
	const field = "time_zone"
	// "" is UTC to package time, and Local is what differs from machine to machine.
	if name == "" || name == "Local" {
		return nil, &FieldError{field, fmt.Sprintf("%q is not the name of a time zone, such as Europe/Berlin or UTC", name)}
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, &FieldError{field, fmt.Sprintf("%q is not the name of a time zone, such as Europe/Berlin or UTC", clip(name))}
	}
	return zone, nil
}

// Next is the first time after the one given at which a cron expression is due
// by the clocks of a zone, in UTC. Expressions have five fields (minute, hour,
// day of the month, month, day of the week) or are one of @hourly, @daily,
// @weekly, @monthly, @yearly, @annually, @5minutes, @10minutes, @15minutes and
// @30minutes. The error is a *FieldError; an expression that is never due is
// one, too.
//
// Where clocks are put forward, what is due in the hour that they leave out is
// due at the moment they are. Where they are put back, what is due in the hour
// that they show twice is due the first time. Both hold for expressions that
// name the hour; others, whose hours start with an asterisk, are due whenever
// the clocks show it.
//
// The syntax is that of https://github.com/adhocore/gronx without seconds and years.
func Next(expression string, zone *time.Location, after time.Time) (time.Time, error) {
	if err := checkCron(expression); err != nil {
		return time.Time{}, err
	}
	named := namesHours(expression)
	// Between two changes of the offset the clocks run like those of UTC.
	for from, first := after, true; ; first = false {
		_, offset := from.In(zone).Zone()
		_, end := from.In(zone).ZoneBounds()
		shift := time.Duration(offset) * time.Second
		start := asShown(from, shift)
		if !first {
			// The moment of the change counts, too.
			start = start.Add(-time.Nanosecond)
			if named {
				start = later(start, shownBefore(from, zone))
			}
		}
		shown, err := nextShown(expression, start)
		if err != nil {
			return time.Time{}, err
		}
		due := shown.Add(-shift)
		if end.IsZero() || due.Before(end) {
			return due.UTC(), nil
		}
		_, next := end.In(zone).Zone()
		if named && shown.Before(asShown(end, time.Duration(next)*time.Second)) {
			return end.UTC(), nil
		}
		from = end
	}
}

// asShown is what clocks show at an instant, as if they were those of UTC.
func asShown(t time.Time, shift time.Duration) time.Time { return t.UTC().Add(shift) }

// shownBefore is the last that clocks showed when their offset changed, just
// before what they showed next.
func shownBefore(change time.Time, zone *time.Location) time.Time {
	_, offset := change.Add(-time.Nanosecond).In(zone).Zone()
	return asShown(change, time.Duration(offset)*time.Second).Add(-time.Nanosecond)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// namesHours reports whether an expression says which hours it means.
func namesHours(expression string) bool {
	switch strings.ToLower(strings.TrimSpace(expression)) {
	case "@hourly", "@always", "@5minutes", "@10minutes", "@15minutes", "@30minutes":
		return false
	}
	fields := strings.Fields(expression)
	return len(fields) != 5 || !strings.HasPrefix(fields[1], "*")
}

func refused(expression, why string) error {
	return &FieldError{"cron", fmt.Sprintf("expression %q: %s", clip(expression), why)}
}

func checkCron(expression string) error {
	const maxLength = 200
	if len(expression) > maxLength {
		return &FieldError{"cron", fmt.Sprintf("expression of %d bytes: more than %d", len(expression), maxLength)}
	}
	if fields := strings.Fields(expression); strings.HasPrefix(expression, "@") {
		if strings.EqualFold(expression, "@everysecond") {
			return refused(expression, "more often than every minute")
		}
	} else if len(fields) != 5 {
		return refused(expression, fmt.Sprintf("want five fields, not %d", len(fields)))
	}
	if !gronx.IsValid(expression) {
		return refused(expression, "not understood")
	}
	return nil
}

// nextShown is when the clocks of UTC next show what an expression means.
func nextShown(expression string, after time.Time) (time.Time, error) {
	next, err := gronx.NextTickAfter(expression, after, false)
	if err != nil {
		return time.Time{}, refused(expression, "never due")
	}
	due, err := gronx.New().IsDue(expression, next)
	if err != nil || !due || !next.After(after) {
		return time.Time{}, refused(expression, "never due")
	}
	return next, nil
}

// clip shortens what a message repeats.
func clip(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// Interval is the longest time between one and the next of the times at which a cron
// expression is due, as far as the next ones after a time tell. The error is Next's.
func Interval(expression string, after time.Time) (longest time.Duration, err error) {
	const several = 10 // more than a week of days
	last, err := Next(expression, time.UTC, after)
	if err != nil {
		return 0, err
	}
	for range several {
		next, err := Next(expression, time.UTC, last)
		if err != nil {
			return 0, err
		}
		longest = max(longest, next.Sub(last))
		last = next
	}
	return longest, nil
}
