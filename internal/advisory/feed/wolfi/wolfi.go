// Package wolfi names the security databases of Wolfi and of Chainguard
// (https://edu.chainguard.dev/open-source/wolfi/), one document each; package
// secdb reads them. Both distributions are rolling: there is no release, and an
// image's VERSION_ID is a date that means nothing.
//
// It must not know how documents are fetched or stored.
package wolfi

import (
	"context"
	"io"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/secdb"
)

// Feed is one of the two databases.
type Feed struct {
	// name is the feed's and the distribution's.
	name string
	// repository is where the packages are; the document says it, too.
	repository string
	url        string
}

// New returns the feed of Wolfi.
func New() Feed {
	return Feed{name: "wolfi", repository: "https://packages.wolfi.dev/os", url: "https://packages.wolfi.dev/os/security.json"}
}

// NewChainguard returns the feed of Chainguard's own distribution.
func NewChainguard() Feed {
	return Feed{name: "chainguard", repository: "https://packages.cgr.dev/chainguard", url: "https://packages.cgr.dev/chainguard/security.json"}
}

// Name is "wolfi" or "chainguard".
func (f Feed) Name() string { return f.name }

// Revision is that of the parser.
func (Feed) Revision() int { return 1 }

// Parts is the one document.
func (f Feed) Parts() []feed.Part {
	return []feed.Part{{Name: "security", URL: f.url, Ecosystems: []string{f.name}}}
}

// More has none.
func (Feed) More(map[string]bool) []feed.Part { return nil }

// Parse reads the database. A package is a group.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	return secdb.Parse(ctx, secdb.Source{
		Feed: f.name, Part: part, Ecosystem: f.name, Identity: f.repository,
		IdentityOf: func(n secdb.Names) string { return strings.TrimSuffix(n.Prefix, "/") + "/" + n.Repository },
	}, r, emit)
}
