package source_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/sourcetest"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// TestScan has each kind of source asked: it is told the layers, fetches them
// from here, and what it found is stored.
func TestScan(t *testing.T) {
	for kind, start := range standIns() {
		t.Run(kind, func(t *testing.T) {
			h, service := newHarbour(t), start(t)
			h.attach(t, kind, service.URL)
			says, err := h.Test(t.Context(), "scanner")
			if err != nil || says == "" {
				t.Errorf("test: %q, %v", says, err)
			}
			h.work(t)
			if scan := h.scan(t); scan.State != source.Answered || scan.Error != "" || !scan.AnsweredAt.Equal(h.clock.Now()) {
				t.Fatalf("got %+v", scan)
			}
			if diff := cmp.Diff([]string{finding}, h.found(t)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			fetched := service.Fetched()
			for _, layer := range []string{"base", "top"} {
				if !slices.Contains(fetched, digestOf(layer)) {
					t.Errorf("fetched %v, not %s", fetched, layer)
				}
			}
			// Nothing is due any more; when it is asked again, what stays is not new.
			before := len(service.Requests())
			h.work(t)
			if after := len(service.Requests()); after != before {
				t.Errorf("asked for nothing: %v", service.Requests()[before:])
			}
			h.clock.advance(time.Hour)
			h.again(t)
			if scan := h.scan(t); !scan.AnsweredAt.Equal(h.clock.Now()) {
				t.Errorf("got %+v", scan)
			}
			if diff := cmp.Diff([]string{finding}, h.found(t)); diff != "" || h.changed < 2 {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFailures: whatever a source does, its last good answer stands, the reason
// is told, it is asked again after a pause, and given up after five tries.
func TestFailures(t *testing.T) {
	// The last request of each kind, the one that brings the findings.
	last := map[string]string{"clair-v1": "/v1/layers/", "clair-v4": "/vulnerability_report/", "scanner-adapter": "/report"}
	first := map[string]string{"clair-v1": "/v1/layers", "clair-v4": "/index_report", "scanner-adapter": "/api/v1/scan"}
	for kind, start := range standIns() {
		for _, test := range []struct {
			name  string
			fault sourcetest.Fault
			want  string
		}{
			{"answers 500", sourcetest.Fault{At: last[kind], Status: 500, Body: "oops"}, "500"},
			{"answers 500 at first", sourcetest.Fault{At: first[kind], Status: 500}, "500"},
			{"cuts the connection midway", sourcetest.Fault{At: last[kind], Abort: true}, "closed too early"},
			{"answers garbage", sourcetest.Fault{At: last[kind], Status: 200, Body: "<html>"}, "not usable"},
			{"answers nothing", sourcetest.Fault{At: last[kind], Status: 200}, "not usable"},
			{"answers null", sourcetest.Fault{At: last[kind], Status: 200, Body: "null"}, "another"},
			{"answers without an end", sourcetest.Fault{At: last[kind], Endless: true}, "more than 64 MiB"},
			{"answers of another image", sourcetest.Fault{At: last[kind], Status: 200,
				Body: `{"manifest_hash":"sha256:00","artifact":{"digest":"sha256:00"},"Layer":{"Name":"other"}}`}, "another"},
			{"does not know us any more", sourcetest.Fault{At: last[kind], Status: 401}, "header is not one that it accepts"},
		} {
			t.Run(kind+" "+test.name, func(t *testing.T) {
				h, service := newHarbour(t), start(t)
				h.attach(t, kind, service.URL)
				h.work(t)
				answered := h.scan(t).AnsweredAt
				test.fault.Always = true
				service.Fail(test.fault)
				if kind == "clair-v4" && strings.HasPrefix(test.fault.At, "/index_report") {
					service.Fail(sourcetest.Fault{At: "/vulnerability_report/", Status: 404})
				}
				h.clock.advance(time.Hour)
				h.again(t)
				scan := h.scan(t)
				if scan.State != source.Waiting || !strings.Contains(scan.Error, test.want) || !scan.AnsweredAt.Equal(answered) || scan.Attempts != 1 ||
					!scan.NextTryAt.Equal(h.clock.Now().Add(time.Minute)) || strings.Contains(scan.Error, "the-api-key") || strings.Contains(scan.Error, "eyJ") {
					t.Errorf("got %+v, want %q", scan, test.want)
				}
				if diff := cmp.Diff([]string{finding}, h.found(t)); diff != "" {
					t.Errorf("the last good answer is gone (-want +got):\n%s", diff)
				}
				if !slices.Contains(h.woken, scan.NextTryAt) {
					t.Errorf("nobody is woken at %v, but %v", scan.NextTryAt, h.woken)
				}
				if test.name != "answers 500" { // all go on alike
					return
				}
				for range 3 {
					h.clock.advance(time.Minute)
					h.work(t)
				}
				if scan = h.scan(t); scan.State != source.Waiting || scan.Attempts != 4 {
					t.Errorf("after four tries: %+v", scan)
				}
				h.clock.advance(time.Minute)
				h.work(t)
				if scan = h.scan(t); scan.State != source.Quarantined || scan.Attempts != 5 || !scan.NextTryAt.IsZero() || scan.Error == "" {
					t.Errorf("after five tries: %+v", scan)
				}
				service.Mend()
				h.again(t)
				if scan = h.scan(t); scan.State != source.Answered || scan.Error != "" || scan.Attempts != 0 {
					t.Errorf("mended: %+v", scan)
				}
			})
		}
	}
}

// TestHang: a source that says nothing is left after its time-out.
func TestHang(t *testing.T) {
	for kind, start := range standIns() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h, service := newHarbour(t), start(t)
			h.attach(t, kind, service.URL)
			timeout := source.MinTimeout
			if _, err := h.Change(t.Context(), "scanner", 0, source.Change{Timeout: &timeout}); err != nil {
				t.Fatal(err)
			}
			service.Fail(sourcetest.Fault{At: "/", Hang: true, Always: true})
			h.work(t)
			if scan := h.scan(t); scan.State != source.Waiting || !strings.Contains(scan.Error, "5s") {
				t.Errorf("got %+v", scan)
			}
		})
	}
}

// TestRefusals: what no further try mends is given up at once.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		kind, want string
		fault      sourcetest.Fault
	}{
		{"clair-v1", "cannot look at layer 1 of 2: worker: OS and/or package manager are not supported",
			sourcetest.Fault{At: "/v1/layers", Status: 422, Body: `{"Error":{"Message":"worker: OS and/or package manager are not supported"}}`}},
		{"clair-v4", "cannot look at the image: bogus manifest", sourcetest.Fault{At: "/index_report", Status: 400, Body: `{"code":"bad-request","message":"bogus manifest"}`}},
		{"scanner-adapter", "does not take the image: it answers 422: no", sourcetest.Fault{At: "/api/v1/scan", Status: 422, Body: `{"error":{"message":"no"}}`}},
	} {
		h, service := newHarbour(t), standIns()[test.kind](t)
		h.attach(t, test.kind, service.URL)
		service.Fail(test.fault)
		h.work(t)
		if scan := h.scan(t); scan.State != source.Quarantined || scan.Attempts != 1 || !strings.Contains(scan.Error, test.want) {
			t.Errorf("%s: got %+v, want %q", test.kind, scan, test.want)
		}
	}
}

// TestUnfetchable: a source that cannot fetch from here says so.
func TestUnfetchable(t *testing.T) {
	for kind, want := range map[string]string{"clair-v1": "could not fetch layer 1 of 2 from", "clair-v4": "could not index the image: failed to fetch layers", "scanner-adapter": "the scan failed"} {
		h, service := newHarbour(t), standIns()[kind](t)
		h.attach(t, kind, service.URL)
		h.base = "http://127.0.0.1:1"
		h.work(t)
		if scan := h.scan(t); scan.State != source.Waiting || !strings.Contains(scan.Error, want) {
			t.Errorf("%s: got %+v, want %q", kind, scan, want)
		}
	}
}

func TestNoBaseURL(t *testing.T) {
	h, service := newHarbour(t), standIns()["clair-v1"](t)
	base := h.base
	h.attach(t, "clair-v1", service.URL)
	h.base = ""
	if warnings, err := h.Attach(t.Context(), "main", "scanner"); err != nil || len(warnings) != 1 || warnings[0] != source.NoBase {
		t.Errorf("attach: %v, %v", warnings, err)
	}
	h.work(t)
	if scan := h.scan(t); scan.State != source.Waiting || scan.Error != source.NoBase || scan.Attempts != 0 || len(service.Requests()) > 0 {
		t.Errorf("got %+v", scan)
	}
	h.base = base + "/"
	h.clock.advance(time.Minute)
	h.work(t)
	if scan := h.scan(t); scan.State != source.Answered {
		t.Errorf("got %+v", scan)
	}
}

// TestKilled: a process that ends without a word loses nothing; another one goes
// on when its lease is over, and a late answer of the first changes nothing.
func TestKilled(t *testing.T) {
	h, service := newHarbour(t), standIns()["scanner-adapter"](t)
	o := h.attach(t, "scanner-adapter", service.URL)
	claimed, err := h.store.ClaimScans(t.Context(), o.ID, "the killed one", 1, 5, h.clock.Now(), h.clock.Now().Add(time.Minute))
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claimed %v, %v", claimed, err)
	}
	h.work(t)
	if scan := h.scan(t); scan.State != source.Running || len(service.Requests()) > 0 {
		t.Errorf("got %+v", scan)
	}
	h.clock.advance(time.Minute)
	h.work(t)
	if scan := h.scan(t); scan.State != source.Answered {
		t.Errorf("got %+v", scan)
	}
	if err := h.store.AnswerScan(t.Context(), claimed[0].ID, "the killed one", source.Report{}); !errors.Is(err, source.ErrTaken) {
		t.Errorf("a late answer: %v", err)
	}
	if diff := cmp.Diff([]string{finding}, h.found(t)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestShutdown: a try that the end of the process cuts off does not count.
func TestShutdown(t *testing.T) {
	h, service := newHarbour(t), standIns()["clair-v4"](t)
	h.attach(t, "clair-v4", service.URL)
	service.Fail(sourcetest.Fault{At: "/index_report", Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := h.Work(ctx, "scanner")
		ended <- err
	}()
	for !slices.ContainsFunc(service.Requests(), func(r string) bool { return strings.HasPrefix(r, "POST") }) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-ended
	if scan := h.scan(t); scan.State != source.Waiting || scan.Attempts != 0 || scan.Error != "" {
		t.Errorf("got %+v", scan)
	}
	h.work(t)
	if scan := h.scan(t); scan.State != source.Answered {
		t.Errorf("got %+v", scan)
	}
}

// TestTakenOver: who loses its lease stops asking, and stores nothing.
func TestTakenOver(t *testing.T) {
	h, service := newHarbour(t), standIns()["clair-v4"](t)
	h.attach(t, "clair-v4", service.URL)
	service.Fail(sourcetest.Fault{At: "/index_report", Hang: true})
	slow := h.worker(30 * time.Millisecond) // it renews its lease every 10 ms
	ended := make(chan error, 1)
	go func() {
		_, err := slow.Work(t.Context(), "scanner")
		ended <- err
	}()
	for !slices.ContainsFunc(service.Requests(), func(r string) bool { return strings.HasPrefix(r, "POST") }) {
		time.Sleep(time.Millisecond)
	}
	h.clock.advance(time.Hour)
	taken, err := h.store.ClaimScans(t.Context(), h.scan(t).SourceID, "another", 1, 5, h.clock.Now(), h.clock.Now().Add(time.Hour))
	for err == nil && len(taken) == 0 { // it was renewed in between
		h.clock.advance(time.Hour)
		taken, err = h.store.ClaimScans(t.Context(), h.scan(t).SourceID, "another", 1, 5, h.clock.Now(), h.clock.Now().Add(time.Hour))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("work: %v", err)
	}
	if scan := h.scan(t); scan.State != source.Running || scan.Attempts != 2 {
		t.Errorf("got %+v", scan)
	}
}

// TestReplicas: several processes over one database ask once.
func TestReplicas(t *testing.T) {
	location := storetest.PostgresURL(t)
	c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	a := harbourOf(t, location, c)
	b := harbourOf(t, location, c)
	service := standIns()["clair-v4"](t)
	a.attach(t, "clair-v4", service.URL)
	ended := make(chan error, 8)
	for i := range 8 {
		go func() {
			_, err := []*harbour{a, b}[i%2].Work(t.Context(), "scanner")
			ended <- err
		}()
	}
	for range 8 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	posts := 0
	for _, r := range service.Requests() {
		if strings.HasPrefix(r, "POST") {
			posts++
		}
	}
	if scan := a.scan(t); scan.State != source.Answered || posts != 1 {
		t.Errorf("%d posts, %+v", posts, scan)
	}
}

// TestGoneMeanwhile: an image that has left is asked about no more.
func TestGoneMeanwhile(t *testing.T) {
	h, service := newHarbour(t), standIns()["clair-v1"](t)
	h.attach(t, "clair-v1", service.URL)
	if err := h.store.DeleteRegistry(t.Context(), "main", true, "me"); err != nil {
		t.Fatal(err)
	}
	h.work(t)
	if list, err := h.store.Scans(t.Context(), "scanner", "", 0, 10); err != nil || len(list) > 0 || len(service.Requests()) > 0 {
		t.Errorf("got %+v, %v", list, err)
	}
	if err := h.Delete(t.Context(), "scanner", 0); err != nil {
		t.Fatal(err)
	}
	h.work(t)
	if _, err := h.store.ImageByDigest(t.Context(), digestOf("none")); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}
