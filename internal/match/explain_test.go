package match_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

func installed(kind, distribution, name, version, source, sourceVersion string) inventory.Installed {
	return inventory.Installed{Package: inventory.Package{Type: kind, Distribution: distribution, Name: name, Version: version, SourceName: source, SourceVersion: sourceVersion, Architecture: "amd64"}}
}

func on(ecosystem, name string, change func(*advisory.Advisory)) match.Statement {
	s := match.Statement{Feed: "f", Part: "p", Advisory: advisory.Advisory{
		Vulnerability: "CVE-1", Ecosystem: ecosystem, Package: name, Source: true, Status: advisory.Affected,
	}}
	if change != nil {
		change(&s.Advisory)
	}
	return s
}

func fixedIn(v string) func(*advisory.Advisory) { return func(a *advisory.Advisory) { a.Fixed = v } }

func TestExplain(t *testing.T) {
	ssl := installed("deb", "debian:12", "libssl3", "3.0.11-1", "openssl", "3.0.11-1")
	owned := ssl
	owned.Owner = "deb:other"
	odd := installed("deb", "debian:12", "libssl3", "3_0", "openssl", "3_0")
	tests := []struct {
		name       string
		p          inventory.Installed
		statements []match.Statement
		outcome    match.Outcome
		reason     string
		weighed    int
	}{
		{"affected", ssl, []match.Statement{on("debian:12", "openssl", fixedIn("3.0.12-1"))}, match.OutcomeAffected, "3.0.11-1 < 3.0.12-1 (deb)", 1},
		{"fixed", ssl, []match.Statement{on("debian:12", "openssl", fixedIn("3.0.11-1"))}, match.OutcomeFixed, "3.0.11-1 >= 3.0.11-1 (deb), the version with the fix", 1},
		{"before", ssl, []match.Statement{on("debian:12", "openssl", func(a *advisory.Advisory) { a.Introduced = "3.1" })}, match.OutcomeBefore,
			"3.0.11-1 < 3.1 (deb), the first affected version", 1},
		{"after the last", ssl, []match.Statement{on("debian:12", "openssl", func(a *advisory.Advisory) { a.LastAffected = "3.0.10" })}, match.OutcomeFixed,
			"3.0.11-1 > 3.0.10 (deb), the last affected version", 1},
		{"the last", ssl, []match.Statement{on("debian:12", "openssl", func(a *advisory.Advisory) { a.LastAffected = "3.0.11-1" })}, match.OutcomeAffected,
			"3.0.11-1 <= 3.0.11-1 (deb), the last affected version", 1},
		{"said not to be", ssl, []match.Statement{on("debian:12", "openssl", func(a *advisory.Advisory) { a.Status = advisory.NotAffected })}, match.OutcomeNotAffected,
			"the publisher says that no version is affected", 1},
		{"withdrawn", ssl, []match.Statement{on("debian:12", "openssl", func(a *advisory.Advisory) { a.Status = advisory.Withdrawn })}, match.OutcomeWithdrawn,
			"the publisher took the statement back", 1},
		{"of several the latest fix", ssl, []match.Statement{on("debian:12", "openssl", fixedIn("3.0.12-1")), on("debian:12", "openssl", fixedIn("3.0.13-1"))},
			match.OutcomeAffected, "3.0.11-1 < 3.0.13-1 (deb)", 2},
		{"another distribution", ssl, []match.Statement{on("debian:11", "openssl", nil)}, match.OutcomeNotAffected, "no statement speaks of the package", 0},
		{"a binary of that name", ssl, []match.Statement{on("debian:12", "openssl", func(a *advisory.Advisory) { a.Source = false })}, match.OutcomeNotAffected, "no statement speaks of the package", 0},
		{"another architecture", ssl, []match.Statement{on("debian:12", "openssl", func(a *advisory.Advisory) { a.Architectures = "arm64 s390x" })}, match.OutcomeElsewhere,
			"it is on arm64 s390x, and the package is for amd64", 1},
		{"another stream", ssl, []match.Statement{on("debian:12", "openssl", func(a *advisory.Advisory) { a.Module = "tls:3" })}, match.OutcomeElsewhere,
			"it is on module tls:3, and the package is of no module", 1},
		{"no version", odd, []match.Statement{on("debian:12", "openssl", fixedIn("3.0.12-1"))}, match.OutcomeUndetermined,
			`the version cannot be compared: invalid version: deb version "3_0": its upstream part has a character that is not allowed`, 1},
		{"owned", owned, []match.Statement{on("debian:12", "openssl", fixedIn("3.0.12-1"))}, match.OutcomeElsewhere,
			"the file is part of deb:other, whose distribution says what it is affected by", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := match.Explain(test.p, test.statements, nil)
			if e.Outcome != test.outcome || e.Reason != test.reason || len(e.Statements) != test.weighed {
				t.Errorf("got %s: %q of %d statements, want %s: %q of %d", e.Outcome, e.Reason, len(e.Statements), test.outcome, test.reason, test.weighed)
			}
			// What is explained is what is found.
			if found := len(match.Package(test.p.Package, keyed(test.p.Package, test.statements))) > 0; test.p.Owner == "" && found != (e.Outcome == match.OutcomeAffected) {
				t.Errorf("explained as %s, found: %t", e.Outcome, found)
			}
		})
	}
}

// keyed are the statements that the store would hand to match.Package.
func keyed(p inventory.Package, statements []match.Statement) (list []match.Statement) {
	for _, key := range match.Keys(p, nil) {
		for _, s := range statements {
			if s.Key() == key.Key {
				list = append(list, s)
			}
		}
	}
	return list
}

func TestExplainImage(t *testing.T) {
	old, fresh := installed("deb", "debian:12", "libssl3", "3.0.11-1", "openssl", "3.0.11-1"), installed("deb", "debian:12", "openssl", "3.0.14-1", "openssl", "3.0.14-1")
	other := installed("deb", "debian:12", "zlib1g", "1.2", "zlib", "1.2")
	statements := []match.Statement{on("debian:12", "openssl", fixedIn("3.0.12-1"))}
	tests := []struct {
		name       string
		packages   []inventory.Installed
		statements []match.Statement
		want       string
		outcomes   []match.Outcome
	}{
		{"one is", []inventory.Installed{fresh, other, old}, statements, "affected: libssl3 3.0.11-1: 3.0.11-1 < 3.0.12-1 (deb)", []match.Outcome{match.OutcomeAffected, match.OutcomeFixed}},
		{"mended", []inventory.Installed{fresh, other}, statements, "not_affected: openssl 3.0.14-1: 3.0.14-1 >= 3.0.12-1 (deb), the version with the fix", []match.Outcome{match.OutcomeFixed}},
		{"not there", []inventory.Installed{other}, statements, "not_affected: no package of the image is one that a statement on the vulnerability speaks of", nil},
		{"nobody says", []inventory.Installed{other}, nil, "undetermined: no feed states which packages the vulnerability affects", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := match.ExplainImage(test.packages, test.statements, nil)
			if got := fmt.Sprintf("%s: %s", e.Outcome, e.Reason); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			var outcomes []match.Outcome
			for _, p := range e.Packages {
				outcomes = append(outcomes, p.Outcome)
			}
			if diff := cmp.Diff(test.outcomes, outcomes); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
		})
	}
}
