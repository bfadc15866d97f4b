package job

import (
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// Next is the first time after the one given at which a cron expression is due,
// in UTC. Expressions have five fields (minute, hour, day of the month, month,
// day of the week) or are one of @hourly, @daily, @weekly, @monthly, @yearly,
// @annually, @5minutes, @10minutes, @15minutes and @30minutes. The error wraps
// ErrInvalid; an expression that is never due is one, too.
//
// The syntax is that of https://github.com/adhocore/gronx without seconds and years.
func Next(expression string, after time.Time) (time.Time, error) {
	refused := func(why string) (time.Time, error) {
		return time.Time{}, fmt.Errorf("cron expression %q: %s: %w", expression, why, ErrInvalid)
	}
	const maxLength = 200
	if len(expression) > maxLength {
		return time.Time{}, fmt.Errorf("cron expression of %d bytes: more than %d: %w", len(expression), maxLength, ErrInvalid)
	}
	if fields := strings.Fields(expression); strings.HasPrefix(expression, "@") {
		if strings.EqualFold(expression, "@everysecond") {
			return refused("more often than every minute")
		}
	} else if len(fields) != 5 {
		return refused(fmt.Sprintf("want five fields, not %d", len(fields)))
	}
	if !gronx.IsValid(expression) {
		return refused("not understood")
	}
	next, err := gronx.NextTickAfter(expression, after.UTC(), false)
	if err != nil {
		return refused("never due")
	}
	due, err := gronx.New().IsDue(expression, next)
	if err != nil || !due || !next.After(after) {
		return refused("never due")
	}
	return next.UTC(), nil
}

// Interval is the longest time between one and the next of the times at which a cron
// expression is due, as far as the next ones after a time tell. The error is Next's.
func Interval(expression string, after time.Time) (longest time.Duration, err error) {
	const several = 10 // more than a week of days
	last, err := Next(expression, after)
	if err != nil {
		return 0, err
	}
	for range several {
		next, err := Next(expression, last)
		if err != nil {
			return 0, err
		}
		longest = max(longest, next.Sub(last))
		last = next
	}
	return longest, nil
}
