package feed

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Score says how probable it is that a vulnerability is exploited.
type Score struct {
	CVE string `json:"cve"`
	// Probability is that of the next thirty days, and Percentile the share of
	// all scored vulnerabilities that have this probability or a lower one; 0 to 1.
	Probability float64 `json:"probability"`
	Percentile  float64 `json:"percentile"`
}

// ScoreFeed is a feed of scores. Its documents change as a whole, day by day, so
// they are not handled as groups: Parse emits none, and Scores is asked instead.
type ScoreFeed interface {
	Feed
	// Scores reads a document as Parse does.
	Scores(ctx context.Context, part Part, r io.Reader, emit func(Score) error) (Parsed, error)
}

// MaxScores bounds the scores of a document, which are in memory as a whole:
// there are some 360,000 CVEs, and fewer than 60,000 more each year.
const MaxScores = 2_000_000

// score stores what a document of scores says that is not stored, and brings
// state up to date.
func (r *run) score(ctx context.Context, f ScoreFeed, part Part, doc *Document, location string, state *PartState, p *PartResult) error {
	var scores []Score
	parsed, err := f.Scores(ctx, part, doc.Reader(), func(s Score) error {
		if len(scores) == MaxScores {
			return fmt.Errorf("%s %s: more than %d scores", f.Name(), part.Name, MaxScores)
		}
		scores = append(scores, s)
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doc.Location, err)
	}
	slices.SortStableFunc(scores, func(a, b Score) int { return strings.Compare(a.CVE, b.CVE) })
	last := ""
	scores = slices.DeleteFunc(scores, func(s Score) bool {
		twice := s.CVE == last
		if twice {
			parsed.Skipped.Add(s.CVE, "it is there twice; the first counts")
		}
		last = s.CVE
		return twice
	})
	if err := r.believe(0, 0, 0, len(scores), state.Advisories); err != nil {
		return fmt.Errorf("%s: %w", doc.Location, err)
	}
	r.tell("%s: %s: %d scores", r.feed.Name(), part.Name, len(scores))
	if p.Changed, p.Removed, err = r.store.ReplaceScores(ctx, scores); err != nil {
		return err
	}
	p.Outcome, p.Advisories, p.Skipped = Updated, len(scores), parsed.Skipped
	now := r.opts.Now()
	changed := state.Changed
	if p.Changed+p.Removed > 0 || changed.IsZero() {
		changed = now
	}
	*state = PartState{
		Part: part.Name, URL: location, Validators: doc.Validators, Digest: doc.Digest, Revision: r.feed.Revision(),
		Ecosystems: parsed.Ecosystems, Advisories: len(scores), Skipped: parsed.Skipped, Checked: now, Changed: changed,
	}
	return nil
}
