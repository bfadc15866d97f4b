package epss_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/epss"
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/realdata"
)

func read(r io.Reader) (scores []feed.Score, parsed feed.Parsed, err error) {
	var f feed.ScoreFeed = epss.New()
	parsed, err = f.Scores(context.Background(), f.Parts()[0], r, func(s feed.Score) error {
		scores = append(scores, s)
		return nil
	})
	return scores, parsed, err
}

func pack(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestScores(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "scores.csv"))
	if err != nil {
		t.Fatal(err)
	}
	scores, parsed, err := read(bytes.NewReader(pack(t, text)))
	if err != nil {
		t.Fatal(err)
	}
	plain, _, err := read(bytes.NewReader(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))))
	if diff := cmp.Diff(scores, plain); err != nil || diff != "" {
		t.Errorf("not compressed: %v (-compressed +plain):\n%s", err, diff)
	}
	var b strings.Builder
	for _, s := range scores {
		fmt.Fprintln(&b, s.CVE, s.Probability, s.Percentile)
	}
	fmt.Fprintf(&b, "skipped %d\n", parsed.Skipped.Count)
	for _, name := range parsed.Skipped.Names {
		fmt.Fprintf(&b, "  %s\n", name)
	}
	feedtest.Golden(t, "scores.golden", b.String())
}

func TestScoresRefuse(t *testing.T) {
	const header, line = "cve,epss,percentile\n", "CVE-2024-0009,0.2,0.3\n"
	packed := pack(t, []byte(header+strings.Repeat(line, 1000)))
	tests := []struct{ name, document, want string }{
		{"empty", "", `epss current: line 0: the document ends before "cve,epss,percentile"`},
		{"page", "<html>\n", `epss current: line 1: want "cve,epss,percentile", not "<html>"`},
		{"comments alone", "# a\n# b\n", "line 2: the document ends before"},
		{"no scores", header, "the document has no scores"},
		{"other columns", "cve,percentile,epss\n" + line, `not "cve,percentile,epss"`},
		{"no header", line, "line 1: want"},
		{"mostly malformed", header + line + "x\ny\n", `2 of 3 lines are malformed: line 3 x: it names no CVE; line 4 y`},
		{"one long line", strings.Repeat("x", 10_000), "line 1: want"},
		{"cut", string(packed[:len(packed)-9]), "unexpected EOF"},
		{"broken", "\x1f\x8b\x00", "epss current: gzip: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := read(strings.NewReader(test.document)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestScoresSkip(t *testing.T) {
	const header, line = "cve,epss,percentile\n", "CVE-2024-0009,0.2,0.3\n"
	for name, test := range map[string]struct{ document, want string }{
		"a long line":    {header + line + strings.Repeat("x", 100_000) + "\n" + strings.Replace(line, "9", "8", 1), "line 3: it is longer than 4096 bytes"},
		"a cut line":     {header + line + line + "CVE-2024-0008,0.2,0.", "line 4: it does not end, and may be cut"},
		"a control byte": {header + line + line + "CVE-2024-000\x008,0.2,0.3\n", "it names no CVE"},
	} {
		scores, parsed, err := read(strings.NewReader(test.document))
		if err != nil || len(scores) != 2 || parsed.Skipped.Count != 1 || !strings.Contains(parsed.Skipped.Names[0], test.want) {
			t.Errorf("%s: %d scores, %+v, %v", name, len(scores), parsed, err)
		}
	}
}

func TestScoresStop(t *testing.T) {
	f := epss.New()
	document := "cve,epss,percentile\n" + strings.Repeat("CVE-2024-0009,0.2,0.3\n", 10_000)
	mine := errors.New("mine")
	if _, err := f.Scores(t.Context(), f.Parts()[0], strings.NewReader(document), func(feed.Score) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Scores(ctx, f.Parts()[0], strings.NewReader(document), func(feed.Score) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
	parsed, err := f.Parse(t.Context(), f.Parts()[0], strings.NewReader(document), func(g advisory.Group) error { return fmt.Errorf("group %+v", g) })
	if err != nil || parsed.Skipped.Count != 0 {
		t.Errorf("as groups: %+v, %v", parsed, err)
	}
}

// realDocument is the published document, not compressed.
func realDocument(t testing.TB) (packed, text []byte) {
	t.Helper()
	packed = realdata.Read(t, "feeds", "epss.empiricalsecurity.com", "epss_scores-current.csv.gz")
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if text, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return packed, text
}

// TestRealDocument finds every line, as a split of the text does.
func TestRealDocument(t *testing.T) {
	packed, text := realDocument(t)
	scores, parsed, err := read(bytes.NewReader(packed))
	if err != nil || parsed.Skipped.Count != 0 {
		t.Fatalf("%v, skipped %+v", err, parsed.Skipped)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")[2:]
	if len(lines) != len(scores) {
		t.Fatalf("%d scores, want %d", len(scores), len(lines))
	}
	for i, s := range scores {
		format := func(n float64) string { return strconv.FormatFloat(n, 'f', 5, 64) }
		if got := s.CVE + "," + format(s.Probability) + "," + format(s.Percentile); got != lines[i] {
			t.Fatalf("line %d: got %q, want %q", i+3, got, lines[i])
		}
	}
	t.Logf("%d scores", len(scores))
}

func FuzzScores(f *testing.F) {
	seed, err := os.ReadFile(filepath.Join("testdata", "scores.csv"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(pack(f, seed))
	f.Add([]byte("cve,epss,percentile\nCVE-2024-0009,0.2,0x1p-2\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		scores, _, err := read(bytes.NewReader(text))
		if err != nil {
			return
		}
		if len(scores) == 0 {
			t.Error("neither scores nor an error")
		}
		for _, s := range scores {
			if !strings.HasPrefix(s.CVE, "CVE-") || len(s.CVE) > 28 || !(s.Probability >= 0 && s.Probability <= 1 && s.Percentile >= 0 && s.Percentile <= 1) {
				t.Errorf("%+v", s)
			}
		}
	})
}

func BenchmarkScores(b *testing.B) {
	packed, text := realDocument(b)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	rows := 0
	f := epss.New()
	for b.Loop() {
		if _, err := f.Scores(context.Background(), f.Parts()[0], bytes.NewReader(packed), func(feed.Score) error {
			rows++
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
