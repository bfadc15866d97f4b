package vex_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/vex"
)

var (
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	digest = "sha256:" + strings.Repeat("a", 64)
	index  = "sha256:" + strings.Repeat("b", 64)
	other  = "sha256:" + strings.Repeat("c", 64)
)

func apk(name, version string) inventory.Package {
	return inventory.Package{Type: "apk", Distribution: "alpine:v3.20", Name: name, Version: version, Architecture: "x86_64", SourceName: "musl", SourceVersion: version}
}

func TestProducts(t *testing.T) {
	packages := []inventory.Package{
		apk("musl", "1.2.5-r0"), apk("musl-utils", "1.2.5-r0"),
		{Type: "npm", Name: "@scope/part", Version: "1.0.0"},
		{Type: "golang", Name: "github.com/a/b", Version: "v1.2.3"},
		{Type: "deb", Distribution: "debian:12", Name: "libssl3", Version: "3.0.11-1~deb12u1", SourceName: "openssl", SourceVersion: "3.0.11-1~deb12u1"},
	}
	matcher := vex.NewMatcher(vex.Subject{Digests: []string{digest, index}, Names: []string{"app"}}, packages)
	all := []int{0, 1, 2, 3, 4}
	product := func(id string, subcomponents ...string) vex.Product {
		return vex.Product{ID: id, Subcomponents: subcomponents}
	}
	for _, test := range []struct {
		name      string
		product   vex.Product
		want      []int
		concerned bool
	}{
		{"the image by digest", product(digest), all, true},
		{"its index", product(index), all, true},
		{"in a repository", product("registry.example/main/app@" + digest), all, true},
		{"by purl", product("pkg:oci/other-name@" + strings.ReplaceAll(digest, ":", "%3A") + "?repository_url=registry.example"), all, true},
		{"by Docker's purl", product("pkg:docker/main/app@" + digest), all, true},
		{"by name", product("pkg:oci/app"), all, true},
		{"another digest", product("pkg:oci/app@" + other), nil, false},
		{"another name", product("pkg:oci/ap"), nil, false},
		{"a tag", product("pkg:oci/app@1.0"), nil, false},
		{"a bare name", product("main/app"), nil, false},
		{"nothing", product(""), nil, false},
		{"a subcomponent", product(digest, "pkg:apk/alpine/musl"), []int{0}, true},
		{"a subcomponent of another image", product(other, "pkg:apk/alpine/musl"), nil, false},
		{"a subcomponent that is not there", product(digest, "pkg:apk/alpine/zlib"), nil, true},
		{"a subcomponent that cannot be read", product(digest, ""), nil, true},
		{"a package of any version", product("pkg:apk/alpine/musl"), []int{0}, true},
		{"qualifiers are passed over", product("pkg:apk/alpine/musl@1.2.5-r0?arch=aarch64&distro=alpine-3.1"), []int{0}, true},
		{"another version", product("pkg:apk/alpine/musl@1.2.5-r1"), nil, false},
		{"another namespace", product("pkg:apk/wolfi/musl"), nil, false},
		{"another type", product("pkg:deb/alpine/musl"), nil, false},
		{"a scope", product("pkg:npm/%40scope/part@1.0.0"), []int{2}, true},
		{"a module", product("pkg:golang/github.com/a/b@v1.2.3"), []int{3}, true},
		{"a source package", product("pkg:deb/debian/openssl?arch=source"), []int{4}, true},
		{"a source package of another version", product("pkg:deb/debian/openssl@1?arch=source"), nil, false},
		{"a source package without saying so", product("pkg:deb/debian/openssl"), nil, false},
		{"a package in a package", product("pkg:apk/alpine/musl", "pkg:npm/%40scope/part"), nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []int
			concerned := matcher.Covers([]vex.Product{test.product}, func(i int) { got = append(got, i) })
			if concerned != test.concerned || !slices.Equal(got, test.want) {
				t.Errorf("%+v: got %v, %v, want %v, %v", test.product, got, concerned, test.want, test.concerned)
			}
		})
	}
}

// claim is a statement of a document, as many hours after noon as its id, on
// the image unless it names packages.
func claim(document int64, author string, status vex.Status, packages ...string) vex.Claim {
	c := vex.Claim{DocumentID: document, Identifier: fmt.Sprintf("doc-%d", document), Author: author, BroughtBy: "ann",
		Statement: vex.Statement{Vulnerability: "GHSA-1", Status: status, Timestamp: noon.Add(time.Duration(document) * time.Hour)}}
	for _, p := range packages {
		c.Statement.Products = append(c.Statement.Products, vex.Product{ID: "pkg:apk/alpine/" + p})
	}
	if len(packages) == 0 {
		c.Statement.Products = []vex.Product{{ID: digest}}
	}
	return c
}

func situation(claims ...vex.Claim) vex.Situation {
	finding := func(p inventory.Package) match.Finding {
		return match.Finding{VulnerabilityID: 1, Vulnerability: "CVE-1", Package: p}
	}
	return vex.Situation{
		Image: digest, Subject: vex.Subject{Digests: []string{digest}}, Analysed: true, Claims: claims,
		Findings: []match.Finding{finding(apk("musl", "1")), finding(apk("musl-utils", "1")), finding(apk("musl", "1"))},
		Names:    map[int64][]string{1: {"CVE-1", "GHSA-1"}},
	}
}

func TestDecide(t *testing.T) {
	referrer := func(c vex.Claim) vex.Claim { c.Referrer, c.Repository = true, "main/app"; return c }
	refused := claim(1, "Acme", vex.NotAffected)
	refused.Referrer, refused.Refusing = true, "prod"
	foreign := claim(1, "Acme", vex.NotAffected)
	foreign.Statement.Products = []vex.Product{{ID: other}}
	unnamed := claim(1, "Acme", vex.NotAffected)
	unnamed.Statement.Vulnerability = "CVE-2"
	live := func(s vex.Situation, document int64, author, comment string) vex.Situation {
		s.Live = []vex.Live{{AssessmentID: 7, VulnerabilityID: 1, Type: "Ignore", Comment: comment, Author: author, DocumentID: document}}
		return s
	}
	const comment = "not affected\nOf VEX document doc-1, 2026-03-01, uploaded by ann"
	for _, test := range []struct {
		name string
		s    vex.Situation
		want []string
	}{
		{"nothing", situation(), nil},
		{"by an alias", situation(claim(1, "Acme", vex.NotAffected)), []string{"create 1 by vex: Acme (doc-1)", "1 applied"}},
		{"fixed", situation(claim(1, "", vex.Fixed)), []string{"create 1 by vex: unknown (doc-1)", "1 applied"}},
		{"another vulnerability", situation(unnamed), nil},
		{"another image", situation(foreign), nil},
		{"it stands already", live(situation(claim(1, "Acme", vex.NotAffected)), 1, "vex: Acme (doc-1)", comment), []string{"1 applied by 7"}},
		{"of another wording", live(situation(claim(1, "Acme", vex.NotAffected)), 1, "vex: Acme (doc-1)", "other"), []string{"create 1 by vex: Acme (doc-1)", "1 applied"}},
		{"its document is gone", live(situation(), 1, "vex: Acme (doc-1)", comment), []string{"end 7"}},
		{"a package is left", situation(claim(1, "Acme", vex.NotAffected, "musl")), []string{"1 partial: it does not cover musl-utils 1, which has it, too"}},
		{"two documents cover all", situation(claim(1, "Acme", vex.NotAffected, "musl"), claim(2, "Acme", vex.Fixed, "musl-utils")),
			[]string{"create 2 by vex: Acme (doc-2)", "2 applied", "1 applied"}},
		{"two authors do not", situation(claim(1, "Acme", vex.NotAffected, "musl"), claim(2, "Bcme", vex.Fixed, "musl-utils")),
			[]string{"1 partial: it does not cover musl-utils 1, which has it, too", "2 partial: it does not cover musl 1, which has it, too"}},
		{"the author says otherwise later", live(situation(claim(1, "Acme", vex.NotAffected), claim(2, "Acme", vex.Affected)), 1, "vex: Acme (doc-1)", comment),
			[]string{"end 7", "1 overtaken: other statements of the author count for these packages", "2 noted: nothing is assessed where the status is affected"}},
		{"the author says otherwise of a package", situation(claim(1, "Acme", vex.NotAffected), claim(2, "Acme", vex.UnderInvestigation, "musl")),
			[]string{"2 noted: nothing is assessed where the status is under_investigation", "1 partial: musl 1 is under_investigation, says the same author"}},
		{"the author changed their mind", situation(claim(1, "Acme", vex.Affected), claim(2, "Acme", vex.NotAffected)),
			[]string{"create 2 by vex: Acme (doc-2)", "1 overtaken: other statements of the author count for these packages", "2 applied"}},
		{"another author says affected", situation(claim(1, "Acme", vex.NotAffected), claim(2, "Bcme", vex.Affected)),
			[]string{"create 1 by vex: Acme (doc-1)", "2 noted: nothing is assessed where the status is affected", "1 applied"}},
		{"the last of two authors", live(situation(claim(1, "Bcme", vex.NotAffected), claim(2, "Acme", vex.NotAffected)), 1, "vex: Bcme (doc-1)", comment),
			[]string{"create 2 by vex: Acme (doc-2)", "2 applied", "1 overtaken: Acme said so later"}},
		{"a person's stands", live(situation(claim(1, "Acme", vex.NotAffected)), 0, "bob", ""), []string{"1 overruled: the assessment of bob stands"}},
		{"a person ended it", func() vex.Situation {
			s := situation(claim(1, "Acme", vex.NotAffected))
			s.Rulings = []vex.Ruling{{DocumentID: 1, VulnerabilityID: 1, By: "bob"}}
			return s
		}(), []string{"1 overruled: bob ended its assessment"}},
		{"a registry that holds the image refuses", func() vex.Situation {
			s := live(situation(referrer(claim(1, "Acme", vex.NotAffected))), 1, "vex: Acme (doc-1)", comment)
			s.Refusing = []string{"prod"}
			return s
		}(), []string{"end 7", "1 ignored: registry prod holds the image and honours no VEX of referrers"}},
		{"uploads are honoured even there", func() vex.Situation {
			s := situation(claim(1, "Acme", vex.NotAffected))
			s.Refusing = []string{"prod"}
			return s
		}(), []string{"create 1 by vex: Acme (doc-1)", "1 applied"}},
		{"the referrer's registry refuses", situation(refused), []string{"1 ignored: registry prod honours no VEX of referrers"}},
		{"no package of the image", situation(func() vex.Claim {
			c := claim(1, "Acme", vex.NotAffected)
			c.Statement.Products[0].Subcomponents = []string{"pkg:apk/alpine/zlib"}
			return c
		}()), []string{"1 partial: it covers none of the packages that have it, such as musl 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan := vex.Decide(test.s, "Ignore")
			if diff := cmp.Diff(test.want, lines(plan)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func lines(p vex.Plan) (lines []string) {
	for _, l := range p.Ends {
		lines = append(lines, fmt.Sprintf("end %d", l.AssessmentID))
	}
	for _, c := range p.Creates {
		lines = append(lines, fmt.Sprintf("create %d by %s", c.DocumentID, c.Author))
	}
	for _, o := range p.Outcomes {
		line := fmt.Sprintf("%d %s", o.DocumentID, o.State)
		if o.Reason != "" {
			line += ": " + o.Reason
		}
		if o.AssessmentID != 0 {
			line += fmt.Sprintf(" by %d", o.AssessmentID)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestComment(t *testing.T) {
	c := claim(1, "Acme", vex.NotAffected)
	c.Statement.Justification, c.Statement.Impact = "vulnerable_code_not_present", strings.Repeat("é", 1000)
	c.Referrer, c.Repository, c.Identifier = true, "main/app", ""
	var claims []vex.Claim
	for i := range 9 {
		more := c
		more.Position = i
		more.Statement.Products = []vex.Product{{ID: "pkg:apk/alpine/" + []string{"musl", "musl-utils"}[i%2]}}
		claims = append(claims, more)
	}
	plan := vex.Decide(situation(claims...), "Ignore")
	if len(plan.Creates) != 1 {
		t.Fatalf("plan: %v", lines(plan))
	}
	want := "not affected: vulnerable code not present: " + strings.Repeat("é", 1000) + "\nOf VEX document without an identifier, 2026-03-01, attached in main/app by ann"
	if got := plan.Creates[0].Comment; got != want {
		t.Errorf("comment: got %q, want %q", got, want)
	}
}
