package redhat_test

import (
	"context"
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
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/advisory/feed/redhat"
)

func parse(r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	f := redhat.New()
	return feedtest.Parse(f, f.Parts()[0], r)
}

// line is an advisory in a golden file.
func line(a advisory.Advisory) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", a.Ecosystem, a.Package)
	for _, word := range []struct {
		name, value string
	}{{"module", a.Module}, {"architectures", a.Architectures}, {"", string(a.Status)}, {"fixed", a.Fixed}, {"", string(a.Fix)}, {"severity", a.Severity.String()}, {"id", a.ID}} {
		if word.value != "" {
			b.WriteString(strings.TrimRight(" "+word.name, " ") + " " + word.value)
		}
	}
	if a.Source {
		b.WriteString(" (source)")
	}
	if a.Note != "" {
		fmt.Fprintf(&b, " note %q", a.Note)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	for _, name := range []string{"fixed", "unfixed", "modules", "generator"} {
		t.Run(name, func(t *testing.T) {
			file, err := os.Open(filepath.Join("testdata", name+".json"))
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
				var lines []string
				for _, a := range g.Advisories {
					if a.Vulnerability != g.Name {
						t.Errorf("%+v in the group %s", a, g.Name)
					}
					lines = append(lines, line(a))
				}
				slices.Sort(lines)
				fmt.Fprintf(&b, "  %s\n", strings.Join(lines, "\n  "))
				for vulnerability, d := range g.Details {
					fmt.Fprintf(&b, "%s: %s, severity %s, published %s, modified %s\n", vulnerability, d.Description, d.Severity, d.Published, d.Modified)
					fmt.Fprintf(&b, "  weaknesses %q\n  references %q\n", d.Weaknesses, d.References)
					for _, s := range d.Scores {
						fmt.Fprintf(&b, "  score %s %.1f %s\n", s.Version, s.Base, s.Vector)
					}
				}
			}
			feedtest.Summary(&b, parsed)
			feedtest.Golden(t, name+".golden", b.String())
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const head = `"document": {"category": "csaf_vex", "csaf_version": "2.0", "tracking": {"id": "CVE-2031-1"}}`
	nested := strings.Repeat(`{"branches": [`, 20) + strings.Repeat(`]}`, 20)
	tests := []struct{ name, document, want string }{
		{"empty", "", "redhat vex: byte 0: unexpected EOF"},
		{"page", "<html>", "invalid character '<'"},
		{"list", "[]", "want an object"},
		{"truncated", `{` + head + `, "product_tree": {"branches": [{"category": "vendor"`, "unexpected EOF"},
		{"not closed", `{` + head, "unexpected EOF"},
		{"something behind its end", `{` + head + `} {}`, "follows the document"},
		{"an advisory", `{"document": {"category": "csaf_security_advisory", "csaf_version": "2.0"}}`, "no csaf_vex"},
		{"another version", `{"document": {"category": "csaf_vex", "csaf_version": "3.0"}}`, "no csaf_vex"},
		{"no vulnerability", `{` + head + `, "vulnerabilities": []}`, "names no vulnerability"},
		{"no CVE", `{` + head + `, "vulnerabilities": [{"cve": "RHSA-2031:1"}]}`, "names no vulnerability"},
		{"a status of another type", `{` + head + `, "vulnerabilities": [{"cve": "CVE-2031-1000", "product_status": {"fixed": "all"}}]}`, "vulnerabilities: product_status: fixed: unexpected type"},
		{"a product without an id", `{` + head + `, "product_tree": {"full_product_names": [{"name": "x"}]}}`, "a product has no id"},
		{"branches without end", `{` + head + `, "product_tree": {"branches": [` + nested + `]}}`, "nested more than 16 deep"},
		{"nesting without end", `{"document": {"notes": ` + strings.Repeat("[", 100_000), "exceeded max depth"},
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
	document, err := os.ReadFile(filepath.Join("testdata", "fixed.json"))
	if err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	f := redhat.New()
	if _, err := f.Parse(context.Background(), f.Parts()[0], strings.NewReader(string(document)), func(advisory.Group) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Parse(ctx, f.Parts()[0], strings.NewReader(string(document)), func(advisory.Group) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
}

// TestParseKeepsWhatIsSound: what is said besides may be malformed.
func TestParseKeepsWhatIsSound(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("testdata", "unfixed.json"))
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := parse(strings.NewReader(string(document)))
	if err != nil {
		t.Fatal(err)
	}
	odd := strings.Replace(string(document), `"notes": [{`, `"cwe": "CWE-1", "references": [{"url": 7}], "scores": [{"cvss_v3": {"vectorString": 7}}], "release_date": [], "notes": [7, {`, 1)
	got, parsed, err := parse(strings.NewReader(odd))
	if err != nil || parsed.Skipped.Count != 5 {
		t.Fatalf("%+v, %v", parsed, err)
	}
	if diff := cmp.Diff(want[0].Advisories, got[0].Advisories); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzParse has small seeds: the fuzzer makes large ones smaller first of all.
func FuzzParse(f *testing.F) {
	const head = `{"document":{"category":"csaf_vex","csaf_version":"2.0","aggregate_severity":{"text":"Low"}},"product_tree":`
	const tail = `,"vulnerabilities":[{"cve":"CVE-2031-1000","product_status":`
	for _, seed := range []string{
		`{"branches":[{"branches":[{"product":{"product_id":"p","product_identification_helper":{"cpe":"cpe:/a:redhat:enterprise_linux:9::crb"}}},
			{"product":{"product_id":"c","product_identification_helper":{"purl":"pkg:rpm/redhat/a@1-1?arch=src&epoch=1&rpmmod=a:b:c"}}}]}],
			"relationships":[{"full_product_name":{"product_id":"p:c"},"product_reference":"c","relates_to_product_reference":"p"}]}` +
			tail + `{"fixed":["p:c"]},"remediations":[{"category":"vendor_fix","product_ids":["p:c"],"url":"https://access.redhat.com/errata/RHSA-1:1"}]}]}`,
		`{"full_product_names":[{"product_id":"p","product_identification_helper":{"cpe":"cpe:/o:redhat:rhel_eus:9.2"}}],
			"relationships":[{"full_product_name":{"product_id":"x"},"product_reference":"n:1/a","relates_to_product_reference":"p"}]}` +
			tail + `{"known_affected":["x"],"known_not_affected":["x"]},"threats":[{"category":"impact","details":"Low","product_ids":["x"]}]}]}`,
		`{"relationships":[{"full_product_name":{"product_id":"a"},"product_reference":"a","relates_to_product_reference":"a"}]}` + tail + `{"under_investigation":["a"]}}]}`,
	} {
		f.Add([]byte(head + seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, _, err := parse(strings.NewReader(string(text)))
		if err != nil {
			return
		}
		for _, g := range groups {
			seen := make(map[advisory.Advisory]bool)
			for _, a := range g.Advisories {
				if a.Vulnerability != g.Name || a.Package == "" || a.Ecosystem == "" || seen[a] {
					t.Errorf("%+v of %q", a, g.Name)
				}
				seen[a] = true
				if a.Status == advisory.Affected && a.Fixed == "" && a.Architectures != "" {
					t.Errorf("%+v", a)
				}
			}
		}
	})
}
