package redhat

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// progress is how far the documents are read: those that changed until Since,
// and of those that changed later the ones that are Recent. Changes do not come
// to be listed in the order of their times.
type progress struct {
	Since  time.Time `json:"since"`
	Recent marks     `json:"recent,omitempty"`
	// Archive is the last one that was read, "" where there was none.
	Archive string `json:"archive,omitempty"`
	// Changes and Deletions are the validators of the two lists.
	Changes   feed.Validators `json:"changes"`
	Deletions feed.Validators `json:"deletions"`
	// Retry are documents that could not be read, to be tried again.
	Retry []string `json:"retry,omitempty"`
}

// margin is how late a change may come to be listed, how much older than its day
// an archive may be, and how far ahead of ours Red Hat's clock.
const margin = 24 * time.Hour

// maxRecent bounds what is remembered one by one; some hundred documents change
// a day, and now and then all of them.
const maxRecent = 20_000

// marks are changes by what they are told from each other, 8 bytes each.
type marks []byte

func mark(e entry) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.path + e.at.Format(time.RFC3339))) // it does not fail
	return h.Sum64()
}

func (m marks) set() map[uint64]bool {
	set := make(map[uint64]bool, len(m)/8)
	for ; len(m) >= 8; m = m[8:] {
		set[binary.LittleEndian.Uint64(m)] = true
	}
	return set
}

// newer are the changes, of a list in the order of their times, that are not read.
func (p *progress) newer(changes []entry) []entry {
	done := p.Recent.set()
	return slices.DeleteFunc(slices.Clone(changes[firstAfter(changes, p.Since):]), func(e entry) bool { return done[mark(e)] })
}

// advance notes what is read of a list of changes.
func (p *progress) advance(changes []entry, done map[uint64]bool) {
	var read []entry
	for _, e := range changes[firstAfter(changes, p.Since):] {
		if done[mark(e)] {
			read = append(read, e)
		}
	}
	if len(read) == 0 {
		return
	}
	if since := read[len(read)-1].at.Add(-margin); since.After(p.Since) {
		p.Since = since
	}
	read = read[firstAfter(read, p.Since):]
	if more := len(read) - maxRecent; more > 0 {
		p.Since = read[more-1].at
		read = read[firstAfter(read, p.Since):]
	}
	p.Recent = nil
	for _, e := range read {
		p.Recent = binary.LittleEndian.AppendUint64(p.Recent, mark(e))
	}
}

// firstAfter is the place of the first entry later than a time.
func firstAfter(list []entry, at time.Time) int {
	n, _ := slices.BinarySearchFunc(list, at, func(e entry, at time.Time) int {
		if e.at.After(at) {
			return 1
		}
		return -1
	})
	return n
}
