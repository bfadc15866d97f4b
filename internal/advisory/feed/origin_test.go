package feed_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/debian"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// skimmed is Debian's feed, with the packages that were read.
type skimmed struct {
	debian.Feed
	read []string
}

func (s *skimmed) Skim(ctx context.Context, part feed.Part, r io.Reader, known func(feed.Origin) bool, emit func(advisory.Group, feed.Origin) error) (feed.Parsed, error) {
	return s.Feed.Skim(ctx, part, r, known, func(g advisory.Group, o feed.Origin) error {
		s.read = append(s.read, g.Name)
		return emit(g, o)
	})
}

func tracked(name, fixed, release string) string {
	return fmt.Sprintf(`%q: {"CVE-2024-%d": {"releases": {%q: {"status": "resolved", "fixed_version": %q, "urgency": "high"}}}}`, name, 1000+int(name[0]), release, fixed)
}

// TestKnownRecordsArePassedOver: what is as it was is not read, and all that is
// told of a document is told as if it were.
func TestKnownRecordsArePassedOver(t *testing.T) {
	a, b := tracked("a", "1", "bookworm"), tracked("b", "1", "trixie")
	broken := `"broken": {"CVE-2024-9": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "1", "urgency": "low"}, "sid": {"status": "resolved"}}}}`
	steps := []struct {
		name, document, read string
		packages, advisories int
		ecosystems           string
	}{
		{"first", "{" + a + "," + b + "," + broken + "}", "a b broken", 3, 3, "debian:12 debian:13"},
		{"other bytes between the packages", "{" + a + ",\n\n" + b + "," + broken + "}", "broken", 3, 3, "debian:12 debian:13"},
		{"one changed", "{" + tracked("a", "2", "bookworm") + "," + b + "," + broken + "}", "a broken", 3, 3, "debian:12 debian:13"},
		{"the same in other bytes", "{" + strings.ReplaceAll(tracked("a", "2", "bookworm"), ": ", ":") + "," + b + "," + broken + "}", "a broken", 3, 3, "debian:12 debian:13"},
		{"these again", "{" + strings.ReplaceAll(tracked("a", "2", "bookworm"), ": ", ":") + "," + b + ",\n" + broken + "}", "broken", 3, 3, "debian:12 debian:13"},
		{"one gone", "{" + strings.ReplaceAll(tracked("a", "2", "bookworm"), ": ", ":") + "," + broken + "}", "broken", 2, 2, "debian:12"},
	}
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		p, f := newPublishers(t), &skimmed{}
		u := feed.New(s, newFetcher(t, feed.FetcherOptions{Mirror: p.URL}), []feed.Feed{f}, match.Package, feed.Options{Log: slog.New(slog.DiscardHandler)})
		for _, step := range steps {
			p.publish(debianDocument, "", step.document)
			f.read = nil
			if _, err := u.Update(t.Context(), feed.Request{}); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			slices.Sort(f.read)
			if got := strings.Join(slices.Compact(f.read), " "); got != step.read {
				t.Errorf("%s: %q was read, want %q", step.name, got, step.read)
			}
			status, err := s.FeedStatus(t.Context(), "debian")
			if err != nil {
				t.Fatal(err)
			}
			part := status.Parts[0]
			if got := strings.Join(part.Ecosystems, " "); part.Packages != step.packages || part.Advisories != step.advisories || got != step.ecosystems || part.Skipped.Count != 1 {
				t.Errorf("%s: %d packages with %d advisories on %q, skipped %v; want %d, %d, %q and one record", step.name,
					part.Packages, part.Advisories, got, part.Skipped, step.packages, step.advisories, step.ecosystems)
			}
		}
		if got := known(t, s, "debian:12"); got != "CVE-2024-1097 CVE-2024-9" {
			t.Errorf("stored in the end: %q", got)
		}
	})
}
