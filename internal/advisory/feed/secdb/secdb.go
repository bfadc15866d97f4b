// Package secdb reads security databases in the format that Alpine invented and
// Wolfi and Chainguard took over: an array of packages (origins) with the
// versions that fixed something. Version "0" says that no version is affected.
//
// It must not know who publishes a database, how it is fetched or stored.
package secdb

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
)

// Source is a document and whose it is.
type Source struct {
	// Feed names the publisher in errors.
	Feed string
	Part feed.Part
	// Ecosystem is the distribution that the document speaks of.
	Ecosystem string
	// Identity is what IdentityOf has to make of the names in the document: a
	// mirror may serve another one under its name.
	Identity   string
	IdentityOf func(Names) string
}

// Names are what a document says it is, "" where it does not say.
type Names struct {
	Branch     string // distroversion: "v3.20"
	Repository string // reponame: "main"
	Prefix     string // urlprefix: "https://packages.wolfi.dev"
}

// Parse reads a document in one pass. A package is a group.
func Parse(ctx context.Context, source Source, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	p := parser{Source: source, emit: emit}
	d := feed.NewDecoder(r)
	var names Names
	packages := false
	err := d.Object(func(name string) (err error) {
		switch name {
		case "distroversion":
			err = d.Value(&names.Branch)
		case "reponame":
			err = d.Value(&names.Repository)
		case "urlprefix":
			err = d.Value(&names.Prefix)
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
	case source.IdentityOf(names) != source.Identity:
		err = fmt.Errorf("byte %d: the document is that of %q", d.Offset(), source.IdentityOf(names))
	}
	if err != nil {
		return feed.Parsed{}, fmt.Errorf("%s %s: %w", source.Feed, source.Part.Name, err)
	}
	return feed.Parsed{Ecosystems: []string{source.Ecosystem}, Skipped: p.skipped}, nil
}

type parser struct {
	Source
	emit     func(advisory.Group) error
	emitErr  error
	skipped  feed.Skipped
	position int
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
	group := advisory.Group{Part: p.Part.Name, Name: element.Package.Name}
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
	base := advisory.Advisory{Ecosystem: p.Ecosystem, Package: group.Name, Source: true, Status: advisory.NotAffected}
	if fixed != "0" {
		base.Status, base.Fixed = advisory.Affected, mend(fixed)
		if base.Fixed != fixed {
			base.Note = "published as " + strconv.Quote(fixed)
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
