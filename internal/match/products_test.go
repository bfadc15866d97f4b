package match_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

var products = match.Products{
	"baseos": {Own: []string{"rhel:9"}},
	"eus":    {Own: []string{"cpe:eus"}, Fallback: []string{"rhel:9"}},
	"aus":    {Own: []string{"cpe:aus"}, Fallback: []string{"rhel:9"}},
	"ocp":    {Own: []string{"cpe:ocp", "cpe:ocp4"}},
}

func TestKeys(t *testing.T) {
	for _, test := range []struct {
		name string
		p    inventory.Package
		want string
	}{
		{"mainstream", inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: "a", SourceName: "s"}, "rhel:9/a rhel:9/s(source)"},
		{"no source", inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: "a", Repositories: "baseos"}, "rhel:9/a"},
		{"not known", inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: "a", Repositories: "epel internal"}, "rhel:9/a"},
		{"a stream", inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: "a", SourceName: "s", Repositories: "eus"}, "cpe:eus/a cpe:eus/s(source) rhel:9/a? rhel:9/s(source)?"},
		{"two streams", inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: "a", Repositories: "aus epel eus"}, "cpe:aus/a cpe:eus/a rhel:9/a?"},
		{"a stream and the mainstream", inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: "a", Repositories: "baseos eus"}, "cpe:eus/a rhel:9/a"},
		{"a product", inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: "a", Repositories: "ocp"}, "cpe:ocp/a cpe:ocp4/a"},
		{"a product on a stream", inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: "a", Repositories: "eus ocp"}, "cpe:eus/a cpe:ocp/a cpe:ocp4/a rhel:9/a?"},
		{"no distribution", inventory.Package{Type: "rpm", Name: "a", Repositories: "ocp"}, ""},
		{"a language's", inventory.Package{Type: "npm", Name: "a"}, "npm/a"},
		{"nobody judges", inventory.Package{Type: "generic", Name: "a"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, h := range match.Keys(test.p, products) {
				text := h.Ecosystem + "/" + h.Package
				if h.Source {
					text += "(source)"
				}
				if h.Fallback {
					text += "?"
				}
				got = append(got, text)
			}
			if text := strings.Join(got, " "); text != test.want {
				t.Errorf("got %q, want %q", text, test.want)
			}
		})
	}
}

// TestExplainFallback: what is not counted is told, and why.
func TestExplainFallback(t *testing.T) {
	p := inventory.Installed{Package: inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: "a", Version: "5-1", Repositories: "eus"}}
	binary := func(ecosystem, fixed string, status advisory.Status) match.Statement {
		return on(ecosystem, "a", func(a *advisory.Advisory) { a.Source, a.Fixed, a.Status = false, fixed, status })
	}
	mainstream := binary("rhel:9", "7-1", advisory.Affected)
	for _, test := range []struct {
		name       string
		statements []match.Statement
		want       []string // the outcomes of the package and of the statements
	}{
		{"nothing else", []match.Statement{mainstream}, []string{"affected", "rhel:9 affected: 5-1 < 7-1 (rpm)"}},
		{"its own fix", []match.Statement{mainstream, binary("cpe:eus", "5-1", advisory.Affected)}, []string{"fixed",
			"cpe:eus fixed: 5-1 >= 5-1 (rpm), the version with the fix",
			"rhel:9 elsewhere: it is on rhel:9, and something is stated of the product that the package is from"}},
		{"taken back", []match.Statement{mainstream, binary("cpe:eus", "", advisory.Withdrawn)}, []string{"affected",
			"rhel:9 affected: 5-1 < 7-1 (rpm)", "cpe:eus withdrawn: the publisher took the statement back"}},
		{"of another product", []match.Statement{mainstream, binary("cpe:aus", "5-1", advisory.Affected)}, []string{"affected", "rhel:9 affected: 5-1 < 7-1 (rpm)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := match.Explain(p, test.statements, products)
			got := []string{string(e.Outcome)}
			for _, s := range e.Statements {
				got = append(got, fmt.Sprintf("%s %s: %s", s.Ecosystem, s.Outcome, s.Reason))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRemedyFallback: an upgrade within a stream is judged by the stream.
func TestRemedyFallback(t *testing.T) {
	p := inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: "a", Version: "5-1", Repositories: "eus"}
	stated := func(ecosystem, fixed string) match.Statement {
		return on(ecosystem, "a", func(a *advisory.Advisory) { a.Source, a.Fixed = false, fixed })
	}
	statements := map[advisory.Key][]match.Statement{}
	for _, s := range []match.Statement{stated("rhel:9", "9-1"), stated("cpe:eus", "5-3")} {
		statements[s.Key()] = append(statements[s.Key()], s)
	}
	findings := []match.Finding{{Vulnerability: "CVE-1", Package: p, Fixed: "5-3", Evidence: match.Evidence{Subject: "a"}}}
	upgrades := match.Remedy(findings, statements, products)
	if len(upgrades) != 1 || upgrades[0].To != "5-3" || len(upgrades[0].Cleared) != 1 || len(upgrades[0].Left) != 0 {
		t.Errorf("got %+v", upgrades)
	}
	for _, list := range statements {
		for _, s := range list {
			if s.Fallback {
				t.Errorf("what is stated of %s was changed", s.Ecosystem)
			}
		}
	}
}
