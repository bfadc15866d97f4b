// Package kev reads CISA's catalogue of known exploited vulnerabilities,
// https://www.cisa.gov/known-exploited-vulnerabilities-catalog. It states nothing
// of packages: its groups have details only.
//
// It must not know how the document is fetched or stored.
package kev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

// Feed is the catalogue.
type Feed struct{}

// New returns the feed.
func New() Feed { return Feed{} }

// Name is "kev".
func (Feed) Name() string { return "kev" }

// Revision is that of this parser.
func (Feed) Revision() int { return 1 }

// Parts is the one document.
func (Feed) Parts() []feed.Part {
	return []feed.Part{{Name: "catalog", URL: "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"}}
}

// More has none.
func (Feed) More(map[string]bool) []feed.Part { return nil }

// Parse reads the catalogue. An entry is a group.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	p := parser{part: part, json: feed.NewDecoder(r), emit: emit}
	err := p.document(ctx)
	if p.emitErr != nil {
		return feed.Parsed{}, p.emitErr
	}
	if err != nil {
		return feed.Parsed{}, fmt.Errorf("%s %s: %w", f.Name(), part.Name, err)
	}
	return feed.Parsed{Skipped: p.skipped}, nil
}

type parser struct {
	part     feed.Part
	json     *feed.Decoder
	emit     func(advisory.Group) error
	emitErr  error
	skipped  feed.Skipped
	position int
}

func (p *parser) document(ctx context.Context) error {
	count, entries := -1, false
	err := p.json.Object(func(name string) (err error) {
		switch name {
		case "count":
			err = p.json.Value(&count)
		case "vulnerabilities":
			entries = true
			err = p.json.Array(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return p.element()
			})
		default:
			err = p.json.Skip()
		}
		if errors.Is(err, feed.ErrShape) {
			return fmt.Errorf("%q: %w", name, err)
		}
		return err
	})
	if err == nil {
		err = p.json.End()
	}
	switch {
	case err != nil:
		return err
	case !entries:
		return fmt.Errorf("byte %d: the document has no vulnerabilities", p.json.Offset())
	case count >= 0 && count != p.position:
		return fmt.Errorf("byte %d: the document has %d entries and says that it has %d", p.json.Offset(), p.position, count)
	}
	return nil
}

// entry is what the catalogue says of a vulnerability.
type entry struct {
	ID          string   `json:"cveID"`
	Added       string   `json:"dateAdded"`
	Due         string   `json:"dueDate"`
	Description string   `json:"shortDescription"`
	Action      string   `json:"requiredAction"`
	Ransomware  string   `json:"knownRansomwareCampaignUse"`
	Notes       string   `json:"notes"`
	Weaknesses  []string `json:"cwes"`
}

var cve = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)

func (p *parser) element() error {
	p.position++
	var e entry
	err := p.json.Value(&e)
	if err != nil && !errors.Is(err, feed.ErrShape) {
		return err
	}
	e.ID = strings.TrimSpace(e.ID)
	name := fmt.Sprintf("entry %d %s", p.position, e.ID)
	if err != nil {
		p.skipped.Add(name, err.Error()) // whatever else is sound of it counts
	}
	if !cve.MatchString(e.ID) {
		if err == nil {
			p.skipped.Add(name, "the id is none of a CVE")
		}
		return nil
	}
	added, problem := time.Parse(time.DateOnly, e.Added)
	if problem != nil {
		if err == nil {
			p.skipped.Add(name, fmt.Sprintf("%q is no date on which it was added", e.Added))
		}
		return nil
	}
	due, problem := time.Parse(time.DateOnly, e.Due)
	if problem != nil && e.Due != "" {
		p.skipped.Add(name, fmt.Sprintf("%q is no date until which to act; the rest counts", e.Due))
	}
	p.emitErr = p.emit(advisory.Group{Part: p.part.Name, Name: e.ID, Details: map[string]advisory.Detail{e.ID: {
		Description: e.Description, References: links(e.Notes), Weaknesses: e.Weaknesses,
		Exploited: &advisory.Exploitation{Added: added, Due: due, Ransomware: e.Ransomware == "Known", Action: e.Action},
	}}})
	return p.emitErr
}

// links are the URLs in a text: "see https://a.example/ ; https://b.example/".
func links(text string) []string {
	var found []string
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ';' || r == '\n' || r == '\t' || r == '\r' }) {
		if strings.HasPrefix(word, "https://") || strings.HasPrefix(word, "http://") {
			found = append(found, strings.TrimRight(word, ".,)"))
		}
	}
	return found
}
