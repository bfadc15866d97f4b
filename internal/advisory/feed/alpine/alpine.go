// Package alpine reads Alpine's security database, https://secdb.alpinelinux.org:
// one document for each branch and repository, an array of packages (origins)
// with the versions that fixed something. Version "0" says that no version is
// affected.
//
// It must not know how documents are fetched or stored.
package alpine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/version"
)

// Feed is the security database.
type Feed struct{}

// New returns the feed.
func New() Feed { return Feed{} }

// Name is "alpine".
func (Feed) Name() string { return "alpine" }

// Revision is that of this parser.
func (Feed) Revision() int { return 2 }

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
	branch, repository, _ := strings.Cut(part.Name, "/")
	p := parser{part: part, ecosystem: "alpine:" + branch, emit: emit}
	d := feed.NewDecoder(r)
	var names document
	packages := false
	err := d.Object(func(name string) (err error) {
		switch name {
		case "distroversion":
			err = d.Value(&names.branch)
		case "reponame":
			err = d.Value(&names.repository)
		case "packages":
			packages = true
			err = d.Array(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return p.element(d)
			})
		default:
			err = d.Skip()
		}
		if errors.Is(err, feed.ErrShape) {
			return fmt.Errorf("%q: %w", name, err)
		}
		return err
	})
	if err == nil {
		err = d.End()
	}
	switch {
	case p.emitErr != nil:
		return feed.Parsed{}, p.emitErr
	case err != nil:
	case !packages:
		err = fmt.Errorf("byte %d: the document has no packages", d.Offset())
	case names != document{branch, repository}:
		err = fmt.Errorf("byte %d: the document is that of %q", d.Offset(), names.branch+"/"+names.repository)
	}
	if err != nil {
		return feed.Parsed{}, fmt.Errorf("%s %s: %w", f.Name(), part.Name, err)
	}
	return feed.Parsed{Ecosystems: []string{p.ecosystem}, Skipped: p.skipped}, nil
}

// document is what a document says it is.
type document struct{ branch, repository string }

type parser struct {
	part      feed.Part
	ecosystem string
	emit      func(advisory.Group) error
	emitErr   error
	skipped   feed.Skipped
	position  int
}

func (p *parser) element(d *feed.Decoder) error {
	p.position++
	var element struct {
		Package struct {
			Name  string                     `json:"name"`
			Fixes map[string]json.RawMessage `json:"secfixes"`
		} `json:"pkg"`
	}
	switch err := d.Value(&element); {
	case errors.Is(err, feed.ErrShape):
		p.skipped.Add(fmt.Sprintf("package %d %q", p.position, element.Package.Name), err.Error())
		return nil
	case err != nil:
		return err
	}
	group := advisory.Group{Part: p.part.Name, Name: element.Package.Name}
	if group.Name == "" {
		p.skipped.Add(fmt.Sprintf("package %d", p.position), "it has no name")
		return nil
	}
	for _, fixed := range slices.Sorted(maps.Keys(element.Package.Fixes)) {
		p.fix(&group, fixed, element.Package.Fixes[fixed])
	}
	if len(group.Advisories) == 0 {
		return nil
	}
	p.emitErr = p.emit(group)
	return p.emitErr
}

// fix adds what one version fixed, a list of texts that name vulnerabilities.
func (p *parser) fix(group *advisory.Group, fixed string, list json.RawMessage) {
	var texts []json.RawMessage
	if err := json.Unmarshal(list, &texts); err != nil {
		p.skipped.Add(group.Name+" "+fixed, "want a list of vulnerabilities")
		return
	}
	base := advisory.Advisory{Ecosystem: p.ecosystem, Package: group.Name, Source: true, Status: advisory.NotAffected}
	if fixed != "0" {
		base.Status, base.Fixed = advisory.Affected, mend(fixed)
		if base.Fixed != fixed {
			base.Note = "published as " + strconv.Quote(fixed)
		}
		if _, err := version.Compare(version.APK, base.Fixed, base.Fixed); err != nil {
			base.Status, base.Note = advisory.Undetermined, err.Error()
		}
	}
	seen := make(map[string]bool)
	for i, raw := range texts {
		var text string
		var names []string
		if err := json.Unmarshal(raw, &text); err == nil {
			names = identifiers(text)
		}
		if len(names) == 0 {
			p.skipped.Add(fmt.Sprintf("%s %s item %d", group.Name, fixed, i+1), fmt.Sprintf("%s names no vulnerability", raw))
			continue
		}
		for _, name := range names {
			if seen[name] {
				continue
			}
			seen[name] = true
			a := base
			a.Vulnerability = name
			if strings.TrimSpace(text) != name {
				a.Note = join(a.Note, text)
			}
			group.Advisories = append(group.Advisories, a)
		}
	}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
