package osv_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/osv"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/realdata"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// TestRealImport stores every archive that is there, twice.
func TestRealImport(t *testing.T) {
	root := filepath.Join(realdata.Root(t), "feeds")
	var feeds []feed.Feed
	for _, f := range osv.Feeds() {
		address, err := url.Parse(f.Parts()[0].URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(root, address.Host, address.Path)); err == nil {
			feeds = append(feeds, f)
		}
	}
	if len(feeds) == 0 {
		t.Skipf("no published archives in %s", root)
	}
	fetcher, err := feed.NewFetcher(feed.FetcherOptions{Mirror: root, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer fetcher.Close()
	u := feed.New(storetest.SQLite(t, store.Options{}), fetcher, feeds, match.Package, feed.Options{})
	for _, want := range []feed.Outcome{feed.Updated, feed.Unchanged} {
		began := time.Now()
		results, err := u.Update(context.Background(), feed.Request{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			p := r.Parts[0]
			if p.Outcome != want || p.Skipped.Count > 0 || p.Packages == 0 || want == feed.Updated && p.Changed != p.Packages {
				t.Errorf("%s: %+v", r.Feed, p)
			}
			t.Logf("%s: %s in %v: %d groups, %d statements", r.Feed, p.Outcome, r.Duration.Round(time.Millisecond), p.Packages, p.Advisories)
		}
		t.Logf("all: %v", time.Since(began).Round(time.Millisecond))
	}
}
