package job_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/job"
)

func TestNext(t *testing.T) {
	after := time.Date(2026, 11, 24, 3, 4, 5, 6, time.FixedZone("", 3600)) // a Tuesday, 02:04:05 UTC
	for _, test := range []struct{ expression, want string }{
		{"* * * * *", "2026-11-24 02:05"},
		{"4 * * * *", "2026-11-24 03:04"},
		{"*/15 * * * *", "2026-11-24 02:15"},
		{"0 3 * * *", "2026-11-24 03:00"},
		{"0 2 * * *", "2026-11-25 02:00"},
		{"0 0 * * SUN", "2026-11-29 00:00"},
		{"0 0 29 2 *", "2028-02-29 00:00"},
		{"0 0 31 * *", "2026-12-31 00:00"},
		{"59 23 31 12 *", "2026-12-31 23:59"},
		{"0 0 13 * FRI", "2026-11-27 00:00"}, // either day, as cron has it
		{"  5  4  *  *  * ", "2026-11-24 04:05"},
		{"@hourly", "2026-11-24 03:00"},
		{"@daily", "2026-11-25 00:00"},
		{"@yearly", "2027-01-01 00:00"},
	} {
		got, err := job.Next(test.expression, after)
		if err != nil || got.Format("2006-01-02 15:04") != test.want || got.Location() != time.UTC {
			t.Errorf("%q: got %v, %v; want %s UTC", test.expression, got, err, test.want)
		}
	}
}

func TestNextRefuses(t *testing.T) {
	for _, expression := range []string{
		"", " ", "x", "* * * *", "* * * * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
		"*/0 * * * *", "5-1 * * * *", "1,,2 * * * *", "-1 * * * *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 FEB *",
		"@everysecond", "@reboot", "@", "@daily @daily", "\x00 * * * *", strings.Repeat("1,", 200) + "1 * * * *",
	} {
		if got, err := job.Next(expression, time.Date(2026, 11, 24, 3, 4, 5, 0, time.UTC)); !errors.Is(err, job.ErrInvalid) {
			t.Errorf("%q: got %v, %v; want ErrInvalid", expression, got, err)
		}
	}
}

// field is one field of a generated expression and the values that it lets through.
func field(random *rand.Rand, low, high int) (string, []int) {
	var values []int
	between := func(a, b, step int) {
		for v := a; v <= b; v += step {
			values = append(values, v)
		}
	}
	switch random.IntN(4) {
	case 0:
		between(low, high, 1)
		return "*", values
	case 1:
		step := 1 + random.IntN(high)
		between(low, high, step)
		return fmt.Sprintf("*/%d", step), values
	case 2:
		a := low + random.IntN(high-low+1)
		b := a + random.IntN(high-a+1)
		between(a, b, 1)
		return fmt.Sprintf("%d-%d", a, b), values
	default:
		v := low + random.IntN(high-low+1)
		return strconv.Itoa(v), []int{v}
	}
}

// TestNextAgreesWithACalendar compares with a walk over the minutes.
func TestNextAgreesWithACalendar(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	compared := 0
	for range 300 {
		minute, minutes := field(random, 0, 59)
		hour, hours := field(random, 0, 23)
		day, days := field(random, 1, 31)
		expression := minute + " " + hour + " " + day + " * *"
		after := time.Date(2026, time.Month(1+random.IntN(12)), 1+random.IntN(31), random.IntN(24), random.IntN(60), random.IntN(60), 0, time.UTC)
		want := after.Truncate(time.Minute).Add(time.Minute)
		for limit := want.AddDate(0, 3, 0); want.Before(limit); want = want.Add(time.Minute) {
			if slices.Contains(minutes, want.Minute()) && slices.Contains(hours, want.Hour()) && slices.Contains(days, want.Day()) {
				break
			}
		}
		got, err := job.Next(expression, after)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q after %v: got %v, %v; want %v", expression, after, got, err, want)
		}
		compared++
	}
	t.Logf("%d expressions", compared)
}

func FuzzNext(f *testing.F) {
	for _, seed := range []string{"* * * * *", "*/5 1-3,7 L * MON#2", "0 0 15W * *", "@daily", "0 0 29 2 *", "61 * * * *", "1-2/3 * ? * 5L", "0 0 1 JAN-MAR *"} {
		f.Add(seed, int64(1795489445))
	}
	f.Fuzz(func(t *testing.T, expression string, unix int64) {
		after := time.Unix(unix%(1<<33), 0)
		next, err := job.Next(expression, after)
		if err != nil {
			if !errors.Is(err, job.ErrInvalid) {
				t.Errorf("%q: %v", expression, err)
			}
			return
		}
		if !next.After(after) || next.Second() != 0 {
			t.Errorf("%q after %v: got %v", expression, after, next)
		}
	})
}

func TestInterval(t *testing.T) {
	after := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for expression, want := range map[string]time.Duration{
		"17 */6 * * *": 6 * time.Hour, "@hourly": time.Hour, "0 9 * * 1-5": 72 * time.Hour, "0 3 * * *": 24 * time.Hour, "0 0 1 * *": 31 * 24 * time.Hour,
		"0 8,20 * * *": 12 * time.Hour, "0 8,10 * * *": 22 * time.Hour,
	} {
		if got, err := job.Interval(expression, after); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", expression, got, err, want)
		}
	}
	if _, err := job.Interval("at noon", after); !errors.Is(err, job.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
