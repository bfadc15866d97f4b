package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/source"
)

// TestFiguresFollowEveryChange does what people, sources and feeds do, in random
// order, and compares after each step what is kept with what is counted anew.
func TestFiguresFollowEveryChange(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		ctx := t.Context()
		random := rand.New(rand.NewPCG(1, 2))
		sources := []source.Source{d.source(t, "one"), d.source(t, "two")}
		repositories := []registry.Repository{d.main, d.rest, mustRepository(t, d.Store, "main", "more")}
		names := []string{"main", "other"}
		stored := make(map[string]string) // image to digest
		attached := make(map[string]bool)
		severity := func() advisory.Severity { return advisory.Severity(random.IntN(6)) }
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		steps := map[string]func(){
			"an image is pushed": func() {
				name := fmt.Sprint("image ", random.IntN(6))
				m := mustManifest(t, d.Store, repositories[random.IntN(3)].ID, name, nil)
				stored[name] = m.Digest
				var packages []inventory.Installed
				for _, p := range random.Perm(4)[:1+random.IntN(3)] {
					packages = append(packages, musl(fmt.Sprint("package ", p), fmt.Sprint(1+random.IntN(3))))
				}
				saveImage(t, d.Store, m.Digest, alpine(packages...))
			},
			"a repository is emptied": func() {
				r := repositories[random.IntN(3)]
				for _, digest := range stored {
					_, _ = d.DeleteManifest(ctx, r.ID, digest, registry.Deletion{}) // it may be there, or not
				}
			},
			"a feed changes": func() {
				var group advisory.Group
				group.Part, group.Name, group.Details = "v3.7/main", "all", make(map[string]advisory.Detail)
				for p := range 4 {
					for range random.IntN(3) {
						name := fmt.Sprint("CVE-", random.IntN(5))
						group.Advisories = append(group.Advisories, advisory.Advisory{Vulnerability: name, Ecosystem: "alpine:v3.7",
							Package: fmt.Sprint("package ", p), Status: advisory.Affected, Fixed: []string{"", "2", "3"}[random.IntN(3)], Severity: severity()})
						detail := advisory.Detail{Severity: severity()}
						if random.IntN(3) == 0 {
							detail.Exploited = &advisory.Exploitation{Added: d.clock.Now()}
						}
						if random.IntN(6) == 0 {
							detail.Aliases = []string{fmt.Sprint("X-", random.IntN(3))}
						}
						group.Details[name] = detail
					}
				}
				publish(t, d.Store, "alpine", group)
			},
			"scores change": func() {
				var scores []feed.Score
				for n := range 5 {
					if random.IntN(3) > 0 {
						scores = append(scores, feed.Score{CVE: fmt.Sprint("CVE-", n), Probability: random.Float64()})
					}
				}
				_, _, err := d.ReplaceScores(ctx, scores)
				must(err)
			},
			"a source answers": func() {
				for _, o := range sources {
					for _, scan := range d.claim(t, o, "me") {
						var said []source.Reported
						for range random.IntN(4) {
							said = append(said, source.Reported{Vulnerability: fmt.Sprint([]string{"CVE-", "X-"}[random.IntN(2)], random.IntN(3)),
								Package: fmt.Sprint("package ", random.IntN(4)), Version: fmt.Sprint(1 + random.IntN(3)), Severity: severity(), Fixed: []string{"", "9"}[random.IntN(2)]})
						}
						must(d.AnswerScan(ctx, scan.ID, "me", source.Report{Findings: said}))
					}
				}
				for _, digest := range stored {
					_, err := d.AskImage(ctx, digest)
					must(err)
				}
			},
			"a source is attached or detached": func() {
				which, where := []string{"one", "two", source.BuiltIn}[random.IntN(3)], names[random.IntN(2)]
				at := which + " at " + where
				var err error
				if attached[at] = !attached[at]; attached[at] != (which == source.BuiltIn) {
					_, err = d.AttachSource(ctx, where, which)
				} else {
					err = d.DetachSource(ctx, where, which)
				}
				must(err)
			},
		}
		order := []string{"an image is pushed", "a feed changes", "a source is attached or detached", "a source answers", "a repository is emptied", "scores change"}
		most := 0
		left := 0
		for n := range 150 {
			if n == 75 { // from here on hardly anything is counted at once
				d.CountAtOnce(3)
			}
			step := order[min(random.IntN(len(order)), random.IntN(len(order)+2))]
			steps[step]()
			d.clock.advance(time.Minute)
			some, err := d.CountFindings(ctx)
			must(err)
			left = max(left, some)
			d.CountAll(t)
			kept, counted := d.Kept(t)
			if diff := cmp.Diff(counted, kept); diff != "" {
				t.Fatalf("step %d, %s (-counted +kept):\n%s", n, step, diff)
			}
			most = max(most, len(kept))
			trend, err := d.Trend(ctx, []time.Time{d.clock.Now()})
			must(err)
			list, err := d.Vulnerabilities(ctx, match.Filter{Limit: 100})
			must(err)
			now := make(map[advisory.Severity]int)
			for _, v := range list {
				now[v.Severity]++
			}
			if diff := cmp.Diff(now, trend[0].Vulnerabilities); diff != "" {
				t.Fatalf("step %d, %s: the trend (-listed +of now):\n%s", n, step, diff)
			}
		}
		if left < 3 {
			t.Errorf("never more than %d left to be counted", left)
		}
		if most < 15 {
			t.Errorf("never more than %d lines: too little happened", most)
		}
	})
}
