package feed

import (
	"context"
	"time"

	"github.com/pratique/pratique/internal/match"
)

// PartState is what is stored of one document.
type PartState struct {
	// Part is its name in the feed.
	Part string
	// URL is where it was read: upstream's, or a mirror's.
	URL string
	Validators
	// Digest is the content's; "" where it was never read.
	Digest string
	// Revision is that of the feed which read it.
	Revision int
	// Cursor is how far a Crawler came with it, in words of its own.
	Cursor string
	// Ecosystems are the distributions that it speaks of.
	Ecosystems []string
	// Packages and Advisories count what is stored of it. A document of scores
	// has no packages; each score counts as an advisory.
	Packages, Advisories int
	// Skipped are records that were left out because they are malformed.
	Skipped Skipped
	// Error is why the last attempt failed, "" where it did not.
	Error string
	// Checked is when the publisher last confirmed the data, Changed when it
	// last changed; both zero where the document was never read.
	Checked, Changed time.Time
}

// OfScores reports a document of scores, see ScoreFeed.
func (p PartState) OfScores() bool { return p.Packages == 0 && p.Advisories > 0 }

// Status is what is known of a feed.
type Status struct {
	Name string
	// LastAttempt is when an update last began, LastSuccess when one last
	// ended with every document read, LastChange when one last changed anything.
	LastAttempt, LastSuccess, LastChange time.Time
	// Error is why the last attempt did not succeed, "" where it did.
	Error string
	// Parts are its documents by name.
	Parts []PartState
}

// Packages, Advisories and Skipped are the sums over the documents.
func (s Status) Packages() (n int) {
	for _, p := range s.Parts {
		n += p.Packages
	}
	return n
}

// Advisories sums over the documents.
func (s Status) Advisories() (n int) {
	for _, p := range s.Parts {
		n += p.Advisories
	}
	return n
}

// Skipped sums over the documents.
func (s Status) Skipped() (n int) {
	for _, p := range s.Parts {
		n += p.Skipped.Count
	}
	return n
}

// Store keeps advisories and what is known of feeds.
type Store interface {
	// FeedStatus returns what is stored of a feed, at least its name.
	FeedStatus(ctx context.Context, feed string) (Status, error)
	// BeginFeedUpdate notes an attempt.
	BeginFeedUpdate(ctx context.Context, feed string, at time.Time) error
	// EndFeedUpdate notes how it ended; failure is "" for success.
	EndFeedUpdate(ctx context.Context, feed string, at time.Time, changed bool, failure string) error
	// SaveFeedPart stores the state of a document.
	SaveFeedPart(ctx context.Context, feed string, state PartState) error
	// Fingerprints returns those of a document's groups, by package.
	Fingerprints(ctx context.Context, feed, part string) (map[string]Fingerprint, error)
	// Origins is Fingerprints, and also returns the names of the groups by what they
	// were read from, as far as that is known.
	Origins(ctx context.Context, feed, part string) (map[string]Fingerprint, map[Origin]string, error)
	// SaveOrigins stores from what groups were read, and nothing else of them.
	SaveOrigins(ctx context.Context, feed, part string, origins map[string]Origin) error
	// SpeaksOf reports whether any advisory of a document is on an ecosystem.
	SpeaksOf(ctx context.Context, feed, part, ecosystem string) (bool, error)
	// ReplaceAdvisories stores changed groups in place of what is there, takes
	// away the groups of the removed packages, and brings the matches of all
	// packages concerned up to date, in one transaction.
	ReplaceAdvisories(ctx context.Context, feed, part string, changed []Entry, removed []string, decide match.Decide) error
	// ReplaceScores makes the scores, sorted by CVE and no two of one, all that is
	// stored, and returns how many of them differed and how many were taken away.
	ReplaceScores(ctx context.Context, scores []Score) (changed, removed int, err error)
	// ReplaceProducts makes this all that is known of repositories, and brings the
	// matches of packages that come from them up to date. It returns of how many
	// something else was known.
	ReplaceProducts(ctx context.Context, products match.Products, decide match.Decide) (changed int, err error)
}
