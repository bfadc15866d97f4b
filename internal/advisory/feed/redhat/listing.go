package redhat

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// entry is a line of changes.csv or deletions.csv: a document, and when it was
// last made, or went.
type entry struct {
	path string
	at   time.Time
}

// documentPath is that of a document below the base: "2024/cve-2024-0727.json".
var documentPath = regexp.MustCompile(`^([0-9]{4})/(cve-[0-9]{4}-[0-9]{4,19})\.json$`)

// group is the name of the group that a document has, its CVE id.
func group(path string) string {
	return strings.ToUpper(strings.TrimSuffix(path[strings.LastIndexByte(path, '/')+1:], ".json"))
}

// The longest list that is read; Red Hat's has a line for every document.
const maxLines = 2_000_000

// parseListing reads lines of a path and a time, "2024/cve-2024-0727.json" and
// "2025-11-21T14:32:00+00:00", in the order of the times. A list in which no
// line is one is an error. What is later than end is not believed: all changes
// until then would be passed over.
func parseListing(r io.Reader, end time.Time) ([]entry, feed.Skipped, error) {
	var skipped feed.Skipped
	var list []entry
	lines := csv.NewReader(&limited{r: r, left: 512 << 20})
	lines.FieldsPerRecord, lines.ReuseRecord = -1, true
	for n := 1; ; n++ {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, skipped, err
		}
		if n > maxLines {
			return nil, skipped, fmt.Errorf("line %d: more than %d lines", n, maxLines)
		}
		if len(fields) < 2 || !documentPath.MatchString(fields[0]) {
			skipped.Add(fmt.Sprintf("line %d", n), fmt.Sprintf("%.100q names no document", fields))
			continue
		}
		at, err := time.Parse(time.RFC3339, fields[1])
		if err != nil {
			skipped.Add(fmt.Sprintf("line %d", n), err.Error())
			continue
		}
		if at.After(end) {
			skipped.Add(fmt.Sprintf("line %d", n), fmt.Sprintf("%s is yet to come", fields[1]))
			continue
		}
		list = append(list, entry{path: strings.Clone(fields[0]), at: at.UTC()})
	}
	if len(list) == 0 && skipped.Count > 0 {
		return nil, skipped, fmt.Errorf("none of %d lines names a document: %s", skipped.Count, skipped.Names[0])
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.path, b.path)) })
	return list, skipped, nil
}

// limited is a reader that fails where there is more than is allowed; it keeps
// the error that it failed with.
type limited struct {
	r    io.Reader
	left int64
	err  error
}

var errTooMuch = errors.New("there is too much of it")

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		l.err = errTooMuch
		return 0, l.err
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	if err != nil && err != io.EOF {
		l.err = err
	}
	return n, err
}
