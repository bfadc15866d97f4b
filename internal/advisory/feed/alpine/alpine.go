// Package alpine names the documents of Alpine's security database,
// https://secdb.alpinelinux.org: one for each branch and repository. Package
// secdb reads them.
//
// It must not know how documents are fetched or stored.
package alpine

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/secdb"
)

// Feed is the security database.
type Feed struct{}

// New returns the feed.
func New() Feed { return Feed{} }

// Name is "alpine".
func (Feed) Name() string { return "alpine" }

// Revision is that of the parser.
func (Feed) Revision() int { return 3 }

// The stable branches v3.first to v3.last have a security database; later ones
// are looked for.
const (
	first = 3
	last  = 24
)

// Parts lists the branches that are known, and edge.
func (Feed) Parts() []feed.Part {
	parts := branch("edge")
	for n := first; n <= last; n++ {
		parts = append(parts, stable(n)...)
	}
	return parts
}

// More is the branch after the newest one that is published.
func (Feed) More(published map[string]bool) []feed.Part {
	for n := last; ; n++ {
		if !published[stable(n)[0].Name] {
			return nil
		}
		if _, asked := published[stable(n + 1)[0].Name]; !asked {
			return stable(n + 1)
		}
	}
}

func stable(n int) []feed.Part { return branch("v3." + strconv.Itoa(n)) }

func branch(name string) []feed.Part {
	parts := make([]feed.Part, 0, 2)
	for _, repository := range []string{"main", "community"} {
		parts = append(parts, feed.Part{
			Name:       name + "/" + repository,
			URL:        "https://secdb.alpinelinux.org/" + name + "/" + repository + ".json",
			Ecosystems: []string{"alpine:" + name},
		})
	}
	return parts
}

// Parse reads the document of one branch and repository. A package is a group.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	branch, _, _ := strings.Cut(part.Name, "/")
	return secdb.Parse(ctx, secdb.Source{
		Feed: f.Name(), Part: part, Ecosystem: "alpine:" + branch, Identity: part.Name,
		IdentityOf: func(n secdb.Names) string { return n.Branch + "/" + n.Repository },
	}, r, emit)
}
