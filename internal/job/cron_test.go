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
		got, err := job.Next(test.expression, time.UTC, after)
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
		if got, err := job.Next(expression, time.UTC, time.Date(2026, 11, 24, 3, 4, 5, 0, time.UTC)); !errors.Is(err, job.ErrInvalid) {
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
		got, err := job.Next(expression, time.UTC, after)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q after %v: got %v, %v; want %v", expression, after, got, err, want)
		}
		compared++
	}
	t.Logf("%d expressions", compared)
}

// TestNextFollowsClocks: on 2026-03-29 at 01:00 UTC the clocks of Berlin went
// from 02:00 to 03:00, on 2026-10-25 at 01:00 UTC from 03:00 to 02:00.
func TestNextFollowsClocks(t *testing.T) {
	for _, test := range []struct {
		name, expression, zone, after string
		want                          []string // in UTC
	}{
		{"winter and summer", "0 3 * * *", "Europe/Berlin", "2026-03-27 12:00", []string{"2026-03-28 02:00", "2026-03-29 01:00", "2026-03-30 01:00"}},
		{"in the hour that is left out", "30 2 * * *", "Europe/Berlin", "2026-03-28 00:00", []string{"2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"}},
		{"often in the hour that is left out", "*/20 2 * * *", "Europe/Berlin", "2026-03-29 00:00", []string{"2026-03-29 01:00", "2026-03-30 00:00", "2026-03-30 00:20"}},
		{"each hour over it", "30 * * * *", "Europe/Berlin", "2026-03-29 00:00", []string{"2026-03-29 00:30", "2026-03-29 01:30", "2026-03-29 02:30"}},
		{"each minute over it", "* * * * *", "Europe/Berlin", "2026-03-29 00:58", []string{"2026-03-29 00:59", "2026-03-29 01:00", "2026-03-29 01:01"}},
		{"in the hour that comes twice", "30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", []string{"2026-10-25 00:30", "2026-10-26 01:30"}},
		{"between the two", "30 2 * * *", "Europe/Berlin", "2026-10-25 00:45", []string{"2026-10-26 01:30"}},
		{"at the change back", "0 2 * * *", "Europe/Berlin", "2026-10-24 12:00", []string{"2026-10-25 00:00", "2026-10-26 01:00"}},
		{"after the change back", "0 3 * * *", "Europe/Berlin", "2026-10-24 12:00", []string{"2026-10-25 02:00", "2026-10-26 02:00"}},
		{"each half hour over it", "*/30 * * * *", "Europe/Berlin", "2026-10-25 00:00", []string{"2026-10-25 00:30", "2026-10-25 01:00", "2026-10-25 01:30", "2026-10-25 02:00"}},
		{"@hourly over it", "@hourly", "Europe/Berlin", "2026-10-24 23:30", []string{"2026-10-25 00:00", "2026-10-25 01:00", "2026-10-25 02:00"}},
		{"half an hour", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 00:00", []string{"2026-10-03 15:30", "2026-10-04 15:15"}},
		{"midnight that does not exist", "0 0 * * *", "Africa/Cairo", "2026-04-22 23:00", []string{"2026-04-23 22:00", "2026-04-24 21:00"}},
		{"a day that did not exist", "0 12 30 12 *", "Pacific/Apia", "2011-12-29 00:00", []string{"2011-12-30 10:00", "2012-12-29 22:00"}},
		{"quarters", "0 9 * * MON", "Asia/Kathmandu", "2026-11-24 12:00", []string{"2026-11-30 03:15"}},
		{"a day of the month that is another one in UTC", "0 0 1 * *", "Asia/Tokyo", "2026-11-24 12:00", []string{"2026-11-30 15:00", "2026-12-31 15:00"}},
		{"leap day", "0 0 29 2 *", "America/New_York", "2026-11-24 12:00", []string{"2028-02-29 05:00", "2032-02-29 05:00"}},
		{"UTC", "0 0 * * *", "UTC", "2026-03-28 12:00", []string{"2026-03-29 00:00"}},
	} {
		const layout = "2006-01-02 15:04"
		zone, err := job.Zone(test.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(layout, test.after)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if at, err = job.Next(test.expression, zone, at); err != nil || at.Format(layout) != want {
				t.Errorf("%s: got %v, %v; want %s", test.name, at, err, want)
			}
		}
	}
}

// TestNextOverYears: in zones with all kinds of changes, each result is after
// the one before, and expressions that name one time of the day are due once on
// each day that the calendar of the zone has.
func TestNextOverYears(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca", "America/New_York", "Asia/Tehran"} {
		zone, err := job.Zone(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, expression := range []string{"0 0 * * *", "30 2 * * *"} {
			at, err := job.Next(expression, zone, time.Date(2017, 1, 1, 12, 0, 0, 0, time.UTC))
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{at.In(zone).Format(time.DateOnly): true}
			for range 800 {
				next, err := job.Next(expression, zone, at)
				if err != nil || !next.After(at) || next.Sub(at) > 25*time.Hour+time.Minute || next.Sub(at) < 22*time.Hour {
					t.Fatalf("%s in %s after %v: got %v, %v", expression, name, at, next, err)
				}
				day := next.In(zone).Format(time.DateOnly)
				if seen[day] {
					t.Errorf("%s in %s: twice on %s", expression, name, day)
				}
				seen[day], at = true, next
			}
		}
	}
}

func TestZoneRefuses(t *testing.T) {
	for _, name := range []string{"", "Local", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe/Berlin\x00", "+01:00", strings.Repeat("x", 1<<16)} {
		zone, err := job.Zone(name)
		var field *job.FieldError
		if !errors.As(err, &field) || field.Field != "time_zone" || !errors.Is(err, job.ErrInvalid) || len(err.Error()) > 300 {
			t.Errorf("%.40q: got %v, %v; want a FieldError", name, zone, err)
		}
	}
}

func FuzzNext(f *testing.F) {
	for _, seed := range []string{"* * * * *", "*/5 1-3,7 L * MON#2", "0 0 15W * *", "@daily", "0 0 29 2 *", "61 * * * *", "1-2/3 * ? * 5L", "0 0 1 JAN-MAR *"} {
		f.Add(seed, int64(1795489445), "UTC")
		f.Add(seed, int64(1774745999), "Europe/Berlin")
	}
	f.Fuzz(func(t *testing.T, expression string, unix int64, place string) {
		after := time.Unix(unix%(1<<33), 0)
		zone, err := job.Zone(place)
		if err != nil {
			zone = time.UTC
		}
		next, err := job.Next(expression, zone, after)
		if err != nil {
			if !errors.Is(err, job.ErrInvalid) {
				t.Errorf("%q: %v", expression, err)
			}
			return
		}
		if !next.After(after) {
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
