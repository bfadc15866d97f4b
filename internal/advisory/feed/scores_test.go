package feed_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/epss"
	"github.com/pratique/pratique/internal/advisory/feed/kev"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

const (
	scoresDocument = "/epss.empiricalsecurity.com/epss_scores-current.csv.gz"
	kevDocument    = "/www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
)

// scores is a document of n scores of a probability.
func scores(n int, probability string) string {
	var b strings.Builder
	b.WriteString("#model_version:v1\ncve,epss,percentile\n")
	for i := range n {
		fmt.Fprintf(&b, "CVE-2024-%d,%s,0.5\n", 1000+i, probability)
	}
	return b.String()
}

// TestScoresAreAFeed: conditional requests, status, what is held back, and bad
// documents are as with feeds of advisories.
func TestScoresAreAFeed(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		p := newPublishers(t)
		f := newFetcher(t, feed.FetcherOptions{Mirror: p.URL, Tries: 1, Timeout: 5 * time.Second})
		u := feed.New(s, f, []feed.Feed{epss.New(), kev.New()}, match.Package, feed.Options{Log: slog.New(slog.DiscardHandler)})
		p.publish(kevDocument, `"1"`, `{"vulnerabilities": [{"cveID": "CVE-2024-1000", "dateAdded": "2024-05-04"}]}`)
		for _, step := range []struct {
			name, etag, document         string
			acceptLoss                   bool
			outcome                      feed.Outcome
			changed, removed, rows, skip int
			want                         error
			says                         string
			score                        float64
		}{
			{"first", "1", scores(300, "0.1"), false, feed.Updated, 300, 0, 300, 0, nil, "", 0.1},
			{"not modified", "1", scores(300, "0.2"), false, feed.Unchanged, 0, 0, 300, 0, nil, "", 0.1},
			{"same content", "2", scores(300, "0.1"), false, feed.Unchanged, 0, 0, 300, 0, nil, "", 0.1},
			{"next day", "3", scores(310, "0.2"), false, feed.Updated, 310, 0, 310, 0, nil, "", 0.2},
			{"twice", "4", scores(310, "0.2") + "CVE-2024-1000,0.9,0.9\n", false, feed.Updated, 0, 0, 310, 1, nil, "", 0.2},
			{"page", "5", "<!DOCTYPE html><html></html>", false, feed.Failed, 0, 0, 310, 1, nil, "web page", 0.2},
			{"nothing", "6", scores(0, ""), false, feed.Failed, 0, 0, 310, 1, nil, "no scores", 0.2},
			{"malformed", "7", scores(310, "high"), false, feed.Failed, 0, 0, 310, 1, nil, "310 of 310 lines are malformed", 0.2},
			{"few", "8", scores(154, "0.3"), false, feed.Failed, 0, 0, 310, 1, feed.ErrHeldBack, "154 of 310", 0.2},
			{"half", "9", scores(155, "0.3"), false, feed.Updated, 155, 155, 155, 0, nil, "", 0.3},
			{"few that are accepted", "10", scores(5, "0.4"), true, feed.Updated, 5, 150, 5, 0, nil, "", 0.4},
		} {
			p.publish(scoresDocument, `"`+step.etag+`"`, step.document)
			results, err := u.Update(t.Context(), feed.Request{AcceptLoss: step.acceptLoss})
			if (err != nil) != (step.says != "") || err != nil && !strings.Contains(err.Error(), step.says) || step.want != nil && !errors.Is(err, step.want) {
				t.Errorf("%s: error %v, want %q", step.name, err, step.says)
			}
			if r := results[0].Parts[0]; r.Outcome != step.outcome || r.Changed != step.changed || r.Removed != step.removed {
				t.Errorf("%s: %+v", step.name, r)
			}
			status, err := u.Status(t.Context())
			if err != nil || status[0].Advisories() != step.rows || status[0].Packages() != 0 || status[0].Skipped() != step.skip || !strings.Contains(status[0].Error, step.says) {
				t.Errorf("%s: status %+v, %v", step.name, status, err)
			}
			if v, err := s.VulnerabilityByName(t.Context(), "CVE-2024-1000"); err != nil || v.EPSS != step.score || v.Severity != advisory.Unknown {
				t.Errorf("%s: %+v, %v; want %v", step.name, v, err, step.score)
			}
			// The feed has no groups, nor touches those of others.
			if results[1].Err != nil || status[1].Packages() != 1 {
				t.Errorf("%s: kev: %+v, %+v", step.name, results[1], status[1])
			}
		}
	})
}
