// Package epss reads the scores of the Exploit Prediction Scoring System,
// https://www.first.org/epss/data_stats: a comment with the model and the day,
// the names of the columns, and a line for each CVE.
//
// It must not know how the document is fetched or stored.
package epss

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

// Feed is the scores of the day.
type Feed struct{}

// New returns the feed, a feed.ScoreFeed.
func New() Feed { return Feed{} }

// Name is "epss".
func (Feed) Name() string { return "epss" }

// Revision is that of this parser.
func (Feed) Revision() int { return 1 }

// Parts is the one document.
func (Feed) Parts() []feed.Part {
	return []feed.Part{{Name: "current", URL: "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz"}}
}

// More has none.
func (Feed) More(map[string]bool) []feed.Part { return nil }

// Parse emits nothing: the document is one of scores.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, _ func(advisory.Group) error) (feed.Parsed, error) {
	return f.Scores(ctx, part, r, func(feed.Score) error { return nil })
}

// Scores reads the document, compressed or not. An error of emit is returned as it is.
func (f Feed) Scores(ctx context.Context, part feed.Part, r io.Reader, emit func(feed.Score) error) (feed.Parsed, error) {
	p := parser{emit: emit}
	err := p.document(ctx, r)
	if p.emitErr != nil {
		return feed.Parsed{}, p.emitErr
	}
	if err != nil {
		return feed.Parsed{}, fmt.Errorf("%s %s: %w", f.Name(), part.Name, err)
	}
	return feed.Parsed{Skipped: p.skipped}, nil
}

type parser struct {
	in      *bufio.Reader
	line    int
	emit    func(feed.Score) error
	emitErr error
	skipped feed.Skipped
	good    int
}

// Limits, in bytes. A line has some 30.
const (
	maxPlain = 1 << 30
	maxLine  = 4 << 10
)

// header names the columns.
const header = "cve,epss,percentile"

var (
	errLong = fmt.Errorf("it is longer than %d bytes", maxLine)
	errCut  = errors.New("it does not end, and may be cut")
)

func (p *parser) document(ctx context.Context, r io.Reader) error {
	content, err := decompress(r)
	if err != nil {
		return err
	}
	p.in = bufio.NewReaderSize(&limited{content, maxPlain}, maxLine)
	named := false
	for {
		text, err := p.next()
		if err == io.EOF {
			break
		}
		if err != nil && err != errLong && err != errCut {
			return fmt.Errorf("line %d: %w", p.line, err)
		}
		if p.line%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err == nil && (len(text) == 0 || text[0] == '#'):
		case !named:
			if err != nil || string(text) != header {
				return fmt.Errorf("line %d: want %q, not %.100q", p.line, header, text)
			}
			named = true
		case err != nil:
			p.skipped.Add(fmt.Sprintf("line %d", p.line), err.Error())
		default:
			if err := p.score(text); err != nil {
				return err
			}
		}
	}
	switch {
	case !named:
		return fmt.Errorf("line %d: the document ends before %q", p.line, header)
	case p.skipped.Count > p.good:
		return fmt.Errorf("%d of %d lines are malformed: %s", p.skipped.Count, p.skipped.Count+p.good, strings.Join(p.skipped.Names[:min(3, len(p.skipped.Names))], "; "))
	case p.good == 0:
		return fmt.Errorf("line %d: the document has no scores", p.line)
	}
	return nil
}

// next returns the next line without its end, until the next call; io.EOF where
// there is none, errLong or errCut for one that it passes over. The last line has
// to end, too: it may be cut in a number.
func (p *parser) next() ([]byte, error) {
	text, err := p.in.ReadSlice('\n')
	if err == io.EOF && len(text) == 0 {
		return nil, io.EOF
	}
	p.line++
	long := false
	for err == bufio.ErrBufferFull {
		long = true
		_, err = p.in.ReadSlice('\n')
	}
	switch {
	case err == io.EOF:
		return nil, errCut
	case err != nil:
		return nil, err
	case long:
		return nil, errLong
	}
	return bytes.TrimRight(text, "\r\n"), nil
}

// score emits the score in a line.
func (p *parser) score(text []byte) error {
	name, rest, _ := strings.Cut(string(text), ",")
	probability, percentile, _ := strings.Cut(rest, ",")
	s := feed.Score{CVE: name}
	var err error
	switch {
	case !isCVE(name):
		err = errors.New("it names no CVE")
	default:
		if s.Probability, err = share(probability); err == nil {
			s.Percentile, err = share(percentile)
		}
	}
	if err != nil {
		p.skipped.Add(fmt.Sprintf("line %d %s", p.line, text), err.Error())
		return nil
	}
	p.good++
	p.emitErr = p.emit(s)
	return p.emitErr
}

// share reads a number from 0 to 1.
func share(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0 && n <= 1) {
		return 0, fmt.Errorf("%q is no number from 0 to 1", text)
	}
	return n, nil
}

// isCVE reports CVE-YYYY-N, N of 4 digits or more.
func isCVE(s string) bool {
	const prefix, year, shortest, longest = len("CVE-"), len("2006-"), 4, 19
	number := len(s) - prefix - year
	if !strings.HasPrefix(s, "CVE-") || number < shortest || number > longest || s[prefix+year-1] != '-' {
		return false
	}
	for i, c := range []byte(s[prefix:]) {
		if i != year-1 && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// decompress reads what may be a gzip file.
func decompress(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	head, err := buffered.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return buffered, nil
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return z, nil
}

// limited is a reader that fails, rather than ends, where there is too much.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the document has more than %d bytes", int64(maxPlain))
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}
