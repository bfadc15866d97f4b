package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/store"
)

func TestImagesToPull(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, _ *assess.Service, _ *ticking) {
		for _, test := range []struct {
			name, repository, digest string
			want                     []string
		}{
			{"an image", "app", imageA, []string{imageA}},
			{"an index", "app", indexC, []string{imageA, imageB}},
			{"an artifact", "app", artifactD, nil},
			{"an index of another repository", "team/app", indexC, nil},
		} {
			got, err := s.ImagesToPull(t.Context(), "main", test.repository, test.digest)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
	})
}

func TestImagesToPullEndsInACircle(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, _ *assess.Service, _ *ticking) {
		s.Exec(t, `insert into manifest_references (manifest_id, kind, position, digest) values (3, 'manifest', 9, '`+indexC+`')`)
		got, err := s.ImagesToPull(t.Context(), "main", "app", indexC)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{imageA, imageB}, got); diff != "" {
			t.Errorf("images (-want +got):\n%s", diff)
		}
	})
}

func TestLiveDecisionsOfPlaces(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, clock *ticking) {
		for _, scope := range []assess.Scope{
			{Kind: assess.Everywhere}, {Kind: assess.Package, Value: "musl"},
			{Kind: assess.Registry, Value: "main"}, {Kind: assess.Registry, Value: "main2"},
			{Kind: assess.Repository, Value: "main/app"}, {Kind: assess.Repository, Value: "main2/app"},
			{Kind: assess.Image, Value: imageA}, {Kind: assess.Image, Value: imageB},
		} {
			r := everywhere("Block")
			r.Scope = scope
			mustAssess(t, service, r)
		}
		for _, test := range []struct {
			name            string
			vulnerabilities []int64
			places          []assess.Place
			want            []string
		}{
			{"one place", []int64{1}, []assess.Place{{Registry: "main", Repository: "app", Digest: imageA}},
				[]string{"everywhere", "package musl", "registry main", "repository main/app", "image " + imageA}},
			{"an image that is nowhere", []int64{1, 2}, []assess.Place{{Digest: imageB}}, []string{"everywhere", "package musl", "image " + imageB}},
			{"another vulnerability", []int64{2}, []assess.Place{{Digest: imageB}}, nil},
			{"no vulnerability", nil, []assess.Place{{Digest: imageB}}, nil},
		} {
			decisions, err := s.LiveDecisions(t.Context(), test.vulnerabilities, test.places, clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range decisions {
				got = append(got, d.Scope.String())
				if d.Type != "Block" || !d.Blocks || d.VulnerabilityID != 1 {
					t.Errorf("%s: got %+v", test.name, d)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
	})
}

func TestLiveDecisionsOfManyVulnerabilitiesAndPlaces(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, clock *ticking) {
		mustAssess(t, service, everywhere("Block"))
		ids := make([]int64, 2500)
		places := make([]assess.Place, 6000)
		for i := range ids {
			ids[i] = int64(i)
		}
		for i := range places {
			places[i] = assess.Place{Registry: "main", Repository: time.Duration(i).String(), Digest: imageA}
		}
		decisions, err := s.LiveDecisions(t.Context(), ids, places, clock.Now())
		if err != nil || len(decisions) != 1 {
			t.Errorf("got %d (%v), want 1", len(decisions), err)
		}
		if decisions, err = s.LiveDecisions(t.Context(), ids, places[:2000], clock.Now()); err != nil || len(decisions) != 1 {
			t.Errorf("got %d (%v), want 1", len(decisions), err)
		}
	})
}
