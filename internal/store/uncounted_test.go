package store_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/source"
)

// TestWhatIsLeftToBeCounted has a vulnerability be of more images than a
// transaction counts: what is not counted yet is found nonetheless, and in the end
// all is counted.
func TestWhatIsLeftToBeCounted(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		ctx := t.Context()
		const images = 120 // more than are looked at one by one
		want := make(map[string]bool)
		for n := range images {
			m := mustManifest(t, d.Store, []int64{d.main.ID, d.rest.ID}[n%2], fmt.Sprint("image ", n), nil)
			want[m.Digest] = true
			saveImage(t, d.Store, m.Digest, alpine(musl("musl", "1"), musl(fmt.Sprint("own ", n), "1")))
		}
		d.CountAtOnce(55)
		d.FewImages(50)
		said := func(severity advisory.Severity) {
			t.Helper()
			publish(t, d.Store, "alpine", advisory.Group{Part: "v3.7/main", Name: "all", Advisories: []advisory.Advisory{
				{Vulnerability: "CVE-1", Ecosystem: "alpine:v3.7", Package: "musl", Status: advisory.Affected, Severity: severity}}})
		}
		check := func(step string, counted int) {
			t.Helper()
			list, err := d.Vulnerabilities(ctx, match.Filter{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			if counted == 0 && len(list) > 0 || counted > 0 && (len(list) != 1 || list[0].Images != counted || list[0].Severity != advisory.High) {
				t.Fatalf("%s: listed %+v; want %d images", step, list, counted)
			}
			v, err := d.VulnerabilityByName(ctx, "CVE-1")
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]bool)
			var after *match.AffectedCursor
			for more := true; more; more = after != nil {
				var page []match.Affected
				if page, after, err = d.AffectedImages(ctx, v.ID, after, 25); err != nil {
					t.Fatal(err)
				}
				for _, a := range page {
					if got[a.Digest] {
						t.Fatalf("%s: %s is listed twice", step, a.Digest)
					}
					got[a.Digest] = true
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: affected (-want +got):\n%s", step, diff)
			}
			places, all, err := d.AffectedPlaces(ctx, []int64{v.ID}, []assess.Scope{{Kind: assess.Everywhere}}, 1000)
			if err != nil || !all || len(places) != images {
				t.Errorf("%s: an assessment is of %d places, all %v, %v", step, len(places), all, err)
			}
		}
		said(advisory.High)
		check("nothing is counted at once", 0)
		for _, counted := range []int{55, 110} {
			if left, err := d.CountFindings(ctx); err != nil || left != 1 {
				t.Fatalf("%d left, %v", left, err)
			}
			check("then a part", counted)
		}
		d.CountAll(t)
		check("then all", images)
		// Where not all is the built-in analyser's, other queries are asked.
		mustRegistry(t, d.Store, "third")
		if err := d.DetachSource(ctx, "third", source.BuiltIn); err != nil {
			t.Fatal(err)
		}
		check("looked for in all that is found", images)
		said(advisory.Low)
		said(advisory.High)
		d.CountAll(t)
		check("what changed twice meanwhile", images)
		publish(t, d.Store, "alpine", advisory.Group{Part: "v3.7/main", Name: "all"})
		d.CountAll(t)
		kept, counted := d.Kept(t)
		if diff := cmp.Diff(counted, kept); diff != "" || len(kept) > 0 {
			t.Errorf("after a withdrawal (-counted +kept):\n%s", diff)
		}
	})
}
