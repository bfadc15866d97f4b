package feed

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
)

// Fingerprint is equal for groups that state the same: a digest, and how many
// advisories the group has.
type Fingerprint [sha256.Size]byte

// Advisories is how many the group has.
func (f Fingerprint) Advisories() int { return int(binary.BigEndian.Uint32(f[len(f)-4:])) }

// Entry is a group as it is stored.
type Entry struct {
	advisory.Group
	Fingerprint Fingerprint
	Origin      Origin `json:"-"`
}

// The longest texts that are stored, in bytes; names longer than that are no
// names, prose is cut.
const (
	maxName  = 255
	maxProse = 4000
	maxNote  = 500
)

// normalise brings a group into the one form that is stored and compared: an
// order that does not depend on the document's, prose that is clean and of
// bounded length. It leaves out, and tells skip of, what cannot be stored, and
// reports whether anything is left.
func normalise(g *advisory.Group, skip func(name, reason string)) bool {
	if err := checkName("name", g.Name); err != nil {
		skip(g.Name, err.Error())
		return false
	}
	alone := len(g.Advisories) == 0
	g.Advisories = slices.DeleteFunc(g.Advisories, func(a advisory.Advisory) bool {
		err := checkAdvisory(a)
		if err != nil {
			skip(g.Name+" "+a.Vulnerability, err.Error())
		}
		return err != nil
	})
	stated := make(map[string]bool, len(g.Advisories))
	for i := range g.Advisories {
		a := &g.Advisories[i]
		a.Package = advisory.PackageName(a.Ecosystem, a.Package)
		if a.Status == advisory.Affected {
			// What cannot be compared is not guessed at.
			if _, err := match.BoundsOf(*a); err != nil {
				a.Status, a.Note = advisory.Undetermined, strings.TrimPrefix(a.Note+"; "+err.Error(), "; ")
			}
		}
		a.Note = clean(a.Note, maxNote)
		stated[a.Vulnerability] = true
	}
	slices.SortFunc(g.Advisories, compareAdvisories)
	g.Advisories = slices.Compact(g.Advisories)
	details := make(map[string]advisory.Detail, len(g.Details))
	for vulnerability, d := range g.Details {
		if !alone && !stated[vulnerability] || alone && checkName("vulnerability", vulnerability) != nil {
			continue
		}
		if d = normaliseDetail(d, vulnerability); !reflect.DeepEqual(d, advisory.Detail{}) {
			details[vulnerability] = d
		}
	}
	g.Details = details
	return len(g.Advisories)+len(g.Details) > 0
}

// The most of each that is kept of a detail.
const (
	maxAliases    = 50
	maxScores     = 20
	maxReferences = 50
	maxURL        = 1000
)

// normaliseDetail bounds and sorts what a detail lists.
func normaliseDetail(d advisory.Detail, vulnerability string) advisory.Detail {
	d.Description = clean(d.Description, maxProse)
	d.Aliases = distinct(d.Aliases, maxAliases, func(name string) bool { return name != vulnerability && checkName("alias", name) == nil })
	d.References = distinct(d.References, maxReferences, func(link string) bool {
		return len(link) <= maxURL && (strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://")) &&
			!strings.ContainsFunc(link, func(r rune) bool { return r <= ' ' || r == 0x7f || r == utf8.RuneError })
	})
	d.Weaknesses = distinct(d.Weaknesses, maxScores, func(name string) bool { return checkName("weakness", name) == nil })
	d.Scores = slices.DeleteFunc(slices.Clone(d.Scores), func(s advisory.Score) bool {
		return checkName("vector", s.Vector) != nil || s.Source != "" && checkName("source", s.Source) != nil || !(s.Base >= 0 && s.Base <= 10)
	})
	slices.SortFunc(d.Scores, func(a, b advisory.Score) int {
		return cmp.Or(strings.Compare(b.Version, a.Version), strings.Compare(a.Source, b.Source), strings.Compare(a.Vector, b.Vector))
	})
	d.Scores = slices.Compact(d.Scores)
	d.Scores = d.Scores[:min(len(d.Scores), maxScores)]
	if len(d.Scores) == 0 {
		d.Scores = nil
	}
	if d.Exploited != nil {
		e := *d.Exploited
		e.Action = clean(e.Action, maxNote)
		d.Exploited = &e
	}
	for _, t := range []*time.Time{&d.Published, &d.Modified, &d.Withdrawn} {
		if t.Year() < 1980 || t.Year() > 9000 { // some feeds write the zero time of their language
			*t = time.Time{}
		}
		*t = t.UTC()
	}
	return d
}

// distinct sorts those that are sound and cuts them to a number; nil for none.
func distinct(list []string, most int, sound func(string) bool) []string {
	var kept []string
	for _, s := range list {
		if sound(s) {
			kept = append(kept, s)
		}
	}
	slices.Sort(kept)
	kept = slices.Compact(kept)
	return kept[:min(len(kept), most)]
}

func checkAdvisory(a advisory.Advisory) error {
	for _, field := range [...]struct{ what, value string }{
		{"vulnerability", a.Vulnerability}, {"ecosystem", a.Ecosystem}, {"package", a.Package},
	} {
		if err := checkName(field.what, field.value); err != nil {
			return err
		}
	}
	for _, field := range [...]struct{ what, value string }{
		{"id", a.ID}, {"module", a.Module}, {"architecture", a.Architectures},
		{"version", a.Introduced}, {"version", a.Fixed}, {"version", a.LastAffected},
	} {
		if field.value == "" {
			continue
		}
		if err := checkName(field.what, field.value); err != nil {
			return err
		}
	}
	return nil
}

// texts are the fields of an advisory in the order by which they are sorted.
func texts(a *advisory.Advisory) [14]string {
	source := ""
	if a.Source {
		source = "source"
	}
	return [...]string{a.Ecosystem, a.Vulnerability, a.Package, source, a.Module, a.Architectures, string(a.Status),
		a.Introduced, a.Fixed, a.LastAffected, string(a.Fix), a.Severity.String(), a.Note, a.ID}
}

func compareAdvisories(a, b advisory.Advisory) int {
	x, y := texts(&a), texts(&b)
	return slices.Compare(x[:], y[:])
}

func checkName(what, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("the %s is empty", what)
	case len(value) > maxName:
		return fmt.Errorf("the %s is %d bytes long", what, len(value))
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("the " + what + " has control characters, or is no text")
	}
	return nil
}

// clean takes control characters out of prose, which databases and terminals
// do not take, and cuts it.
func clean(text string, size int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return cut(strings.TrimSpace(text), size)
}

// fingerprint is of a normalised group. It does not depend on the part's name.
func fingerprint(g *advisory.Group) (Fingerprint, error) {
	h := sha256.New()
	write(h, g.Name)
	for i := range g.Advisories {
		fields := texts(&g.Advisories[i])
		write(h, fields[:]...)
	}
	if len(g.Details) > 0 {
		details, err := json.Marshal(g.Details) // maps are written in order
		if err != nil {
			return Fingerprint{}, fmt.Errorf("details of %q: %w", g.Name, err)
		}
		h.Write(details)
	}
	print := Fingerprint(h.Sum(nil))
	binary.BigEndian.PutUint32(print[len(print)-4:], uint32(len(g.Advisories)))
	return print, nil
}

// write writes texts with their lengths, so that no two lists look the same.
func write(h hash.Hash, texts ...string) {
	for _, text := range texts {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(text)))
		h.Write(size[:])
		h.Write([]byte(text))
	}
}
