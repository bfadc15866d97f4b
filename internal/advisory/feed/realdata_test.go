package feed_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/alpine"
	"github.com/pratique/pratique/internal/advisory/feed/amazon"
	"github.com/pratique/pratique/internal/advisory/feed/debian"
	"github.com/pratique/pratique/internal/advisory/feed/epss"
	"github.com/pratique/pratique/internal/advisory/feed/kev"
	"github.com/pratique/pratique/internal/advisory/feed/wolfi"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/realdata"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// count counts a document's packages and statements by plain unmarshalling.
type count struct{ packages, advisories int }

func countDebian(t testing.TB, file string) (c count) {
	t.Helper()
	var doc map[string]map[string]struct {
		Releases map[string]json.RawMessage `json:"releases"`
	}
	readJSON(t, file, &doc)
	for _, vulnerabilities := range doc {
		c.packages++
		for _, v := range vulnerabilities {
			c.advisories += len(v.Releases)
		}
	}
	return c
}

func readJSON(t testing.TB, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// TestRealImport loads everything that is there, twice, on both engines.
func TestRealImport(t *testing.T) {
	root := realdata.Path(t, "feeds")
	debianFile := filepath.Join(root, "security-tracker.debian.org", "tracker", "data", "json")
	want := countDebian(t, debianFile)
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		fetcher, err := feed.NewFetcher(feed.FetcherOptions{Mirror: root, TempDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer fetcher.Close()
		u := feed.New(s, fetcher, []feed.Feed{debian.New(), alpine.New(), wolfi.New(), amazon.New(), kev.New(), epss.New()}, match.Package, feed.Options{})
		ctx := context.Background()
		began := time.Now()
		results, err := u.Update(ctx, feed.Request{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("first import: %v", time.Since(began).Round(time.Millisecond))
		for _, r := range results {
			t.Logf("%s: %d documents, %d packages changed, %d skipped %q", r.Feed, len(r.Parts), r.Changed, r.Skipped.Count, r.Skipped.Names)
		}
		if got := (count{results[0].Parts[0].Packages, results[0].Parts[0].Advisories}); got != want {
			t.Errorf("debian: got %+v, want %+v", got, want)
		}
		if v, err := s.VulnerabilityByName(ctx, "CVE-2021-44228"); err != nil || v.Exploited.IsZero() || v.EPSS < 0.9 {
			t.Errorf("Log4Shell: exploited since %v, probability %v, %v", v.Exploited, v.EPSS, err)
		}
		covered := []string{"debian:10", "debian:12", "debian:13", "debian:unstable", "alpine:v3.3", "alpine:v3.24", "alpine:edge", "wolfi", "amzn:2018.03", "amzn:2", "amzn:2023"}
		data, err := s.FeedData(ctx, append(covered, "ubuntu:24.04"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range covered {
			if data[name].Updated.IsZero() {
				t.Errorf("%s is not covered", name)
			}
		}
		if !data["ubuntu:24.04"].Updated.IsZero() {
			t.Errorf("ubuntu:24.04 is covered: %+v", data["ubuntu:24.04"])
		}
		began = time.Now()
		results, err = u.Update(ctx, feed.Request{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("second import: %v", time.Since(began).Round(time.Millisecond))
		for _, r := range results {
			for _, p := range r.Parts {
				if p.Outcome != feed.Unchanged && p.Outcome != feed.Absent {
					t.Errorf("second import of %s %s: %s", r.Feed, p.Part, p.Outcome)
				}
			}
		}
	})
}
