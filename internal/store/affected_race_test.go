package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
)

// TestFiguresAreCountedByMany has pushes, deletions, feeds, scores and two who count
// what is left all change the same figures at the same time.
func TestFiguresAreCountedByMany(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		const rounds = 25
		d.CountAtOnce(4)
		group, ctx := errgroup.WithContext(t.Context())
		done := make(chan struct{})
		worker := func(seed uint64, f func(ctx context.Context, r *rand.Rand, n int) error) {
			group.Go(func() error {
				r := rand.New(rand.NewPCG(seed, 7))
				for n := range rounds {
					if err := f(ctx, r, n); err != nil {
						return err
					}
				}
				return nil
			})
		}
		of := func(r *rand.Rand) (list []inventory.Installed) {
			for _, p := range r.Perm(5)[:3] {
				list = append(list, musl(fmt.Sprint("package ", p), fmt.Sprint(1+r.IntN(2))))
			}
			return list
		}
		for who := range uint64(2) {
			worker(who, func(ctx context.Context, r *rand.Rand, n int) error {
				m := manifest(fmt.Sprint("image ", int(who)*1000+n%7))
				digest := m.Digest
				if err := d.PutManifest(ctx, d.main.ID, m, nil); err != nil {
					return err
				}
				if err := d.SaveImage(ctx, image.Image{Digest: digest, MediaType: m.MediaType}); err != nil {
					return err
				}
				id, err := d.SaveInventory(ctx, fmt.Sprint(who, " ", n), alpine(of(r)...), match.Package)
				if err != nil {
					return err
				}
				if err := d.SettleImage(ctx, digest, image.Done, "", id); err != nil {
					return err
				}
				if r.IntN(3) == 0 {
					if _, err := d.DeleteManifest(ctx, d.main.ID, digest, registry.Deletion{}); err != nil && !errors.Is(err, store.ErrNotFound) {
						return err
					}
				}
				return nil
			})
		}
		worker(10, func(ctx context.Context, r *rand.Rand, n int) error {
			g := advisory.Group{Part: "v3.7/main", Name: "all", Details: make(map[string]advisory.Detail)}
			for p := range 5 {
				name := fmt.Sprint("CVE-", (p+n)%7)
				g.Advisories = append(g.Advisories, advisory.Advisory{Vulnerability: name, Ecosystem: "alpine:v3.7", Package: fmt.Sprint("package ", p),
					Status: advisory.Affected, Fixed: []string{"", "2", "3"}[r.IntN(3)], Severity: advisory.Severity(r.IntN(6))})
				g.Details[name] = advisory.Detail{Scores: []advisory.Score{{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Base: float64(r.IntN(10))}}}
			}
			return d.ReplaceAdvisories(ctx, "alpine", g.Part, []feed.Entry{{Group: g, Fingerprint: [32]byte{byte(n)}}}, nil, match.Package)
		})
		worker(11, func(ctx context.Context, r *rand.Rand, _ int) error {
			var scores []feed.Score
			for n := range 7 {
				scores = append(scores, feed.Score{CVE: fmt.Sprint("CVE-", n), Probability: r.Float64()})
			}
			_, _, err := d.ReplaceScores(ctx, scores)
			return err
		})
		var counters errgroup.Group
		for range 2 {
			counters.Go(func() error {
				for {
					select {
					case <-done:
						return nil
					default:
					}
					if _, err := d.CountFindings(t.Context()); err != nil {
						return err
					}
				}
			})
		}
		err := group.Wait()
		close(done)
		if err := errors.Join(err, counters.Wait()); err != nil {
			t.Fatal(err)
		}
		d.CountAll(t)
		kept, counted := d.Kept(t)
		if diff := cmp.Diff(counted, kept); diff != "" || len(kept) == 0 {
			t.Errorf("(-counted +kept):\n%s", diff)
		}
	})
}
