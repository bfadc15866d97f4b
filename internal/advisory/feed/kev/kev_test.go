package kev_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/advisory/feed/kev"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/realdata"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func parse(r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	f := kev.New()
	return feedtest.Parse(f, f.Parts()[0], r)
}

func TestParse(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "catalog.json"))
	if err != nil {
		t.Fatal(err)
	}
	groups, parsed, err := parse(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, g := range groups {
		d := g.Details[g.Name]
		fmt.Fprintf(&b, "%s (%s), %d advisories: added %s, due %s, ransomware %t, do %q\n", g.Name, g.Part, len(g.Advisories),
			d.Exploited.Added.Format(time.DateOnly), d.Exploited.Due.Format(time.DateOnly), d.Exploited.Ransomware, d.Exploited.Action)
		fmt.Fprintf(&b, "  %q %q %q\n", d.Description, d.References, d.Weaknesses)
	}
	feedtest.Summary(&b, parsed)
	feedtest.Golden(t, "catalog.golden", b.String())
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, document, want string }{
		{"empty", "", "kev catalog: byte 0: unexpected EOF"},
		{"page", "<html>", "kev catalog: byte 0: invalid character '<'"},
		{"list", "[]", "want an object"},
		{"nothing", "{}", "kev catalog: byte 2: the document has no vulnerabilities"},
		{"entries of another type", `{"vulnerabilities": {}}`, `"vulnerabilities": unexpected type`},
		{"count of another type", `{"count": "1", "vulnerabilities": []}`, `"count": unexpected type`},
		{"fewer than it says", `{"count": 2, "vulnerabilities": [{}]}`, "has 1 entries and says that it has 2"},
		{"cut", `{"count": 2, "vulnerabilities": [{"cveID": "CVE-2014-0160"`, "unexpected EOF"},
		{"not closed", `{"vulnerabilities": []`, "unexpected EOF"},
		{"two", `{"vulnerabilities": []}{}`, "follows the document"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := parse(strings.NewReader(test.document)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	f := kev.New()
	document := `{"vulnerabilities": [{"cveID": "CVE-2014-0160", "dateAdded": "2022-05-04"}]}`
	mine := errors.New("mine")
	if _, err := f.Parse(t.Context(), f.Parts()[0], strings.NewReader(document), func(advisory.Group) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Parse(ctx, f.Parts()[0], strings.NewReader(document), func(advisory.Group) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
}

// TestRemovedEntriesGoAway: a vulnerability that leaves the list is not shown as
// exploited any more.
func TestRemovedEntriesGoAway(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		folder := t.TempDir()
		file := filepath.Join(folder, "www.cisa.gov", "sites", "default", "files", "feeds", "known_exploited_vulnerabilities.json")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := feed.NewFetcher(feed.FetcherOptions{Mirror: folder, TempDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		u := feed.New(s, f, []feed.Feed{kev.New()}, match.Package, feed.Options{Log: slog.New(slog.DiscardHandler)})
		exploited := func(name string) string {
			v, err := s.VulnerabilityByName(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if v.Exploited.IsZero() {
				return ""
			}
			return v.Exploited.Format(time.DateOnly)
		}
		const a, b = `{"cveID": "CVE-2014-0160", "dateAdded": "2022-05-04"}`, `{"cveID": "CVE-2014-6271", "dateAdded": "2022-01-28"}`
		for _, step := range []struct{ entries, heartbleed, shellshock string }{{a + "," + b, "2022-05-04", "2022-01-28"}, {b, "", "2022-01-28"}, {b + "," + a, "2022-05-04", "2022-01-28"}} {
			if err := os.WriteFile(file, []byte(`{"vulnerabilities": [`+step.entries+`]}`), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := u.Update(t.Context(), feed.Request{}); err != nil {
				t.Fatal(err)
			}
			if x, y := exploited("CVE-2014-0160"), exploited("CVE-2014-6271"); x != step.heartbleed || y != step.shellshock {
				t.Errorf("with %s: %q and %q, want %q and %q", step.entries, x, y, step.heartbleed, step.shellshock)
			}
		}
	})
}

// realDocument is the published catalogue.
func realDocument(t testing.TB) []byte {
	t.Helper()
	return realdata.Read(t, "feeds", "www.cisa.gov", "sites", "default", "files", "feeds", "known_exploited_vulnerabilities.json")
}

// TestRealDocument finds every entry that plain unmarshalling finds.
func TestRealDocument(t *testing.T) {
	text := realDocument(t)
	var doc struct {
		Count           int              `json:"count"`
		Vulnerabilities []map[string]any `json:"vulnerabilities"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	for _, v := range doc.Vulnerabilities {
		want[v["cveID"].(string)] = fmt.Sprint(v["dateAdded"], v["dueDate"], v["knownRansomwareCampaignUse"] == "Known", v["requiredAction"], v["shortDescription"], v["cwes"])
	}
	groups, parsed, err := parse(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	ransomware, references := 0, 0
	for _, g := range groups {
		d := g.Details[g.Name]
		e := d.Exploited
		got[g.Name] = fmt.Sprint(e.Added.Format(time.DateOnly), e.Due.Format(time.DateOnly), e.Ransomware, e.Action, d.Description, d.Weaknesses)
		if e.Ransomware {
			ransomware++
		}
		references += len(d.References)
	}
	if len(got) != doc.Count || parsed.Skipped.Count != 0 || references < len(got) {
		t.Errorf("%d entries, want %d; %d references; skipped %+v", len(got), doc.Count, references, parsed.Skipped)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	t.Logf("%d entries, %d used by ransomware, %d references", len(got), ransomware, references)
}

func FuzzParse(f *testing.F) {
	seed, err := os.ReadFile(filepath.Join("testdata", "catalog.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"vulnerabilities": [{"cveID": "CVE-2014-0160", "dateAdded": "2022-05-04", "notes": "http://"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, _, err := parse(strings.NewReader(string(text)))
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Errorf("no JSON, but no error: %q", text)
		}
		for _, g := range groups {
			d, ok := g.Details[g.Name]
			if !ok || len(g.Details) != 1 || len(g.Advisories) != 0 || d.Exploited == nil || !strings.HasPrefix(g.Name, "CVE-") {
				t.Errorf("%+v", g)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := realDocument(b)
	b.SetBytes(int64(len(text)))
	rows := 0
	for b.Loop() {
		groups, _, err := parse(strings.NewReader(string(text)))
		if err != nil {
			b.Fatal(err)
		}
		rows += len(groups)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
