package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/api"
)

// message is one message of a stream.
type message struct {
	id, data string
}

// stream opens the event stream and hands over its messages.
func (h *harbour) stream(t *testing.T, query, last string) <-chan message {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.server.URL+api.Prefix+"/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(user, user+" password")
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	answer, err := h.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("got %d, %s", answer.StatusCode, kind)
	}
	messages, done := make(chan message, 100), make(chan struct{})
	go func() {
		defer close(done)
		defer answer.Body.Close()
		var m message
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			switch line := lines.Text(); {
			case strings.HasPrefix(line, "id: "):
				m.id = line[4:]
			case strings.HasPrefix(line, "data: "):
				m.data = line[6:]
			case strings.HasPrefix(line, "event"):
				t.Errorf("onmessage does not get %q", line)
			case line == "" && m.data != "":
				messages <- m
				m = message{}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return messages
}

func next(t *testing.T, messages <-chan message) (m message, e api.Event) {
	t.Helper()
	select {
	case m = <-messages:
		if err := json.Unmarshal([]byte(m.data), &e); err != nil || m.id == "" {
			t.Fatalf("%+v: %v", m, err)
		}
		return m, e
	case <-time.After(20 * time.Second):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

func TestEvents(t *testing.T) {
	h := newHarbour(t)
	live := h.stream(t, "?topics=jobs,images", "")
	ready, e := next(t, live)
	if e.Type != "ready" {
		t.Fatalf("got %+v", e)
	}
	r := h.send(t, http.MethodPost, "/jobs/expire-assessments/run", nil, admin)
	if r.status != http.StatusAccepted {
		t.Fatalf("%d %s", r.status, r.body)
	}
	_, e = next(t, live)
	if e.Type != "job" || e.Job == nil || e.Job.Kind != "expire-assessments" || e.Job.State != "queued" {
		t.Fatalf("got %+v", e)
	}
	// One that was away is told what it missed.
	back := h.stream(t, "", ready.id)
	if _, e := next(t, back); e.Type != "ready" {
		t.Errorf("got %+v", e)
	}
	if _, e := next(t, back); e.Type != "job" || e.Job.State != "queued" {
		t.Errorf("got %+v", e)
	}
	if r := h.send(t, http.MethodGet, "/events", nil, nobody); r.status != http.StatusUnauthorized {
		t.Errorf("nobody: %d %s", r.status, r.body)
	}
}

func TestJobsOverREST(t *testing.T) {
	h := newHarbour(t)
	send := func(method, path, body, who string, status int) map[string]any {
		t.Helper()
		var content any
		if body != "" {
			content = body
		}
		r := h.send(t, method, path, content, who)
		if r.status != status {
			t.Fatalf("%s %s: %d %s", method, path, r.status, r.body)
		}
		var answer map[string]any
		if err := json.Unmarshal(r.body, &answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	const path = "/schedules/expire-assessments"
	before := send("GET", path, "", user, 200)
	if before["time_zone"] != "UTC" || before["etag"] != `"1"` || before["kind"] != "expire-assessments" {
		t.Errorf("got %v", before)
	}
	changed := send("PATCH", path, `{"cron": "0 3 * * *", "time_zone": "Asia/Tokyo"}`, admin, 200)
	if changed["next_run_at"] != "2026-11-24T18:00:00Z" || changed["etag"] != `"2"` || changed["enabled"] != true {
		t.Errorf("got %v", changed)
	}
	// Of two that saw the same, the second is told.
	edit := func(tag string) response {
		request, err := http.NewRequestWithContext(t.Context(), "PATCH", h.server.URL+api.Prefix+path, strings.NewReader(`{"enabled": false}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("If-Match", tag)
		request.SetBasicAuth(admin, admin+" password")
		answer, err := h.server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return response{status: answer.StatusCode, header: answer.Header}
	}
	for _, test := range []struct {
		tag    string
		status int
	}{{`"1"`, 412}, {`W/"2"`, 412}, {`2`, 412}, {`"x"`, 412}, {`"2"`, 200}, {`"2"`, 412}, {`*`, 200}} {
		if r := edit(test.tag); r.status != test.status {
			t.Errorf("If-Match %s: %d, want %d", test.tag, r.status, test.status)
		}
	}
	if off := send("GET", path, "", user, 200); off["enabled"] != false || off["next_run_at"] != nil || off["cron"] != "0 3 * * *" {
		t.Errorf("got %v", off)
	}

	kinds := send("GET", "/job-kinds", "", user, 200)["items"].([]any)
	if kind := kinds[0].(map[string]any); kind["name"] != "expire-assessments" || kind["last_job"] != nil || kind["schedule"] == nil || kind["queued"] != 0.0 {
		t.Errorf("got %v", kind)
	}
	queued := send("POST", "/jobs/expire-assessments/run", "", admin, 202)
	if kind := send("GET", "/job-kinds", "", user, 200)["items"].([]any)[0].(map[string]any); kind["last_job"] == nil || kind["queued"] != 1.0 {
		t.Errorf("got %v", kind)
	}
	if queued["state"] != "queued" || queued["id"] != 1.0 {
		t.Fatalf("got %v", queued)
	}
	send("POST", "/jobs/1/cancel", "", user, 403)
	if cancelled := send("POST", "/jobs/1/cancel", "", admin, 202); cancelled["state"] != "cancelled" || cancelled["cancelled_at"] == nil {
		t.Errorf("got %v", cancelled)
	}
	send("POST", "/jobs/1/cancel", "", admin, 409)
	log := send("GET", "/jobs/1/log", "", user, 200)["items"].([]any)
	if len(log) != 1 || log[0].(map[string]any)["text"] != "cancelled before it ran" || log[0].(map[string]any)["level"] != "warning" {
		t.Errorf("got %v", log)
	}
	if more := send("GET", "/jobs/1/log?after=1", "", user, 200)["items"].([]any); len(more) != 0 {
		t.Errorf("got %v", more)
	}
	if list := send("GET", "/jobs?state=cancelled", "", user, 200)["items"].([]any); len(list) != 1 {
		t.Errorf("got %v", list)
	}
}
