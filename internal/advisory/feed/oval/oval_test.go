package oval_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory/feed/oval"
	"github.com/pratique/pratique/internal/advisory/feed/oval/ovaltest"
)

// document has criteria for one definition, and these tests: r1 and r2 want
// release 1 and 2 of distro-release, a1 and b1 packages a and b below 1, a2 one at
// or above 0.5, a3 one up to 3, sig a signature, arm and amd architectures, no a
// that package c is not there; gone and stateless are damaged.
func document(criteria string) string {
	return `<oval_definitions xmlns:l="x"><generator/><definitions><definition id="d" class="vulnerability"><metadata><title>CVE-2020-0001</title></metadata>` +
		criteria + `</definition></definitions><tests>` +
		tests("r1 release one", "r2 release two", "a1 a below1", "b1 b below1", "a2 a from", "a3 a upto", "a4 a below2", "sig a signed", "arm distro arm", "amd distro amd",
			"any a", "gone nothing below1", "stateless a nothing", "odd a odd", "vars vars below1", "novar novar below1") +
		`<l:rpminfo_test id="no" check="none satisfy"><l:object object_ref="c"/><l:state state_ref="below1"/></l:rpminfo_test>` +
		`<l:rpminfo_test id="two" check="all"><l:object object_ref="a"/><l:state state_ref="below1"/><l:state state_ref="amd"/></l:rpminfo_test>` +
		`<l:rpminfo_test id="either" state_operator="OR"><l:object object_ref="a"/><l:state state_ref="below1"/><l:state state_ref="amd"/></l:rpminfo_test>` +
		`</tests><objects>` + objects("release", "a", "b", "c", "distro") +
		`<l:rpminfo_object id="vars"><l:name var_ref="v1"/></l:rpminfo_object><l:rpminfo_object id="novar"><l:name var_ref="v2"/></l:rpminfo_object></objects><states>` +
		`<l:rpminfo_state id="one"><l:version operation="equals">1</l:version></l:rpminfo_state>` +
		`<l:rpminfo_state id="two"><l:version operation="equals">2</l:version></l:rpminfo_state>` +
		`<l:rpminfo_state id="below1"><l:evr datatype="evr_string" operation="less than">0: 1-1</l:evr></l:rpminfo_state>` +
		`<l:rpminfo_state id="below2"><l:evr operation="less than">1:2-1</l:evr></l:rpminfo_state>` +
		`<l:rpminfo_state id="from"><l:evr operation="greater than or equal">0:0.5-1</l:evr></l:rpminfo_state>` +
		`<l:rpminfo_state id="upto"><l:evr operation="less than or equal">0:3-1</l:evr></l:rpminfo_state>` +
		`<l:rpminfo_state id="odd"><l:evr operation="6">0:3-1</l:evr></l:rpminfo_state>` +
		`<l:rpminfo_state id="signed"><l:signature_keyid operation="equals">0123</l:signature_keyid></l:rpminfo_state>` +
		`<l:rpminfo_state id="arm"><l:arch operation="pattern match">(aarch64|arm)</l:arch></l:rpminfo_state>` +
		`<l:rpminfo_state id="amd"><l:arch operation="pattern match">x86_64</l:arch></l:rpminfo_state>` +
		`</states><variables><constant_variable id="v1"><value>p</value><value>q</value></constant_variable><local_variable id="v2"/></variables></oval_definitions>`
}

func tests(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		words := strings.Fields(line)
		fmt.Fprintf(&b, `<l:rpminfo_test id=%q check="at least one"><l:object object_ref=%q/>`, words[0], words[1])
		if len(words) > 2 {
			fmt.Fprintf(&b, `<l:state state_ref=%q/>`, words[2])
		}
		b.WriteString("</l:rpminfo_test>")
	}
	return b.String()
}

func objects(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, `<l:rpminfo_object id=%q><l:name>%s</l:name></l:rpminfo_object>`, name, name)
	}
	return b.String()
}

// tree writes criteria: "(& r1 (| a1 !b1))".
func tree(text string) string {
	text = strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text)
	var b strings.Builder
	negate := func(word string) string {
		if strings.HasPrefix(word, "!") {
			return ` negate="true"`
		}
		return ""
	}
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		switch word := words[i]; word {
		case "(":
			i++
			operator := map[string]string{"&": "AND", "|": "OR", "^": "XOR"}[strings.TrimPrefix(words[i], "!")]
			fmt.Fprintf(&b, `<criteria operator=%q%s>`, operator, negate(words[i]))
		case ")":
			b.WriteString("</criteria>")
		case "extend":
			b.WriteString(`<extend_definition definition_ref="d"/>`)
		default:
			fmt.Fprintf(&b, `<criterion test_ref=%q comment="about %s"%s/>`, strings.TrimPrefix(word, "!"), word, negate(word))
		}
	}
	return b.String()
}

// understand reads the tests of document.
func understand(c oval.Criterion) (condition oval.Condition, err error) {
	t := c.Test
	switch {
	case t.Name == "release":
		condition.Product = "distro:" + t.State.Version.Value
	case t.Name == "distro":
		var names []string
		names, err = t.State.Arch.Architectures()
		condition.Architectures = strings.Join(names, " ")
	case !t.State.Key.IsZero():
	case t.State == (oval.State{}):
		condition.Package = t.Name
	default:
		condition.Package = t.Name
		if len(t.Names) > 0 {
			condition.Package = "one of them"
		}
		if condition.Range, err = t.State.EVR.Range(); err == nil && !t.State.Arch.IsZero() {
			condition.Architectures = t.State.Arch.Value
		}
	}
	return condition, err
}

func clauses(t *testing.T, criteria string) (lines []string, problems oval.Problems) {
	t.Helper()
	_, err := oval.Read(context.Background(), strings.NewReader(document(criteria)), oval.Options{Definition: func(d *oval.Definition) error {
		var list []oval.Condition
		list, problems = d.Clauses(understand)
		for _, c := range list {
			line := fmt.Sprintf("%s %s [%s, %s, %s] %s %s", c.Product, c.Package, c.Range.Introduced, c.Range.Fixed, c.Range.LastAffected, c.Architectures, c.Note)
			lines = append(lines, strings.TrimSpace(line))
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return lines, problems
}

func TestClauses(t *testing.T) {
	tests := []struct {
		name, tree string
		want       []string
		problems   int
		problem    string
	}{
		{"and", "(& r1 a1)", []string{"distro:1 a [, 1-1, ]"}, 0, ""},
		{"or", "(& r1 (| a1 b1))", []string{"distro:1 a [, 1-1, ]", "distro:1 b [, 1-1, ]"}, 0, ""},
		{"or of products", "(& (| r1 r2) (| a1 b1))", []string{"distro:1 a [, 1-1, ]", "distro:1 b [, 1-1, ]", "distro:2 a [, 1-1, ]", "distro:2 b [, 1-1, ]"}, 0, ""},
		{"one criterion", "(& a1)", []string{"a [, 1-1, ]"}, 0, ""},
		{"the same twice", "(| a1 a1 (& a1 a1))", []string{"a [, 1-1, ]"}, 0, ""},
		{"signed", "(& r1 (& a1 sig))", []string{"distro:1 a [, 1-1, ]"}, 0, ""},
		{"two products at once", "(& r1 r2 a1)", nil, 0, ""},
		{"architectures", "(& r1 (| (& arm a1) (& amd b1)))", []string{"distro:1 a [, 1-1, ] aarch64 arm", "distro:1 b [, 1-1, ] x86_64"}, 0, ""},
		{"two architectures at once", "(& arm amd a1)", nil, 0, ""},
		{"from and to", "(& a1 a2)", []string{"a [0.5-1, 1-1, ]"}, 0, ""},
		{"up to", "(& a2 a3)", []string{"a [0.5-1, , 3-1]"}, 0, ""},
		{"only that it is there", "(& r1 any)", []string{"distro:1 a [, , ]"}, 0, ""},
		{"an epoch", "(& a4)", []string{"a [, 1:2-1, ]"}, 0, ""},
		{"several states", "(& two)", []string{"a [, 1-1, ] x86_64"}, 0, ""},
		{"several names", "(& r1 vars)", []string{"distro:1 p [, 1-1, ]", "distro:1 q [, 1-1, ]"}, 0, ""},
		{"absence", "(& a1 no)", []string{"a [, 1-1, ]  about no"}, 0, ""},
		{"absence negated twice", "(& a1 (!& !no))", []string{"a [, 1-1, ]  about !no"}, 0, ""},
		{"negated twice", "(& r1 (!| (!& a1) (!| a2)))", []string{"distro:1 a [0.5-1, 1-1, ]"}, 0, ""},
		{"negated to an or", "(& r1 (!& (!& a1) (!& b1)))", []string{"distro:1 a [, 1-1, ]", "distro:1 b [, 1-1, ]"}, 0, ""},
		{"negated", "(| a1 (& r1 a1 !b1))", []string{"a [, 1-1, ]"}, 1, `"about !b1": it is negated, which is not read`},

		{"two packages at once", "(& a1 b1)", nil, 1, `packages "a" and "b" are asked for at once`},
		{"two bounds", "(& a1 a4)", nil, 1, `package "a" has two bounds on the same side`},
		{"bounds of both kinds", "(& a1 a3)", nil, 1, "two bounds on the same side"},
		{"a missing test", "(| a1 lost (& lost b1))", []string{"a [, 1-1, ]"}, 2, `"about lost": test lost is missing`},
		{"a missing object", "(| a1 gone)", []string{"a [, 1-1, ]"}, 1, "its object is missing"},
		{"a missing state", "(| a1 stateless)", []string{"a [, 1-1, ]"}, 1, "its state is missing"},
		{"a missing variable", "(| a1 novar)", []string{"a [, 1-1, ]"}, 1, "the variable of its object is missing"},
		{"an unknown comparison", "(| a1 odd)", []string{"a [, 1-1, ]"}, 1, `the comparison "6" of versions is not known`},
		{"one of several states", "(| a1 either)", []string{"a [, 1-1, ]"}, 1, "several states of which one is enough"},
		{"another operator", "(| a1 (^ a1 b1))", []string{"a [, 1-1, ]"}, 1, "neither AND nor OR"},
		{"another definition", "(| a1 (& extend b1))", []string{"a [, 1-1, ]"}, 1, "extend_definition is not read"},
		{"nothing in it", "(| a1 (&))", []string{"a [, 1-1, ]"}, 1, "a criteria has no criterions"},
		{"nothing", "", nil, 1, "it has no criteria"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, problems := clauses(t, tree(test.tree))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("clauses (-want +got):\n%s", diff)
			}
			if problems.Count != test.problems || test.problems > 0 && !strings.Contains(problems.String(), test.problem) {
				t.Errorf("problems %+v, want %d, the first with %q", problems, test.problems, test.problem)
			}
		})
	}
}

// TestClausesAreBounded has trees that are true in too many ways, or too large.
func TestClausesAreBounded(t *testing.T) {
	tests := []struct{ name, tree, want string }{
		{"criterions", "(| " + strings.Repeat("a1 ", 200_001) + ")", "it has more than 200000 criterions"},
		{"branches", "(| " + strings.Repeat("(& a1) ", 100_001) + ")", "it has more than 200000 criterions"},
		{"depth", strings.Repeat("(& ", 90) + "a1" + strings.Repeat(")", 90), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, problems := clauses(t, tree(test.tree))
			if test.want != "" && (problems.Count == 0 || !strings.Contains(problems.String(), test.want)) {
				t.Errorf("problems %+v, want %q", problems, test.want)
			}
		})
	}
	var wide strings.Builder // 300 × 300 ways
	for range 2 {
		wide.WriteString("(| ")
		for i := range 300 {
			fmt.Fprintf(&wide, "t%d ", i)
		}
		wide.WriteString(") ")
	}
	text := strings.Replace(document(tree("(& "+wide.String()+")")), "<tests>", "<tests>"+manyTests(300), 1)
	_, err := oval.Read(context.Background(), strings.NewReader(text), oval.Options{Definition: func(d *oval.Definition) error {
		n := 0
		list, problems := d.Clauses(func(oval.Criterion) (oval.Condition, error) {
			n++
			return oval.Condition{Note: fmt.Sprint(n)}, nil
		})
		if len(list) > 0 || !strings.Contains(problems.String(), "in more than 50000 ways") {
			t.Errorf("%d clauses, problems %+v", len(list), problems)
		}
		return nil
	}})
	if err != nil {
		t.Error(err)
	}
}

func manyTests(n int) string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("t%d a below1", i))
	}
	return tests(lines...)
}

const metadata = `<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5"><definitions>
<definition id="oval:org.example:def:20201" class="patch" version="1">
 <metadata>
  <title>
   CVE-2020-0001 &amp; more</title>
  <affected family="unix"><platform>Example 1</platform><product>no</product><platform>Example 2</platform></affected>
  <reference source="CVE" ref_id="Mitre CVE-2020-0001" ref_url="https://example.org/1"/>
  <reference source="EX" ref_id="EX-1" ref_url="https://example.org/2"/>
  <description>What it <b>is</b> about</description>
  <patchable>true</patchable>
  <advisory from="x">
   <severity>Important</severity>
   <rights>none</rights>
   <issued date="2021-04-01"/><updated date="2021-05-01"/>
   <cve impact="low" cvss3="7/CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:U/C:H/I:H/A:H" href="https://example.org/3" public="20210301">CVE-2020-0001 at SUSE</cve>
   <cve cvss2="4.3/AV:N/AC:M/Au:N/C:N/I:N/A:P">CVE-2020-0002</cve>
   <affected_cpe_list><cpe>cpe:/o:example:1</cpe></affected_cpe_list>
  </advisory>
 </metadata>
 <criteria operator="AND"><criterion comment="a &lt; 1" test_ref="oval:org.example:tst:1"/></criteria>
</definition>
</definitions></oval_definitions>`

func TestDefinition(t *testing.T) {
	type seen struct {
		ID, Class, Title, Description, Severity, Issued, Updated string
		Platforms, CPEs, Vulnerabilities                         []string
		References                                               []oval.Reference
		CVEs                                                     []oval.CVE
		Other                                                    map[string]string
		Problem                                                  string
	}
	want := seen{
		ID: "oval:org.example:def:20201", Class: "patch", Title: "CVE-2020-0001 & more", Description: "What it  about",
		Severity: "Important", Issued: "2021-04-01", Updated: "2021-05-01",
		Platforms: []string{"Example 1", "Example 2"}, CPEs: []string{"cpe:/o:example:1"}, Vulnerabilities: []string{"CVE-2020-0001", "CVE-2020-0002"},
		References: []oval.Reference{{ID: "Mitre CVE-2020-0001", URL: "https://example.org/1", Source: "CVE"}, {ID: "EX-1", URL: "https://example.org/2", Source: "EX"}},
		CVEs: []oval.CVE{
			{Name: "CVE-2020-0001", Text: "CVE-2020-0001 at SUSE", Impact: "low", URL: "https://example.org/3", Public: "20210301", CVSS: []string{"7/CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:U/C:H/I:H/A:H"}},
			{Name: "CVE-2020-0002", Text: "CVE-2020-0002", CVSS: []string{"4.3/AV:N/AC:M/Au:N/C:N/I:N/A:P"}},
		},
		Other:   map[string]string{"patchable": "true"},
		Problem: `"a < 1": test oval:org.example:tst:1 is missing`,
	}
	var got seen
	summary, err := oval.Read(context.Background(), strings.NewReader(metadata), oval.Options{Definition: func(d *oval.Definition) error {
		_, problems := d.Clauses(understand)
		got = seen{
			d.ID, d.Class, d.Title, d.Description, d.Severity, d.Issued, d.Updated,
			slices.Clone(d.Platforms), slices.Clone(d.CPEs), d.Vulnerabilities(), slices.Clone(d.References), slices.Clone(d.CVEs), d.Other, problems.String(),
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if summary.Definitions != 1 || summary.Size != int64(len(metadata)) {
		t.Errorf("%+v", summary)
	}
}

func TestReadRefuses(t *testing.T) {
	whole := document(tree("(& r1 a1)"))
	tests := []struct {
		name, document, want string
		is                   error
	}{
		{"empty", "", "byte 0: unexpected EOF", nil},
		{"page", "<!DOCTYPE html><html></html>", "byte 0", oval.ErrEntities},
		{"page without a type", "<html><body/></html>", `it has a "html" where oval_definitions`, oval.ErrShape},
		{"JSON", "[]", "where an element is expected", oval.ErrShape},
		{"no definitions", "<oval_definitions><tests/></oval_definitions>", "it has no definitions", oval.ErrShape},
		{"cut", whole[:len(whole)-20], "unexpected EOF", io.ErrUnexpectedEOF},
		{"more behind", whole + "<x/>", "second root", nil},
		{"cut gzip", string(zip(whole)[:100]), "gzip", io.ErrUnexpectedEOF},
		{"damaged gzip", "\x1f\x8bxxxxxxxxxxxxxxxxxxxx", "gzip", nil},
		{"damaged bzip2", "BZh91AY&SYxxxxxxxxxxxxxxxxxxxxxxxx", "bzip2", nil},
		{"many odd identifiers", "<oval_definitions><definitions><definition/></definitions><tests>" + oddTests(100_001) + "</tests></oval_definitions>", "in unusual forms", oval.ErrLimit},
		{"long identifier", `<oval_definitions><definitions><definition/></definitions><tests><t id="` + strings.Repeat("x", 300) + `"/></tests></oval_definitions>`, "one of more than 255 bytes", oval.ErrLimit},
		{"many states", `<oval_definitions><definitions><definition/></definitions><tests><t id="1">` + strings.Repeat(`<state state_ref="1"/>`, 101) + `</t></tests></oval_definitions>`, "more than 100 states", oval.ErrLimit},
		{"many fields", `<oval_definitions><definitions><definition/></definitions><states><t id="1">` + strings.Repeat(`<evr/>`, 21) + `</t></states></oval_definitions>`, "more than 20 fields", oval.ErrLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := oval.Read(context.Background(), strings.NewReader(test.document), oval.Options{Definition: func(*oval.Definition) error { return nil }})
			if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v, want one with %q, and being %v", err, test.want, test.is)
			}
		})
	}
	if _, err := oval.Read(context.Background(), io.LimitReader(strings.NewReader(whole), 10), oval.Options{}); err == nil || !strings.Contains(err.Error(), "cannot be read twice") {
		t.Errorf("what cannot be read twice: %v", err)
	}
}

func oddTests(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `<t id="x%dx"/>`, i)
	}
	return b.String()
}

func zip(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text)) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

func TestReadStops(t *testing.T) {
	text := document(tree("(& r1 a1)"))
	mine := errors.New("mine")
	if _, err := oval.Read(context.Background(), strings.NewReader(text), oval.Options{Definition: func(*oval.Definition) error { return mine }}); err != mine {
		t.Errorf("the error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := oval.Read(ctx, strings.NewReader(text), oval.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled reading ends with %v", err)
	}
}

func TestCompressed(t *testing.T) {
	text := document(tree("(& r1 a1)"))
	n := 0
	summary, err := oval.Read(context.Background(), bytes.NewReader(zip(text)), oval.Options{
		Test:       func(oval.Test) { n++ },
		Definition: func(*oval.Definition) error { n += 1000; return nil },
	})
	if err != nil || summary.Size != int64(len(text)) || n != 1015 {
		t.Errorf("%+v, %d, %v", summary, n, err)
	}
	if summary.Tests != 19 || summary.Objects != 7 || summary.States != 10 {
		t.Errorf("%+v", summary)
	}
}

// FuzzRead has documents of every kind. Whatever can be read can be evaluated.
func FuzzRead(f *testing.F) {
	f.Add([]byte(metadata))
	f.Add([]byte(document(tree("(& (| r1 r2) (| (& a1 a2 sig) !b1 no vars))"))))
	f.Add(zip(document(tree("(!& a1 (| lost gone))"))))
	f.Add([]byte("<oval_definitions><definitions><definition><criteria><criteria negate='1'/></criteria></definition></definitions></oval_definitions>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := oval.Read(context.Background(), bytes.NewReader(text), oval.Options{Test: func(oval.Test) {}, Definition: func(d *oval.Definition) error {
			clauses, problems := d.Clauses(understand)
			if len(clauses) == 0 && problems.Count == 0 {
				return nil
			}
			d.Vulnerabilities()
			_ = problems.First
			return nil
		}})
		if err != nil && !strings.Contains(err.Error(), "byte ") && !strings.Contains(err.Error(), "gzip") {
			t.Errorf("%v names no byte", err)
		}
	})
}

// TestOrder checks the evaluation that tests of feeds rely on by itself.
func TestOrder(t *testing.T) {
	for _, pair := range [][2]string{
		{"1-1", "1-2"}, {"1-1", "1:0-1"}, {"0:1-9", "0:1-10"}, {"1.0~rc1-1", "1.0-1"}, {"1.0-1", "1.0^1-1"}, {"1.0a-1", "1.0.1-1"}, {"1-1.el7", "1-1.el7_9"}, {"9:1-1", "10:1-1"},
	} {
		if ovaltest.Compare(pair[0], pair[1]) >= 0 || ovaltest.Compare(pair[1], pair[0]) <= 0 {
			t.Errorf("%s is not before %s", pair[0], pair[1])
		}
	}
	for _, pair := range [][2]string{{"1-1", "0:1-1"}, {"1-01", "1-1"}, {"1", "1-5"}} {
		if ovaltest.Compare(pair[0], pair[1]) != 0 {
			t.Errorf("%s is not %s", pair[0], pair[1])
		}
	}
}
