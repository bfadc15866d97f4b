package feed

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pratique/pratique/internal/advisory"
)

// Fingerprint is equal for groups that state the same.
type Fingerprint [sha256.Size]byte

// Entry is a group as it is stored.
type Entry struct {
	advisory.Group
	Fingerprint Fingerprint
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
	if err := checkName("package", g.Package); err != nil {
		skip(g.Package, err.Error())
		return false
	}
	g.Advisories = slices.DeleteFunc(g.Advisories, func(a advisory.Advisory) bool {
		err := checkAdvisory(a)
		if err != nil {
			skip(g.Package+" "+a.Vulnerability, err.Error())
		}
		return err != nil
	})
	stated := make(map[string]bool, len(g.Advisories))
	for i := range g.Advisories {
		g.Advisories[i].Note = clean(g.Advisories[i].Note, maxNote)
		stated[g.Advisories[i].Vulnerability] = true
	}
	slices.SortFunc(g.Advisories, compareAdvisories)
	g.Advisories = slices.Compact(g.Advisories)
	descriptions := make(map[string]string, len(g.Descriptions))
	for vulnerability, text := range g.Descriptions {
		if text = clean(text, maxProse); text != "" && stated[vulnerability] {
			descriptions[vulnerability] = text
		}
	}
	g.Descriptions = descriptions
	return len(g.Advisories) > 0
}

func checkAdvisory(a advisory.Advisory) error {
	for _, field := range [...]struct{ what, value string }{
		{"vulnerability", a.Vulnerability}, {"ecosystem", a.Ecosystem}, {"package", a.Package},
	} {
		if err := checkName(field.what, field.value); err != nil {
			return err
		}
	}
	for _, v := range [...]string{a.Introduced, a.Fixed} {
		if v == "" {
			continue
		}
		if err := checkName("version", v); err != nil {
			return err
		}
	}
	return nil
}

func compareAdvisories(a, b advisory.Advisory) int {
	return cmp.Or(strings.Compare(a.Ecosystem, b.Ecosystem), strings.Compare(a.Vulnerability, b.Vulnerability),
		strings.Compare(a.Package, b.Package), strings.Compare(string(a.Status), string(b.Status)),
		strings.Compare(a.Introduced, b.Introduced), strings.Compare(a.Fixed, b.Fixed),
		cmp.Compare(a.Severity, b.Severity), strings.Compare(a.Note, b.Note))
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
func fingerprint(g *advisory.Group) Fingerprint {
	h := sha256.New()
	write(h, g.Package)
	for i := range g.Advisories {
		a := &g.Advisories[i]
		write(h, a.Vulnerability, a.Ecosystem, a.Package, string(a.Status), a.Introduced, a.Fixed, a.Severity.String(), a.Note)
	}
	write(h, "descriptions")
	for _, vulnerability := range slices.Sorted(maps.Keys(g.Descriptions)) {
		write(h, vulnerability, g.Descriptions[vulnerability])
	}
	return Fingerprint(h.Sum(nil))
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
