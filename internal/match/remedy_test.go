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

// world is what is stated of packages, and the findings of an image by it.
func world(packages []inventory.Installed, stated ...match.Statement) ([]match.Finding, map[advisory.Key][]match.Statement) {
	statements := make(map[advisory.Key][]match.Statement)
	ids := make(map[string]int64)
	for _, s := range stated {
		statements[s.Key()] = append(statements[s.Key()], s)
		ids[s.Vulnerability] = int64(len(ids) + 1)
	}
	var findings []match.Finding
	for _, p := range packages {
		var concerning []match.Statement
		for _, key := range match.Keys(p.Package, nil) {
			concerning = append(concerning, statements[key.Key]...)
		}
		for _, m := range match.Package(p.Package, concerning) {
			subject := p.Name
			if m.Source {
				subject = p.SourceName
			}
			findings = append(findings, match.Finding{VulnerabilityID: ids[m.Vulnerability], Vulnerability: m.Vulnerability, Severity: m.Severity, Package: p.Package,
				Fixed: m.Fixed, LayerIndex: p.LayerIndex, Evidence: match.Evidence{Subject: subject, Path: p.Path}})
		}
	}
	return findings, statements
}

func vulnerable(name, pkg, introduced, fixed string, severity advisory.Severity) match.Statement {
	return on("debian:12", pkg, func(a *advisory.Advisory) {
		a.Vulnerability, a.Introduced, a.Fixed, a.Severity = name, introduced, fixed, severity
	})
}

func TestRemedy(t *testing.T) {
	ssl := installed("deb", "debian:12", "libssl3", "3.0", "openssl", "3.0")
	tool := installed("deb", "debian:12", "openssl", "3.0", "openssl", "3.0")
	tool.LayerIndex = 2
	zlib := installed("deb", "debian:12", "zlib1g", "1.2", "zlib", "1.2")
	tests := []struct {
		name   string
		stated []match.Statement
		want   []string
	}{
		{"nothing is wrong", nil, nil},
		{"nothing can be done", []match.Statement{vulnerable("CVE-1", "openssl", "", "", advisory.High)}, nil},
		{"one source is one upgrade", []match.Statement{vulnerable("CVE-1", "openssl", "", "3.1", advisory.High), vulnerable("CVE-2", "openssl", "", "3.2", advisory.Low)},
			[]string{"openssl [libssl3 openssl] [3.0] -> 3.2 in [0 2] clears CVE-1 CVE-2 CVE-1 CVE-2"}},
		{"what clears the gravest comes first", []match.Statement{
			vulnerable("CVE-1", "openssl", "", "3.1", advisory.High), vulnerable("CVE-2", "zlib", "", "1.3", advisory.Critical),
		}, []string{"zlib [zlib1g] [1.2] -> 1.3 in [0] clears CVE-2", "openssl [libssl3 openssl] [3.0] -> 3.1 in [0 2] clears CVE-1 CVE-1"}},
		{"what has no fix is left", []match.Statement{vulnerable("CVE-1", "zlib", "", "1.3", advisory.High), vulnerable("CVE-2", "zlib", "", "", advisory.Critical)},
			[]string{"zlib [zlib1g] [1.2] -> 1.3 in [0] clears CVE-1 leaves CVE-2"}},
		{"the lowest version that does", []match.Statement{vulnerable("CVE-1", "zlib", "", "1.3", advisory.High), vulnerable("CVE-2", "zlib", "", "1.2.5", advisory.High)},
			[]string{"zlib [zlib1g] [1.2] -> 1.3 in [0] clears CVE-1 CVE-2"}},
		{"a fix that is affected by something worse is no remedy", []match.Statement{
			vulnerable("CVE-1", "zlib", "", "1.3", advisory.Low), vulnerable("CVE-2", "zlib", "", "1.2.5", advisory.High), vulnerable("CVE-3", "zlib", "1.3", "", advisory.Critical),
		}, []string{"zlib [zlib1g] [1.2] -> 1.2.5 in [0] clears CVE-2 leaves CVE-1"}},
		{"what it brings is told", []match.Statement{vulnerable("CVE-1", "zlib", "", "1.3", advisory.High), vulnerable("CVE-3", "zlib", "1.3", "", advisory.Low)},
			[]string{"zlib [zlib1g] [1.2] -> 1.3 in [0] clears CVE-1 gains [CVE-3]"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			findings, statements := world([]inventory.Installed{ssl, tool, zlib}, test.stated...)
			for _, u := range match.Remedy(findings, statements, nil) {
				line := fmt.Sprintf("%s %v %v -> %s in %v clears", u.Name, u.Packages, u.From, u.To, u.Layers)
				for _, f := range u.Cleared {
					line += " " + f.Vulnerability
				}
				for i, f := range u.Left {
					if i == 0 {
						line += " leaves"
					}
					line += " " + f.Vulnerability
				}
				if len(u.Gained) > 0 {
					line += " gains [" + strings.Join(u.Gained, " ") + "]"
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("upgrades (-want +got):\n%s", diff)
			}
		})
	}
}
