package debian_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/debian"
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/realdata"
)

func parse(r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	f := debian.New()
	return feedtest.Parse(f, f.Parts()[0], r)
}

func TestParse(t *testing.T) {
	file, err := os.Open(filepath.Join("testdata", "tracker.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	groups, parsed, err := parse(file)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s (%s)\n", g.Name, g.Part)
		for _, a := range g.Advisories {
			fmt.Fprintf(&b, "  %s %s %s fixed %q fix %q severity %s note %q\n", a.Vulnerability, a.Ecosystem, a.Status, a.Fixed, a.Fix, a.Severity, a.Note)
		}
		for _, v := range slices.Sorted(func(yield func(string) bool) {
			for v := range g.Details {
				if !yield(v) {
					return
				}
			}
		}) {
			fmt.Fprintf(&b, "  %s: %q\n", v, g.Details[v].Description)
		}
	}
	feedtest.Summary(&b, parsed)
	feedtest.Golden(t, "tracker.golden", b.String())
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, document, want string }{
		{"empty", "", "debian tracker: byte 0: unexpected EOF"},
		{"page", "<!doctype html>", "debian tracker: byte 0: invalid character '<'"},
		{"list", "[]", "debian tracker: unexpected type at byte 2: want an object"},
		{"truncated in a record", `{"a": {"CVE-1-1": {"releases": {"sid": {"st`, "unexpected EOF"},
		{"truncated between packages", `{"a": {"CVE-1-1": {"releases": {"sid": {"status": "open"}}}},`, "unexpected EOF"},
		{"not closed", `{"a": {}`, "debian tracker: byte 8: unexpected EOF"},
		{"two documents", `{} {}`, "debian tracker: byte 4: { follows the document"},
		{"garbage after", `{}x`, "debian tracker: byte 2: invalid character 'x'"},
		{"wrong bracket", `{"a": {]`, "invalid character ']'"},
		{"huge value", `{"a": {"CVE-1-1": {"description": "` + strings.Repeat("x", 17<<20), "one value is larger than"},
		{"huge name", `{"` + strings.Repeat("x", 17<<20), "one value is larger than"},
		{"deep", strings.Repeat(`{"a":`, 20_000), "exceeded max depth"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := parse(strings.NewReader(test.document)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestParseStops(t *testing.T) {
	f := debian.New()
	document := `{"a": {"CVE-1-1": {"releases": {"sid": {"status": "open"}}}}, "b": {}}`
	mine := errors.New("mine")
	if _, err := f.Parse(context.Background(), f.Parts()[0], strings.NewReader(document), func(advisory.Group) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Parse(ctx, f.Parts()[0], strings.NewReader(document), func(advisory.Group) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
}

// realDocument is the tracker's export of the real data.
func realDocument(t testing.TB) []byte {
	t.Helper()
	return realdata.Read(t, "feeds", "security-tracker.debian.org", "tracker", "data", "json")
}

// TestRealDocument counts what plain unmarshalling finds.
func TestRealDocument(t *testing.T) {
	text := realDocument(t)
	type key struct{ pkg, vulnerability, release, status, fixed, fix string }
	want := make(map[key]int)
	states := make(map[string]int)
	var doc map[string]map[string]struct {
		Releases map[string]struct {
			Status  string  `json:"status"`
			Fixed   string  `json:"fixed_version"`
			Urgency string  `json:"urgency"`
			NoDSA   *string `json:"nodsa"`
			Reason  *string `json:"nodsa_reason"`
		} `json:"releases"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	numbers := map[string]string{"buster": "debian:10", "bullseye": "debian:11", "bookworm": "debian:12", "trixie": "debian:13", "sid": "debian:unstable"}
	for pkg, vulnerabilities := range doc {
		for vulnerability, record := range vulnerabilities {
			for release, r := range record.Releases {
				k := key{pkg, vulnerability, numbers[release], "affected", r.Fixed, ""}
				if r.Fixed == "0" {
					k.status, k.fixed = "not_affected", ""
				}
				if r.Status == "open" {
					if r.NoDSA != nil {
						k.fix = "deferred"
					}
					if r.Reason != nil && *r.Reason == "ignored" {
						k.fix = "will_not_fix"
					}
					if r.Urgency == "end-of-life" {
						k.fix = "end_of_life"
					}
				}
				want[k]++
				states[k.fix]++
			}
		}
	}
	groups, parsed, err := parse(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[key]int)
	for _, g := range groups {
		for _, a := range g.Advisories {
			got[key{a.Package, a.Vulnerability, a.Ecosystem, string(a.Status), a.Fixed, string(a.Fix)}]++
		}
	}
	if len(groups) != len(doc) || parsed.Skipped.Count != 0 {
		t.Errorf("%d packages, want %d; skipped %+v", len(groups), len(doc), parsed.Skipped)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	t.Logf("%d packages, %d statements, by what is to be done: %v", len(groups), len(got), states)
}

func FuzzParse(f *testing.F) {
	seed, err := os.ReadFile(filepath.Join("testdata", "tracker.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	for _, text := range []string{`{}`, `{"a": []}`, `{"a": {"CVE-1-1": null}}`, `{"a": {"CVE-1-1": {"releases": {"sid": {"status": "open"}}}}}`, `{"\ud800": {"A-1": {"releases": {"a": {"status": "open"}}}}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, parsed, err := parse(strings.NewReader(string(text)))
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Errorf("no JSON, but no error: %q", text)
		}
		for _, g := range groups {
			if len(g.Advisories) == 0 {
				t.Errorf("%q: a group of nothing", g.Name)
			}
			for _, a := range g.Advisories {
				if a.Package != g.Name || a.Vulnerability == "" || !slices.Contains(parsed.Ecosystems, a.Ecosystem) {
					t.Errorf("%+v of %q, ecosystems %q", a, g.Name, parsed.Ecosystems)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := realDocument(b)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	f := debian.New()
	for b.Loop() {
		if _, err := f.Parse(context.Background(), f.Parts()[0], strings.NewReader(string(text)), func(advisory.Group) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
