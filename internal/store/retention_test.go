package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/retention"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// TestRetentionDoesWhatItSaid: over random repositories and rules, what goes is the
// list that the dry run showed, all of it is in the trash, and whatever stays is whole.
func TestRetentionDoesWhatItSaid(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		service := retention.New(s, retention.Options{Now: clock.Now, TrashDays: func(context.Context) int { return 7 }})
		total := 0
		for round := range 12 {
			random := rand.New(rand.NewPCG(uint64(round), 7))
			r := mustRepository(t, s, "main", fmt.Sprintf("app%d", round%3))
			for n := range 3 {
				if err := s.LinkBlob(ctx, r.ID, sha(n), 5); err != nil {
					t.Fatal(err)
				}
			}
			var pushed []*registry.Manifest
			for n := range 10 {
				text := imageText(1, fmt.Sprintf(`,"annotations":{"n":"%d %d"}`, round, n))
				if len(pushed) > 0 && random.IntN(3) == 0 {
					of := pushed[random.IntN(len(pushed))]
					text = imageText(1, fmt.Sprintf(`,"annotations":{"n":"%d %d"},"artifactType":"x/y","subject":%s`, round, n, descriptor(of)))
				} else if len(pushed) > 0 && random.IntN(3) == 0 {
					text = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"annotations":{"n":"%d %d"},"manifests":[%s]}`, registry.MediaTypeIndex, round, n, descriptor(pushed[random.IntN(len(pushed))]))
				}
				var tags []string
				for range random.IntN(3) {
					tags = append(tags, fmt.Sprintf("%c%d", 'a'+rune(random.IntN(2)), random.IntN(8)))
				}
				m := parsed(t, text)
				if err := s.PutManifest(ctx, r.ID, m, tags); err != nil {
					t.Fatal(err)
				}
				pushed = append(pushed, m)
				clock.advance(12 * time.Hour)
			}
			rules := retention.Rules{UntaggedDays: random.IntN(4), Always: []string{"a1"}, Rules: []retention.Rule{
				{Tags: []string{"a*"}, Last: random.IntN(4), Days: random.IntN(3)}, {Repositories: []string{"app*"}, Last: 1 + random.IntN(4)}}}
			if _, err := service.Change(ctx, "main", nil, rules, 0, "ann"); err != nil {
				t.Fatal(err)
			}
			plan, err := service.Preview(ctx, "main", nil)
			if err != nil {
				t.Fatal(err)
			}
			outcome, err := service.Run(ctx, "main")
			if err != nil {
				t.Fatal(err)
			}
			if plan.Drastic() != "" {
				if outcome.Held == "" || len(outcome.Gone) != 0 {
					t.Fatalf("%s, and %+v", plan.Drastic(), outcome)
				}
				if again, err := service.Preview(ctx, "main", nil); err != nil || !cmp.Equal(again, plan) {
					t.Fatalf("while held something went: %v", err)
				}
				if _, err := service.Confirm(ctx, "main", plan.Digest(), "ann"); err != nil {
					t.Fatal(err)
				}
				if outcome, err = service.Run(ctx, "main"); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(plan.Entries, outcome.Gone); diff != "" {
				t.Fatalf("round %d (-said +went) %s", round, diff)
			}
			total += len(outcome.Gone)
			inTrash, err := s.Trash(ctx, "main", "", 0, len(outcome.Gone))
			if err != nil || len(inTrash) != len(outcome.Gone) {
				t.Fatalf("%d in the trash of %d, %v", len(inTrash), len(outcome.Gone), err)
			}
			for i, e := range outcome.Gone {
				if got := inTrash[len(inTrash)-1-i]; got.Digest != e.Digest || got.Repository != e.Repository || got.Whole != (e.Tag == "") || got.Whole && got.Size != e.Size {
					t.Errorf("went %+v, in the trash is %+v", e, got)
				}
			}
			if again, err := service.Preview(ctx, "main", nil); err != nil || len(again.Entries) != 0 {
				t.Errorf("round %d: a second run would let go %+v, %v", round, again.Entries, err)
			}
			for _, m := range pushed {
				got, err := s.Manifest(ctx, r.ID, m.Digest)
				if err != nil {
					continue
				}
				for _, reference := range m.References {
					if reference.Kind == registry.KindManifest {
						if _, err := s.Manifest(ctx, r.ID, reference.Digest); err != nil {
							t.Errorf("round %d: a part of what is kept went: %v", round, err)
						}
					}
				}
				for _, o := range pushed {
					if o.Subject == got.Digest {
						if _, err := s.Manifest(ctx, r.ID, o.Digest); err != nil {
							t.Errorf("round %d: what is attached to what is kept went: %v", round, err)
						}
					}
				}
			}
		}
		if total < 20 {
			t.Errorf("only %d went", total)
		}
	})
}

func TestRetentionSettings(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		service := retention.New(s, retention.Options{})
		first, err := service.Settings(ctx, "main")
		if err != nil || first.Revision != 1 {
			t.Fatalf("got %+v, %v", first, err)
		}
		days := 3
		second, err := service.Change(ctx, "main", &days, retention.Rules{UntaggedDays: 5}, first.Revision, "ann")
		if err != nil || second.Revision != 2 || *second.TrashDays != 3 || second.Rules.UntaggedDays != 5 || second.ChangedBy != "ann" {
			t.Errorf("got %+v, %v", second, err)
		}
		_, err = service.Change(ctx, "main", nil, retention.Rules{}, first.Revision, "bob")
		wantErr(t, err, registry.ErrChanged)
		_, err = service.Settings(ctx, "none")
		wantErr(t, err, registry.ErrRegistryUnknown)
		_, err = service.Preview(ctx, "none", nil)
		wantErr(t, err, registry.ErrRegistryUnknown)
		_, err = service.Confirm(ctx, "main", "sha256:other", "ann")
		wantErr(t, err, retention.ErrOtherList)
		if list, err := service.Registries(ctx); err != nil || !cmp.Equal(list, []string{"main"}) {
			t.Errorf("got %v, %v", list, err)
		}
		if third, err := service.Change(ctx, "main", nil, retention.Rules{}, second.Revision, "bob"); err != nil || third.Revision != 3 || third.TrashDays != nil {
			t.Errorf("got %+v, %v", third, err)
		}
	})
}
