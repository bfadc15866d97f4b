package nvd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/advisory/feed/nvd"
	"github.com/pratique/pratique/internal/realdata"
)

func parse(r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	f := nvd.New(nvd.Options{})
	return feedtest.Parse(f, f.Parts()[0], r)
}

func TestParse(t *testing.T) {
	file, err := os.Open(filepath.Join("testdata", "page.json"))
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
		for vulnerability, d := range g.Details {
			fmt.Fprintf(&b, "%s (%s) %s: %q, severity %s\n  published %s, modified %s, withdrawn %s\n", g.Name, g.Part, vulnerability, d.Description, d.Severity, d.Published, d.Modified, d.Withdrawn)
			for _, s := range d.Scores {
				fmt.Fprintf(&b, "  score %s %.1f %s by %q\n", s.Version, s.Base, s.Vector, s.Source)
			}
			fmt.Fprintf(&b, "  weaknesses %q\n  references %q\n", d.Weaknesses, d.References)
			if d.Exploited != nil {
				fmt.Fprintf(&b, "  exploited %+v\n", *d.Exploited)
			}
		}
	}
	feedtest.Summary(&b, parsed)
	feedtest.Golden(t, "page.golden", b.String())
}

func TestParseRefuses(t *testing.T) {
	const head = `{"format": "NVD_CVE", "version": "2.0", "startIndex": 0, "totalResults": 1`
	tests := []struct{ name, document, want string }{
		{"empty", "", "nvd cves: byte 0: unexpected EOF"},
		{"page", "<html>", "invalid character '<'"},
		{"list", "[]", "want an object"},
		{"truncated", head + `, "vulnerabilities": [{"cve": {"id": "CVE-`, "unexpected EOF"},
		{"not closed", head + `, "vulnerabilities": []`, "unexpected EOF"},
		{"something behind its end", head + `, "vulnerabilities": []} {}`, "follows the document"},
		{"another format", `{"format": "NVD_CPE", "version": "2.0", "vulnerabilities": []}`, "no NVD_CVE of version 2.0"},
		{"another version", `{"format": "NVD_CVE", "version": "3.0", "vulnerabilities": []}`, "no NVD_CVE of version 2.0"},
		{"no vulnerabilities", head + `}`, "no NVD_CVE of version 2.0"},
		{"vulnerabilities of another type", head + `, "vulnerabilities": {}}`, `"vulnerabilities": unexpected type`},
		{"a place of another type", `{"startIndex": "0"}`, `"startIndex": unexpected type`},
		{"a place that there is not", `{"format": "NVD_CVE", "version": "2.0", "startIndex": -1, "totalResults": 1, "vulnerabilities": []}`, "starts at -1"},
		{"a vulnerability without end", head + `, "vulnerabilities": [{"cve": {"id": "` + strings.Repeat("a", 20<<20) + `"}}]}`, "larger than"},
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
	document, err := os.ReadFile(filepath.Join("testdata", "page.json"))
	if err != nil {
		t.Fatal(err)
	}
	f := nvd.New(nvd.Options{})
	mine := errors.New("mine")
	if _, err := f.Parse(context.Background(), f.Parts()[0], strings.NewReader(string(document)), func(advisory.Group) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Parse(ctx, f.Parts()[0], strings.NewReader(string(document)), func(advisory.Group) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
}

// realFeeds is the folder of published documents, a mirror of their servers.
func realFeeds(t testing.TB) string {
	t.Helper()
	root := filepath.Join(realdata.Root(t), "feeds")
	if _, err := os.Stat(filepath.Join(root, "services.nvd.nist.gov")); err != nil {
		t.Skipf("no published documents: %v", err)
	}
	return root
}

func realPage(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(realFeeds(t), "services.nvd.nist.gov", "rest", "json", "cves", "2.0"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRealPage compares every vulnerability with what plain unmarshalling finds,
// and every base score and grade with the published one.
func TestRealPage(t *testing.T) {
	text := realPage(t)
	var doc struct {
		Vulnerabilities []struct {
			CVE map[string]any `json:"cve"`
		} `json:"vulnerabilities"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	groups, parsed, err := parse(strings.NewReader(string(text)))
	if err != nil || len(groups) != len(doc.Vulnerabilities) || parsed.Skipped.Count != 0 {
		t.Fatalf("%d groups, %d vulnerabilities, %+v, %v", len(groups), len(doc.Vulnerabilities), parsed, err)
	}
	cwe := regexp.MustCompile(`^CWE-\d+$`)
	scores := 0
	for n, v := range doc.Vulnerabilities {
		g, cve := groups[n], v.CVE
		d := g.Details[g.Name]
		if g.Name != cve["id"] || len(g.Advisories) != 0 || len(g.Details) != 1 {
			t.Errorf("%+v is %s", g, cve["id"])
		}
		var references, weaknesses, descriptions []string
		for _, r := range cve["references"].([]any) {
			references = append(references, r.(map[string]any)["url"].(string))
		}
		list, _ := cve["weaknesses"].([]any)
		for _, w := range list {
			for _, text := range w.(map[string]any)["description"].([]any) {
				if value := text.(map[string]any)["value"].(string); cwe.MatchString(value) {
					weaknesses = append(weaknesses, value)
				}
			}
		}
		for _, text := range cve["descriptions"].([]any) {
			if text := text.(map[string]any); text["lang"] == "en" {
				descriptions = append(descriptions, text["value"].(string))
			}
		}
		if !slices.Equal(references, d.References) || !slices.Equal(weaknesses, d.Weaknesses) || !slices.Contains(descriptions, d.Description) {
			t.Errorf("%s: references %q, want %q; weaknesses %q, want %q; description %q, want one of %q", g.Name, d.References, references, d.Weaknesses, weaknesses, d.Description, descriptions)
		}
		published, modified := d.Published.Format("2006-01-02T15:04:05.000"), d.Modified.Format("2006-01-02T15:04:05.000")
		// One of the records says that its times are in UTC, as all are.
		if p, m := cve["published"].(string), cve["lastModified"].(string); strings.TrimSuffix(p, "Z") != published || strings.TrimSuffix(m, "Z") != modified {
			t.Errorf("%s: published %s, want %s; modified %s, want %s", g.Name, published, p, modified, m)
		}
		if (cve["vulnStatus"] == "Rejected") != !d.Withdrawn.IsZero() || (cve["cisaExploitAdd"] != nil) != (d.Exploited != nil) {
			t.Errorf("%s: withdrawn %s, exploited %+v", g.Name, d.Withdrawn, d.Exploited)
		}
		if d.Exploited != nil && (d.Exploited.Added.Format("2006-01-02") != cve["cisaExploitAdd"] || d.Exploited.Due.Format("2006-01-02") != cve["cisaActionDue"] || d.Exploited.Action != cve["cisaRequiredAction"]) {
			t.Errorf("%s: exploited %+v", g.Name, d.Exploited)
		}
		// The published grade of the primary score of the newest version.
		bases, grade, best := make(map[string]float64), "UNKNOWN", ""
		metrics := cve["metrics"].(map[string]any)
		for _, kind := range slices.Sorted(maps.Keys(metrics)) {
			if !strings.HasPrefix(kind, "cvss") {
				continue
			}
			for _, m := range metrics[kind].([]any) {
				m := m.(map[string]any)
				data := m["cvssData"].(map[string]any)
				bases[data["vectorString"].(string)+" "+m["source"].(string)] = data["baseScore"].(float64)
				rank := map[string]string{"Primary": "2", "Secondary": "1"}[m["type"].(string)] + data["version"].(string)
				word, _ := data["baseSeverity"].(string)
				if word == "" {
					word, _ = m["baseSeverity"].(string)
				}
				if rank > best {
					best, grade = rank, word
				}
			}
		}
		if !strings.EqualFold(grade, d.Severity.String()) && !(grade == "NONE" && d.Severity == advisory.Negligible) {
			t.Errorf("%s: severity %s, want %s", g.Name, d.Severity, grade)
		}
		for _, s := range d.Scores {
			scores++
			if base, ok := bases[s.Vector+" "+s.Source]; !ok || base != s.Base {
				t.Errorf("%s: %s has %.1f, published %.1f", g.Name, s.Vector, s.Base, base)
			}
			delete(bases, s.Vector+" "+s.Source)
		}
		if len(bases) > 0 {
			t.Errorf("%s: missing %v", g.Name, bases)
		}
	}
	t.Logf("%d vulnerabilities, %d scores", len(groups), scores)
}

func FuzzParse(f *testing.F) {
	const head = `{"format":"NVD_CVE","version":"2.0","startIndex":0,"totalResults":1,"vulnerabilities":[`
	for _, seed := range []string{
		`{"cve":{"id":"CVE-2031-0001","published":"2031-01-02T03:04:05.678","vulnStatus":"Rejected","descriptions":[{"lang":"en","value":"a"}],"references":[{"url":"https://example.org/"}]}}]}`,
		`{"cve":{"id":"CVE-2031-0001","metrics":{"cvssMetricV31":[{"source":"a","type":"Primary","cvssData":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}}]},"weaknesses":[{"description":[{"value":"CWE-1"}]}]}}]}`,
		`{"cve":{"id":"CVE-2031-0001","metrics":{"cvssMetricV2":[{"cvssData":{"vectorString":"AV:N/AC:L/Au:N/C:C/I:C/A:C"}}]},"cisaExploitAdd":"2031-01-10"}},null,7]}`,
	} {
		f.Add([]byte(head + seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, _, err := parse(strings.NewReader(string(text)))
		if err != nil {
			return
		}
		for _, g := range groups {
			if !strings.HasPrefix(g.Name, "CVE-") || len(g.Details) != 1 || len(g.Advisories) != 0 {
				t.Errorf("%+v", g)
			}
			for _, s := range g.Details[g.Name].Scores {
				if !(s.Base >= 0 && s.Base <= 10) || s.Version == "" {
					t.Errorf("%+v", s)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := realPage(b)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	vulnerabilities := 0
	for b.Loop() {
		groups, _, err := parse(strings.NewReader(string(text)))
		if err != nil {
			b.Fatal(err)
		}
		vulnerabilities += len(groups)
	}
	b.ReportMetric(float64(vulnerabilities)/b.Elapsed().Seconds(), "vulnerabilities/s")
}
