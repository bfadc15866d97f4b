package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/audit"
	"github.com/pratique/pratique/internal/notify"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/store"
)

// titles are those of the events that wait.
func titles(t *testing.T, s *store.Store) (all []string) {
	t.Helper()
	events, err := s.WaitingEvents(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int64, len(events))
	for i, e := range events {
		ids[i] = e.ID
		all = append(all, string(e.Type)+" "+strings.Join(e.Registries, ",")+": "+e.Title)
	}
	if _, err := s.Dispatch(t.Context(), ids, nil); err != nil {
		t.Fatal(err)
	}
	return all
}

// tells calls a look until it finds no more, and looks at what it told.
func tells(t *testing.T, s *store.Store, look func(context.Context) (int, bool, error), want ...string) {
	t.Helper()
	for {
		_, more, err := look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	if diff := cmp.Diff(want, titles(t, s)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestNewsAreToldOnce: of what the logs say each thing is told, and once.
func TestNewsAreToldOnce(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, clock *ticking) {
		titles(t, s)
		for scope, days := range map[assess.Scope]int{{Kind: assess.Registry, Value: "main"}: 10, {Kind: assess.Everywhere}: 20} {
			r := everywhere("Block")
			r.Scope, r.Expiry = scope, assess.Expiry{At: clock.Now().AddDate(0, 0, days)}
			mustAssess(t, service, r)
		}
		week := func(ctx context.Context) (int, bool, error) { return s.TellExpiring(ctx, clock.Now().AddDate(0, 0, 7)) }
		tells(t, s, week)
		clock.Advance(4 * 24 * time.Hour)
		tells(t, s, week, "assessment.expiring main: CVE-1: the assessment Block (registry main) expires on "+clock.Now().AddDate(0, 0, 6).Format(time.DateOnly))
		tells(t, s, week)
		tells(t, s, s.TellExpired)
		clock.Advance(7 * 24 * time.Hour)
		if _, err := service.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		tells(t, s, s.TellExpired, "assessment.expired main: CVE-1: the assessment Block (registry main) has expired")
		tells(t, s, s.TellExpired)

		refused := func(count int) {
			t.Helper()
			detail, err := json.Marshal(map[string]any{"tag": "1", "count": count, "reasons": []string{"CVE-1"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.AppendAudit(t.Context(), audit.Entry{Actor: "ann", Action: "pull.refuse", Object: "image main/app@" + imageA, Detail: detail}); err != nil {
				t.Fatal(err)
			}
		}
		refused(1)
		tells(t, s, s.TellRefusals) // an earlier entry may not be seen yet
		clock.Advance(time.Minute)
		refused(7)
		tells(t, s, s.TellRefusals, "pull.blocked main: main/app:1 was refused to ann")
		clock.Advance(time.Minute)
		tells(t, s, s.TellRefusals, "pull.blocked main: main/app:1 was refused to ann 7 times")
		tells(t, s, s.TellRefusals)
	})
}

func TestFailedJobsAreTold(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, _ *assess.Service, clock *ticking) {
		now := clock.Now().UnixMicro()
		for _, kind := range []string{"scan", "deliver"} {
			s.Exec(t, fmt.Sprintf(`insert into jobs (kind, state, max_attempts, run_at, created_at, finished_at, error) values ('%s', 'failed', 5, %[2]d, %[2]d, %[2]d, 'no luck')`, kind, now))
		}
		look := func(ctx context.Context) (int, bool, error) { return s.TellFailedJobs(ctx, "deliver") }
		tells(t, s, look)
		clock.Advance(time.Minute)
		tells(t, s, look, "job.failed : Job 1 (scan) failed")
		tells(t, s, look)
	})
}

func TestTurned(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, _ *assess.Service, _ *ticking) {
		for i, step := range []struct{ is, news bool }{{false, false}, {true, true}, {true, false}, {false, true}, {true, true}} {
			news, err := s.Turned(t.Context(), string(notify.FeedFailing)+" alpine", step.is)
			if err != nil || news != step.news {
				t.Errorf("step %d: %v, %v", i, news, err)
			}
		}
	})
}

// TestReportsAreNews: what a source reports later is told once, unless somebody
// reported it of the image before.
func TestReportsAreNews(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		muslAdvisory(t, d.Store, "1.1.18-r4")
		d.image(t, d.main, "app", musl("musl", "1.1.18-r3"))
		clair, other := d.source(t, "clair", "main"), d.source(t, "other", "main")
		titles(t, d.Store)
		report := func(name string) source.Reported {
			return source.Reported{Vulnerability: name, Package: "musl", Version: "1.1.18-r3", Severity: advisory.High, Fixed: "2"}
		}
		again := func() {
			t.Helper()
			d.clock.advance(time.Hour)
			if _, err := d.AskAll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		d.answer(t, clair, report("CVE-2024-1"))
		d.answer(t, other)
		tells(t, d.Store, d.TellNewReports)
		again()
		d.answer(t, clair, report("CVE-2024-1"), report("CVE-2024-2"), report("CVE-2019-14697"))
		d.answer(t, other, report("CVE-2024-1"))
		tells(t, d.Store, d.TellNewReports, "finding.new main: CVE-2024-2 (high) in musl: 1 stored image")
		again()
		d.answer(t, clair)
		d.answer(t, other, report("CVE-2024-3"))
		tells(t, d.Store, d.TellNewReports, "finding.new main: CVE-2024-3 (high) in musl: 1 stored image")
		again()
		d.answer(t, clair, report("CVE-2024-4"))
		d.answer(t, other)
		if err := d.DetachSource(t.Context(), "main", "clair"); err != nil {
			t.Fatal(err)
		}
		tells(t, d.Store, d.TellNewReports)
	})
}
