package redhat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
)

// Repositories says which products the packages of a repository belong to: CPEs
// by the repository's id ("rhel-9-for-x86_64-baseos-rpms").
type Repositories map[string][]string

// The most that a mapping may hold; Red Hat's has some 8,000 repositories, with
// one or two products each.
const (
	maxRepositories = 200_000
	maxProducts     = 100
)

// ParseRepositories reads the mapping that Red Hat publishes. What is no CPE,
// and a repository without any, is left out; an error says that the document is
// not whole, or no such mapping.
func ParseRepositories(r io.Reader) (Repositories, feed.Skipped, error) {
	all := make(Repositories)
	var skipped feed.Skipped
	found := false
	d := feed.NewDecoder(r)
	repository := func(id string) error {
		var entry struct {
			CPEs []string `json:"cpes"`
		}
		switch err := d.Value(&entry); {
		case errors.Is(err, feed.ErrShape):
			skipped.Add(id, err.Error())
		case err != nil:
			return err
		}
		var cpes []string
		for _, text := range entry.CPEs {
			if c, ok := parseCPE(text); !ok {
				skipped.Add(id, fmt.Sprintf("%q is no CPE", text))
			} else if !slices.Contains(cpes, c.String()) && len(cpes) < maxProducts {
				cpes = append(cpes, c.String())
			}
		}
		switch {
		case len(cpes) == 0:
			return nil
		case id == "" || len(id) > 255 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }):
			skipped.Add(id, "the id is not one")
			return nil
		case len(all) == maxRepositories:
			return fmt.Errorf("byte %d: more than %d repositories", d.Offset(), maxRepositories)
		}
		all[id] = cpes
		return nil
	}
	err := d.Object(func(name string) error {
		if name != "data" {
			return d.Skip()
		}
		found = true
		return d.Object(repository)
	})
	if err == nil {
		err = d.End()
	}
	if err == nil && (!found || len(all) == 0) {
		err = fmt.Errorf("byte %d: the document names no repositories", d.Offset())
	}
	if err != nil {
		return nil, skipped, fmt.Errorf("redhat repositories: %w", err)
	}
	return all, skipped, nil
}

// Ecosystems says under which ecosystems statements on a package are, given the
// ids of the repositories that it may have come from; those that are not known
// say nothing.
//
// What is stated under own holds. Where nothing is stated there of a package and
// a vulnerability, what is stated under fallback does: the extended streams of
// RHEL get statements of their own only where something was fixed in them. Both
// are empty where no repository is known: the distribution is then all there is.
func (m Repositories) Ecosystems(ids ...string) (own, fallback []string) {
	for _, id := range ids {
		for _, text := range m[id] {
			c, ok := parseCPE(text)
			if !ok {
				continue
			}
			own = append(own, c.applicable()...)
			if c.extended() {
				fallback = append(fallback, c.release())
			}
		}
	}
	slices.Sort(own)
	own = slices.Compact(own)
	slices.Sort(fallback)
	fallback = slices.DeleteFunc(slices.Compact(fallback), func(name string) bool { return slices.Contains(own, name) })
	return own, fallback
}

// Products are the ecosystems of each repository. A repository that is of several
// minor releases is there for each of them, too, by the id that Red Hat gives to
// such where it tells them apart: what is fixed in 9.2 EUS says nothing of 9.4 EUS.
func (m Repositories) Products() match.Products {
	products := make(match.Products, len(m))
	for id, cpes := range m {
		own, fallback := m.Ecosystems(id)
		products[id] = match.Ecosystems{Own: own, Fallback: fallback}
		for minor, some := range byMinor(cpes) {
			name := id + "__" + strings.ReplaceAll(minor, ".", "_DOT_")
			if _, known := m[name]; !known {
				own, fallback := Repositories{id: some}.Ecosystems(id)
				products[name] = match.Ecosystems{Own: own, Fallback: fallback}
			}
		}
	}
	return products
}

// byMinor tells extended streams of different minor releases apart. There is
// nothing of products that are all of one.
func byMinor(cpes []string) map[string][]string {
	minors, others := make(map[string][]string), []string(nil)
	for _, text := range cpes {
		if c, ok := parseCPE(text); ok && c.extended() && strings.Contains(c.version, ".") {
			minors[c.version] = append(minors[c.version], text)
		} else {
			others = append(others, text)
		}
	}
	if len(minors) < 2 {
		return nil
	}
	for minor := range minors {
		minors[minor] = append(minors[minor], others...)
	}
	return minors
}

// RepositoryFeed keeps the mapping up to date. It states no advisories.
type RepositoryFeed struct{}

// NewRepositories returns the feed.
func NewRepositories() RepositoryFeed { return RepositoryFeed{} }

// Name is "redhat-repositories".
func (RepositoryFeed) Name() string { return "redhat-repositories" }

// Revision is that of this parser.
func (RepositoryFeed) Revision() int { return 2 }

// Parts is the one document.
func (RepositoryFeed) Parts() []feed.Part {
	return []feed.Part{{Name: "repository-to-cpe", URL: "https://security.access.redhat.com/data/metrics/repository-to-cpe.json"}}
}

// More has none.
func (RepositoryFeed) More(map[string]bool) []feed.Part { return nil }

// Parse reads the mapping and emits nothing.
func (RepositoryFeed) Parse(ctx context.Context, _ feed.Part, r io.Reader, _ func(advisory.Group) error) (feed.Parsed, error) {
	if err := ctx.Err(); err != nil {
		return feed.Parsed{}, err
	}
	_, skipped, err := ParseRepositories(r)
	return feed.Parsed{Skipped: skipped}, err
}

// mapped is how far the mapping is read.
type mapped struct {
	feed.Validators
	Digest string `json:"digest"`
	Count  int    `json:"count"`
}

// Crawl fetches the mapping and has it stored where it changed.
func (f RepositoryFeed) Crawl(ctx context.Context, s *feed.Session) (err error) {
	var before mapped
	if s.Cursor() != "" {
		if err := json.Unmarshal([]byte(s.Cursor()), &before); err != nil {
			before = mapped{} // of another program; everything is read
		}
	}
	doc, err := s.Fetch(ctx, s.Part().URL, before.Validators)
	if errors.Is(err, feed.ErrNotModified) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, doc.Close()) }()
	now := mapped{Validators: doc.Validators, Digest: doc.Digest, Count: before.Count}
	if doc.Digest != before.Digest {
		all, skipped, err := ParseRepositories(doc.Reader())
		if err != nil {
			return fmt.Errorf("%s: %w", doc.Location, err)
		}
		if 2*len(all) < before.Count && !s.AcceptLoss() {
			return fmt.Errorf("%s: %w: %d repositories where there were %d", doc.Location, feed.ErrHeldBack, len(all), before.Count)
		}
		s.LeftOut(skipped)
		s.Tell("%d repositories", len(all))
		if err := s.ReplaceProducts(ctx, all.Products()); err != nil {
			return err
		}
		now.Count = len(all)
	}
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return s.SetCursor(ctx, string(text))
}
