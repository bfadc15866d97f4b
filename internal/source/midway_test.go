package source_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/sourcetest"
)

// midway are the moments at which a source of each kind disappears: while it is told
// the layers, while it fetches them, and while it answers.
var midway = map[string]map[string]sourcetest.Fault{
	"clair-v1": {
		"between two layers":             {At: "/v1/layers", Skip: 1, Leave: true},
		"in the answer to a layer":       {At: "/v1/layers", Skip: 1, Cut: true},
		"fetching the second layer":      {At: "/blobs/", Skip: 1, Leave: true},
		"before it is asked what it has": {At: "/v1/layers/", Leave: true},
		"in the answer":                  {At: "/v1/layers/", Cut: true},
	},
	"clair-v4": {
		"when it is told the image":      {At: "/index_report", Leave: true},
		"fetching the second layer":      {At: "/blobs/", Skip: 1, Leave: true},
		"in the index report":            {At: "/index_report", Cut: true},
		"before it is asked what it has": {At: "/vulnerability_report/", Leave: true},
		"in the answer":                  {At: "/vulnerability_report/", Cut: true},
	},
	"scanner-adapter": {
		"when it is told the image":      {At: "/api/v1/scan", Leave: true},
		"fetching the second layer":      {At: "/blobs/", Skip: 1, Leave: true},
		"in the answer to the image":     {At: "/api/v1/scan", Cut: true},
		"before it is asked what it has": {At: "/report", Leave: true},
		"in the answer":                  {At: "/report", Cut: true},
	},
}

// TestDisappearsMidway: a source that is gone in the middle of a scan, and comes back
// after a while, has said in the end what it says to whoever is not disturbed.
func TestDisappearsMidway(t *testing.T) {
	for kind, start := range standIns() {
		undisturbed, well := newHarbour(t), start(t)
		undisturbed.attach(t, kind, well.URL)
		undisturbed.work(t)
		want := undisturbed.found(t)
		if len(want) == 0 {
			t.Fatalf("%s finds nothing", kind)
		}
		for moment, fault := range midway[kind] {
			for _, forgets := range []bool{false, true} {
				name := kind + " " + moment
				if forgets {
					name += ", with all that it knew"
				}
				t.Run(name, func(t *testing.T) {
					h, service := newHarbour(t), start(t)
					h.backoff = func(try int) time.Duration { return time.Minute << (2 * (try - 1)) }
					h.attach(t, kind, service.URL)
					service.Fail(fault)
					h.work(t)
					scan := h.scan(t)
					if scan.State != source.Waiting || scan.Attempts != 1 || scan.Error == "" || !scan.NextTryAt.Equal(h.clock.Now().Add(time.Minute)) {
						t.Fatalf("cut off: %+v", scan)
					}
					if found := h.found(t); len(found) > 0 {
						t.Errorf("half a scan came to %v", found)
					}
					// It is still away at the next try, and is asked later and later.
					h.clock.advance(time.Minute)
					h.work(t)
					if scan = h.scan(t); scan.State != source.Waiting || scan.Attempts != 2 || !strings.Contains(scan.Error, "nothing listens at") ||
						!scan.NextTryAt.Equal(h.clock.Now().Add(4*time.Minute)) {
						t.Fatalf("away: %+v", scan)
					}
					before := len(service.Requests())
					h.clock.advance(3 * time.Minute)
					h.work(t)
					if scan = h.scan(t); scan.Attempts != 2 || len(service.Requests()) != before {
						t.Errorf("it was asked before its time: %+v", scan)
					}
					if forgets {
						service.Forget()
					}
					service.Return(t)
					h.clock.advance(time.Minute)
					h.work(t)
					if scan = h.scan(t); scan.State != source.Answered || scan.Error != "" || !scan.AnsweredAt.Equal(h.clock.Now()) {
						t.Fatalf("back: %+v", scan)
					}
					if diff := cmp.Diff(want, h.found(t)); diff != "" {
						t.Errorf("findings (-undisturbed +disturbed):\n%s", diff)
					}
					for _, layer := range []string{"base", "top"} {
						if !slices.Contains(service.Fetched(), digestOf(layer)) {
							t.Errorf("fetched %v, not %s", service.Fetched(), layer)
						}
					}
				})
			}
		}
	}
}

// TestDisappearsAfterAnAnswer: what a source said before stands while it is away in the
// middle of a later scan, with what people are told of it.
func TestDisappearsAfterAnAnswer(t *testing.T) {
	for kind, start := range standIns() {
		h, service := newHarbour(t), start(t)
		h.attach(t, kind, service.URL)
		h.work(t)
		answered := h.scan(t).AnsweredAt
		service.Fail(midway[kind]["in the answer"])
		h.clock.advance(time.Hour)
		h.again(t)
		if scan := h.scan(t); scan.State != source.Waiting || !scan.AnsweredAt.Equal(answered) || !strings.Contains(scan.Error, "closed too early") {
			t.Errorf("%s: %+v", kind, scan)
		}
		if diff := cmp.Diff([]string{finding}, h.found(t)); diff != "" {
			t.Errorf("%s: the answer before is gone (-want +got):\n%s", kind, diff)
		}
		service.Return(t)
		h.clock.advance(time.Minute)
		h.work(t)
		if scan := h.scan(t); scan.State != source.Answered || !scan.AnsweredAt.Equal(h.clock.Now()) {
			t.Errorf("%s: %+v", kind, scan)
		}
	}
}

// TestKilledAndStartedAgain: the process that comes in the place of a killed one goes
// on at once, another one when the lease is over.
func TestKilledAndStartedAgain(t *testing.T) {
	h, service := newHarbour(t), standIns()["clair-v1"](t)
	h.replica = "one"
	o := h.attach(t, "clair-v1", service.URL)
	claimed, err := h.store.ClaimScans(t.Context(), o.ID, "one/the killed one", 1, 5, h.clock.Now(), h.clock.Now().Add(time.Hour))
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claimed %v, %v", claimed, err)
	}
	for _, other := range []string{"", "two", "on"} {
		h.replica = other
		w := h.worker(time.Minute)
		if err := w.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Work(t.Context(), "scanner"); err != nil {
			t.Fatal(err)
		}
		if scan := h.scan(t); scan.State != source.Running || len(service.Requests()) > 0 {
			t.Errorf("replica %q took it: %+v", other, scan)
		}
	}
	h.replica = "one"
	again := h.worker(time.Minute)
	if err := again.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Work(t.Context(), "scanner"); err != nil {
		t.Fatal(err)
	}
	if scan := h.scan(t); scan.State != source.Answered {
		t.Errorf("got %+v", scan)
	}
	if diff := cmp.Diff([]string{finding}, h.found(t)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
