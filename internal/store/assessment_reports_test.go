package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/source"
)

// TestRulesSeeWhatSourcesReport: rules, what reopens, and previews are about what
// external sources report as about what the built-in analyser finds.
func TestRulesSeeWhatSourcesReport(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		ctx := t.Context()
		service := assess.New(d.Store, assess.Options{Now: d.clock.Now})
		if err := service.Seed(ctx); err != nil {
			t.Fatal(err)
		}
		d.image(t, d.main, "app", musl("musl", "1"))
		clair := d.source(t, "clair", "main")
		said := source.Reported{Vulnerability: "X-1", Package: "musl", Version: "1", Severity: advisory.Low}
		other := source.Reported{Vulnerability: "X-2", Package: "elsewhere", Version: "7", Severity: advisory.Low}
		d.answer(t, clair, said, other)
		rule := func(r *assess.Rule) {
			t.Helper()
			if _, err := service.ChangeType(ctx, "Ignore", assess.TypeChange{Rule: &r}, 0); err != nil {
				t.Fatal(err)
			}
			settled(t, service)
		}
		check := func(what string, want ...string) {
			t.Helper()
			list, err := service.Assessments(ctx, assess.Filter{}, true)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range list {
				got = append(got, fmt.Sprintf("%s %s %s by %s", a.Vulnerability, a.Type, a.Scope, a.Author))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		again := func(findings ...source.Reported) {
			t.Helper()
			d.clock.advance(time.Minute)
			if _, err := d.AskAll(ctx); err != nil {
				t.Fatal(err)
			}
			d.answer(t, clair, findings...)
			settled(t, service)
		}
		rule(&assess.Rule{Feeds: []string{"clair"}, SeverityTo: ptr(advisory.Low)})
		check("by source", "X-2 Ignore everywhere by rule: Ignore", "X-1 Ignore everywhere by rule: Ignore")
		rule(&assess.Rule{Paths: []string{"lib/apk/**"}})
		check("by path, which one has", "X-1 Ignore everywhere by rule: Ignore")
		said.Severity = advisory.High
		rule(&assess.Rule{Packages: []string{"musl"}, SeverityTo: ptr(advisory.Low)})
		check("by package", "X-1 Ignore everywhere by rule: Ignore")
		again(said, other)
		check("the severity rose")
		if err := d.DetachSource(ctx, "main", "clair"); err != nil {
			t.Fatal(err)
		}
		rule(&assess.Rule{Feeds: []string{"clair"}})
		check("detached")
		if _, err := d.AttachSource(ctx, "main", "clair"); err != nil {
			t.Fatal(err)
		}
		settled(t, service)
		check("attached", "X-2 Ignore everywhere by rule: Ignore", "X-1 Ignore everywhere by rule: Ignore")

		rule(nil)
		request := assess.Request{Vulnerability: "X-1", Type: "Block", Author: "ann", Comment: "c", Scope: assess.Scope{Kind: assess.Package, Value: "musl"}}
		preview, err := service.Preview(ctx, []assess.Request{request}, nil, time.Minute)
		if err != nil || preview.Images != 1 || preview.Findings != 1 || preview.Blocked != 1 || !preview.Complete {
			t.Errorf("preview of what only a source reports: %+v, %v", preview, err)
		}
		request.Type = "Ignore"
		request.Expiry.Never = true
		if _, err := service.Assess(ctx, request); err != nil {
			t.Fatal(err)
		}
		check("by a person", "X-1 Ignore package musl by ann")
		said.Fixed = "2"
		again(said, other)
		check("a fix became available")
	})
}

// settled has all that is due judged.
func settled(t *testing.T, service *assess.Service) {
	t.Helper()
	if _, err := service.JudgeDue(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}
