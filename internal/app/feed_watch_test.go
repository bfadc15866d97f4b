package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/job"
)

type pinged struct{ err error }

func (p pinged) Ping(context.Context) error { return p.err }

// TestFeedWatch moves the clock past twice the interval, and looks at what all tell:
// the log, the metrics and the health.
func TestFeedWatch(t *testing.T) {
	at := now
	statuses := []feed.Status{{Name: "alpine", LastSuccess: now}, {Name: "debian", LastSuccess: now, Error: "no route"}, {Name: "suse"}}
	schedule := job.Schedule{Name: updateFeeds, Cron: "0 */6 * * *", Enabled: true}
	var broken error
	var log bytes.Buffer
	w := newFeedWatch(func(context.Context) ([]feed.Status, error) { return statuses, nil },
		func(context.Context) ([]job.Schedule, error) {
			return []job.Schedule{{Name: cleanUploads, Cron: "* * * * *", Enabled: true}, schedule}, broken
		},
		slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})), func() time.Time { return at })
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(w)
	h := &health{database: pinged{}, alarms: w.alarms}
	handler := h.handler(metrics)
	get := func(path string) (int, string) {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		return answer.Code, answer.Body.String()
	}
	look := func(step string, wantLog, wantReady []string, wantStale string) {
		t.Helper()
		log.Reset()
		if err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(log.String()) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
		if diff := cmp.Diff(wantLog, lines); diff != "" {
			t.Errorf("%s: log (-want +got):\n%s", step, diff)
		}
		if status, body := get("/readyz"); status != http.StatusOK || body != strings.Join(append([]string{"ok"}, wantReady...), "\n")+"\n" {
			t.Errorf("%s: ready: %d %s", step, status, body)
		}
		var stale []string
		_, text := get("/metrics")
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "pratique_feed_stale{") {
				stale = append(stale, line[len(line)-2:len(line)-1])
			}
		}
		if got := strings.Join(stale, " "); got != wantStale {
			t.Errorf("%s: stale are %s, want %s", step, got, wantStale)
		}
		if age := fmt.Sprintf("pratique_feed_age_seconds{feed=%q} %v\n", "alpine", at.Sub(statuses[0].LastSuccess).Seconds()); !strings.Contains(text, age) || strings.Contains(text, `age_seconds{feed="suse"}`) {
			t.Errorf("%s: metrics without %s:\n%s", step, age, text)
		}
	}
	look("at first", nil, nil, "0 0 0")
	at = at.Add(12 * time.Hour)
	look("one update was missed", nil, nil, "0 0 0")
	at = at.Add(time.Minute)
	statuses[0].LastSuccess = at.Add(-time.Hour)
	const debian = "it was last read as a whole at 2026-11-25T12:00:00Z; it is to be read every 6h; the last update failed: no route"
	const suse = "it was never read as a whole; it is to be read every 6h"
	alarms := []string{"feed debian is stale: " + debian, "feed suse is stale: " + suse}
	look("two were", []string{
		`level=WARN msg="a feed is stale" feed=debian reason="` + debian + `"`, `level=WARN msg="a feed is stale" feed=suse reason="` + suse + `"`,
	}, alarms, "0 1 1")
	look("it is told once", nil, alarms, "0 1 1")
	statuses[1].LastSuccess, statuses[1].Error = at, ""
	look("the one is read", []string{`level=INFO msg="a feed is current again" feed=debian`}, alarms[1:], "0 0 1")
	schedule.Enabled = false
	look("no schedule, and not a week yet", []string{`level=INFO msg="a feed is current again" feed=suse`}, nil, "0 0 0")
	broken = errors.New("no database")
	if err := w.look(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
