package feed

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
)

// Prints tell what a group states of each of its vulnerabilities from what it stated
// the last time: of a package such as the kernel, with thousands, a few change in a
// day. They are pairs of numbers, by name: of the name, and of what is stated.
type Prints []byte

// manyVulnerabilities is from how many on a group has prints.
const manyVulnerabilities = 16

// Prints returns those of a normalised group. There are none where it has few
// vulnerabilities, or names other than CVE ids: what goes by those may be stored as
// another's, of the same group.
func (e *Entry) Prints() (Prints, error) {
	of := make(map[string]uint64)
	var text []byte
	add := func(name string) bool {
		sum := sha256.Sum256(text)
		of[name] = of[name]*0x9e3779b97f4a7c15 + binary.BigEndian.Uint64(sum[:])
		return strings.HasPrefix(name, "CVE-")
	}
	for i := range e.Advisories {
		text = text[:0]
		for _, field := range texts(&e.Advisories[i]) {
			text = append(binary.LittleEndian.AppendUint32(text, uint32(len(field))), field...)
		}
		if !add(e.Advisories[i].Vulnerability) {
			return nil, nil
		}
	}
	for name, detail := range e.Details {
		var err error
		if text, err = json.Marshal(detail); err != nil {
			return nil, fmt.Errorf("details of %q: %w", name, err)
		}
		if !add(name) || len(detail.Aliases) > 0 {
			return nil, nil
		}
	}
	if len(of) < manyVulnerabilities {
		return nil, nil
	}
	list := make([][2]uint64, 0, len(of))
	for name, stated := range of {
		list = append(list, [2]uint64{printOf(name), stated})
	}
	slices.SortFunc(list, func(a, b [2]uint64) int { return cmp.Compare(a[0], b[0]) })
	p := make(Prints, 0, 16*len(list))
	for _, pair := range list {
		p = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(p, pair[0]), pair[1])
	}
	return p, nil
}

func printOf(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:])
}

// Changed returns the entry with only those of its vulnerabilities of which something
// else is stated than when the group had the prints before; now are those that it has.
// It returns false where prints do not tell: where either are absent, or one that was
// stated of is gone.
func (e *Entry) Changed(before, now Prints) (Entry, bool) {
	if len(before) == 0 || len(before)%16 != 0 || len(now) == 0 {
		return Entry{}, false
	}
	changed := make(map[uint64]bool)
	for ; len(now) > 0; now = now[16:] {
		order := -1
		if len(before) > 0 {
			order = bytes.Compare(now[:8], before[:8])
		}
		if order > 0 { // before has one that now has not
			return Entry{}, false
		}
		if order < 0 || !bytes.Equal(now[8:16], before[8:16]) {
			changed[binary.BigEndian.Uint64(now)] = true
		}
		if order == 0 {
			before = before[16:]
		}
	}
	if len(before) > 0 {
		return Entry{}, false
	}
	known := make(map[string]bool)
	same := func(name string) bool {
		is, seen := known[name]
		if !seen {
			is = !changed[printOf(name)]
			known[name] = is
		}
		return is
	}
	some := *e
	some.Advisories, some.Details = nil, make(map[string]advisory.Detail)
	for i := range e.Advisories {
		if !same(e.Advisories[i].Vulnerability) {
			some.Advisories = append(some.Advisories, e.Advisories[i])
		}
	}
	for name, detail := range e.Details {
		if !same(name) {
			some.Details[name] = detail
		}
	}
	return some, true
}
