package vex

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// State is what a statement came to in an image.
type State string

// The states. Those of statements that concern no stored image are derived
// where they are shown.
const (
	// Applied says that an assessment stands on it.
	Applied State = "applied"
	// Partial says that packages with the vulnerability are left that neither it
	// nor another statement of its author clears.
	Partial State = "partial"
	// Noted says that it clears nothing: affected, under investigation.
	Noted State = "noted"
	// Overtaken says that a newer statement counts.
	Overtaken State = "overtaken"
	// Overruled says that a person decided otherwise.
	Overruled State = "overruled"
	// Ignored says that a registry that holds the image honours no referrers.
	Ignored State = "ignored"
	// Waiting says that the vulnerability, or the image, is not known yet.
	Waiting State = "waiting"
	// Idle says that no stored image has the vulnerability in such a package.
	Idle State = "idle"
)

// Claim is a statement of a stored document that may concern an image.
type Claim struct {
	DocumentID int64
	// Position is the statement's in the document, from 0.
	Position int
	// Identifier and Author are the document's.
	Identifier, Author string
	// Referrer says that it was attached to an image in Repository, by
	// BroughtBy; otherwise that one uploaded it.
	Referrer              bool
	Repository, BroughtBy string
	// Refusing is the referrer's registry where that honours no referrers.
	Refusing  string
	Statement Statement
}

// Live is a live assessment of a vulnerability in the scope of one image.
type Live struct {
	AssessmentID    int64
	VulnerabilityID int64
	Type            string
	Comment, Author string
	// DocumentID is that of the document it stands on; 0 where a person took it.
	DocumentID int64
}

// Ruling is an assessment of a document that a person ended.
type Ruling struct {
	DocumentID, VulnerabilityID int64
	By                          string
}

// Situation is all that decides what VEX says of an image.
type Situation struct {
	Image   string
	Subject Subject
	// Analysed says that the findings are the image's.
	Analysed bool
	Findings []match.Finding
	// Names are the names of the vulnerabilities found, by id, that are no
	// others'.
	Names map[int64][]string
	// Refusing are the registries that hold the image and honour no referrers.
	Refusing []string
	Claims   []Claim
	// Live are all live assessments in the scope of the image.
	Live    []Live
	Rulings []Ruling
}

// Plan is what to change. It holds as long as Live does.
type Plan struct {
	Image string
	Live  []Live
	// Ends are assessments on which no document insists any more.
	Ends     []Live
	Creates  []Creation
	Outcomes []Outcome
}

// Creation is an assessment in the scope of the image; it supersedes that of
// another document, or of another wording.
type Creation struct {
	VulnerabilityID int64
	Vulnerability   string
	DocumentID      int64
	Author, Comment string
}

// Outcome is what a statement came to in an image.
type Outcome struct {
	DocumentID int64
	Position   int
	Image      string
	State      State
	Reason     string
	// AssessmentID is 0 where there is none, and for a creation of the same
	// plan, which is that of VulnerabilityID.
	AssessmentID    int64
	VulnerabilityID int64
}

// Decide says what documents come to in an image. typ is the assessment type
// that statements become.
//
// Of each author the newest statement on a package counts. A vulnerability is
// assessed where one author clears every package of the image that has it; the
// one who spoke last, where several do. A person's assessment stands, and what
// a person ended stays so.
func Decide(s Situation, typ string) Plan {
	p := planner{Plan: Plan{Image: s.Image, Live: s.Live}, situation: s, typ: typ,
		live: make(map[int64]Live), rulings: make(map[[2]int64]string), kept: make(map[int64]bool)}
	for _, l := range s.Live {
		p.live[l.VulnerabilityID] = l
	}
	for _, r := range s.Rulings {
		p.rulings[[2]int64{r.DocumentID, r.VulnerabilityID}] = r.By
	}
	found := make(map[int64][]inventory.Package)
	names := make(map[string][]int64)
	title := make(map[int64]string)
	for _, f := range s.Findings {
		if title[f.VulnerabilityID] == "" {
			title[f.VulnerabilityID] = f.Vulnerability
			for _, name := range s.Names[f.VulnerabilityID] {
				names[name] = append(names[name], f.VulnerabilityID)
			}
		}
		if !slices.Contains(found[f.VulnerabilityID], f.Package) {
			found[f.VulnerabilityID] = append(found[f.VulnerabilityID], f.Package)
		}
	}
	claims := make(map[int64][]Claim)
	for _, c := range s.Claims {
		for _, id := range c.concerns(names) {
			claims[id] = append(claims[id], c)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(claims)) {
		p.decide(id, title[id], found[id], claims[id])
	}
	for _, l := range s.Live {
		if l.DocumentID != 0 && !p.kept[l.VulnerabilityID] {
			p.Ends = append(p.Ends, l)
		}
	}
	return p.Plan
}

// concerns returns the vulnerabilities that the statement names: by its name,
// or else by its aliases.
func (c Claim) concerns(names map[string][]int64) []int64 {
	for _, name := range c.Statement.Names() {
		if ids := names[name]; len(ids) > 0 {
			return ids
		}
	}
	return nil
}

type planner struct {
	Plan
	situation Situation
	typ       string
	live      map[int64]Live
	rulings   map[[2]int64]string
	// kept are the vulnerabilities on which some document insists.
	kept map[int64]bool
}

// word is what an author says of the packages with a vulnerability.
type word struct {
	author string
	claims []Claim
	// by holds, for each package, the index of the claim that counts; -1 for none.
	by []int
}

// clears reports whether all packages are cleared; else which is not, and the
// status that it has instead, if any.
func (w word) clears() (all bool, pkg int, status Status) {
	for i, c := range w.by {
		if c < 0 {
			return false, i, ""
		}
		if s := w.claims[c].Statement.Status; !s.clears() {
			return false, i, s
		}
	}
	return true, 0, ""
}

// used are the claims that count, the newest first.
func (w word) used() []Claim {
	var list []Claim
	for i, c := range w.claims {
		if slices.Contains(w.by, i) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b Claim) int { return compareClaims(b, a) })
	return list
}

// compareClaims orders by time; what came later to this place is newer, too.
func compareClaims(a, b Claim) int {
	return cmp.Or(a.Statement.Timestamp.Compare(b.Statement.Timestamp), cmp.Compare(a.DocumentID, b.DocumentID), cmp.Compare(a.Position, b.Position))
}

func (p *planner) outcome(c Claim, vulnerability int64, state State, format string, args ...any) *Outcome {
	p.Outcomes = append(p.Outcomes, Outcome{DocumentID: c.DocumentID, Position: c.Position, Image: p.Image, State: state,
		Reason: fmt.Sprintf(format, args...), VulnerabilityID: vulnerability})
	return &p.Outcomes[len(p.Outcomes)-1]
}

// decide is Decide for one vulnerability.
func (p *planner) decide(id int64, name string, packages []inventory.Package, claims []Claim) {
	matcher := NewMatcher(p.situation.Subject, packages)
	words := make(map[string]*word)
	for _, c := range claims {
		covered := make([]bool, len(packages))
		if !matcher.Covers(c.Statement.Products, func(i int) { covered[i] = true }) {
			continue
		}
		if c.Refusing != "" {
			p.outcome(c, id, Ignored, "registry %s honours no VEX of referrers", c.Refusing)
			continue
		}
		if c.Referrer && len(p.situation.Refusing) > 0 {
			p.outcome(c, id, Ignored, "registry %s holds the image and honours no VEX of referrers", strings.Join(p.situation.Refusing, ", "))
			continue
		}
		w := words[c.Author]
		if w == nil {
			w = &word{author: c.Author, by: slices.Repeat([]int{-1}, len(packages))}
			words[c.Author] = w
		}
		w.claims = append(w.claims, c)
		n := len(w.claims) - 1
		for i, yes := range covered {
			if yes && (w.by[i] < 0 || compareClaims(w.claims[w.by[i]], c) < 0) {
				w.by[i] = n
			}
		}
	}
	var clearing []*word
	for _, author := range slices.Sorted(maps.Keys(words)) {
		w := words[author]
		used := w.used()
		for _, c := range w.claims {
			if !slices.ContainsFunc(used, func(u Claim) bool { return compareClaims(u, c) == 0 }) {
				p.unused(id, c, packages, len(used) > 0)
			}
		}
		all, missing, status := w.clears()
		for _, c := range used {
			switch {
			case !c.Statement.Status.clears():
				p.outcome(c, id, Noted, "nothing is assessed where the status is %s", c.Statement.Status)
			case !all && status != "":
				p.outcome(c, id, Partial, "%s %s is %s, says the same author", packages[missing].Name, packages[missing].Version, status)
			case !all:
				p.outcome(c, id, Partial, "it does not cover %s %s, which has it, too", packages[missing].Name, packages[missing].Version)
			}
		}
		if all {
			clearing = append(clearing, w)
		}
	}
	slices.SortStableFunc(clearing, func(a, b *word) int { return compareClaims(b.used()[0], a.used()[0]) })
	p.choose(id, name, clearing)
}

// unused says why a claim counts for no package.
func (p *planner) unused(id int64, c Claim, packages []inventory.Package, newer bool) {
	if !newer {
		p.outcome(c, id, Partial, "it covers none of the packages that have it, such as %s %s", packages[0].Name, packages[0].Version)
		return
	}
	p.outcome(c, id, Overtaken, "other statements of the author count for these packages")
}

// choose takes the first of the words, the newest first, that no person has
// overruled.
func (p *planner) choose(id int64, name string, clearing []*word) {
	live, assessed := p.live[id]
	var chosen *word
	for _, w := range clearing {
		used := w.used()
		overruled := ""
		if assessed && live.DocumentID == 0 {
			overruled = fmt.Sprintf("the assessment of %s stands", live.Author)
		}
		for _, c := range used {
			if by, ok := p.rulings[[2]int64{c.DocumentID, id}]; ok && overruled == "" {
				overruled = by + " ended its assessment"
			}
		}
		for _, c := range used {
			switch {
			case overruled != "":
				p.outcome(c, id, Overruled, "%s", overruled)
			case chosen != nil:
				p.outcome(c, id, Overtaken, "%s said so later", chosen.author)
			default:
				o := p.outcome(c, id, Applied, "")
				if assessed {
					o.AssessmentID = live.AssessmentID
				}
			}
		}
		if overruled == "" && chosen == nil {
			chosen = w
		}
	}
	if chosen == nil {
		return
	}
	p.kept[id] = true
	made := chosen.creation(id, name)
	if assessed && live.DocumentID == made.DocumentID && live.Type == p.typ && live.Comment == made.Comment {
		return
	}
	p.Creates = append(p.Creates, made)
	for i := range p.Outcomes {
		if o := &p.Outcomes[i]; o.VulnerabilityID == id && o.State == Applied {
			o.AssessmentID = 0
		}
	}
}

// creation words the assessment; equal words give equal texts.
func (w word) creation(id int64, name string) Creation {
	used := w.used()
	newest := used[0]
	var lines []string
	for _, c := range used {
		parts := []string{strings.ReplaceAll(string(c.Statement.Status), "_", " ")}
		for _, more := range []string{strings.ReplaceAll(c.Statement.Justification, "_", " "), c.Statement.Impact} {
			if more != "" {
				parts = append(parts, more)
			}
		}
		if line := strings.Join(parts, ": "); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	const most = 4 // texts of 2000 bytes each, and what follows, fit a comment
	if more := len(lines) - most; more > 0 {
		lines = append(lines[:most], fmt.Sprintf("and %d more statements", more))
	}
	about := "Of VEX document " + quoted(newest.Identifier)
	if t := newest.Statement.Timestamp; !t.IsZero() {
		about += ", " + t.UTC().Format(time.DateOnly)
	}
	if newest.Referrer {
		about += ", attached in " + newest.Repository + " by " + newest.BroughtBy
	} else {
		about += ", uploaded by " + newest.BroughtBy
	}
	return Creation{VulnerabilityID: id, Vulnerability: name, DocumentID: newest.DocumentID,
		Author: Author(newest.Author, newest.Identifier), Comment: strings.Join(append(lines, about), "\n")}
}

func quoted(identifier string) string {
	if identifier == "" {
		return "without an identifier"
	}
	return clip(identifier, maxName)
}

// Author is the author of the assessments that stand on a document.
func Author(author, identifier string) string {
	if author == "" {
		author = "unknown"
	}
	return fmt.Sprintf("vex: %s (%s)", author, quoted(identifier))
}
