// Package ovaltest evaluates OVAL definitions on systems that tests make up, as
// the specification says, slowly and apart from package oval: what feeds make of
// a document is compared with it.
package ovaltest

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Document is a document, whole in memory.
type Document struct {
	Definitions []Definition `xml:"definitions>definition"`
	Tests       Entities     `xml:"tests"`
	Objects     Entities     `xml:"objects"`
	States      Entities     `xml:"states"`

	tests, objects, states map[string]Entity
}

// Definition is one of a document.
type Definition struct {
	ID       string `xml:"id,attr"`
	Metadata struct {
		Title string `xml:"title"`
		Inner string `xml:",innerxml"`
	} `xml:"metadata"`
	Criteria Criteria `xml:"criteria"`
}

// Criteria is a tree.
type Criteria struct {
	Operator   string      `xml:"operator,attr"`
	Negate     bool        `xml:"negate,attr"`
	Criterias  []Criteria  `xml:"criteria"`
	Criterions []Criterion `xml:"criterion"`
}

// Criterion is a leaf.
type Criterion struct {
	Test    string `xml:"test_ref,attr"`
	Comment string `xml:"comment,attr"`
	Negate  bool   `xml:"negate,attr"`
}

// Entities are tests, objects or states.
type Entities struct {
	List []Entity `xml:",any"`
}

// Entity is a test, an object or a state.
type Entity struct {
	XMLName xml.Name
	ID      string `xml:"id,attr"`
	Check   string `xml:"check,attr"`
	Parts   []Part `xml:",any"`
}

// Part is a child of an entity.
type Part struct {
	XMLName   xml.Name
	Object    string `xml:"object_ref,attr"`
	State     string `xml:"state_ref,attr"`
	Operation string `xml:"operation,attr"`
	Value     string `xml:",chardata"`
}

// Open reads a document, whatever it is compressed by.
func Open(t testing.TB, file string) *Document {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(t, Decompress(t, content))
}

// Decompress undoes gzip and bzip2.
func Decompress(t testing.TB, content []byte) []byte {
	t.Helper()
	r := io.Reader(bytes.NewReader(content))
	var err error
	switch {
	case bytes.HasPrefix(content, []byte("BZh")):
		r = bzip2.NewReader(r)
	case bytes.HasPrefix(content, []byte{0x1f, 0x8b}):
		r, err = gzip.NewReader(r)
	}
	if err == nil {
		content, err = io.ReadAll(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Parse reads a document.
func Parse(t testing.TB, content []byte) *Document {
	t.Helper()
	var d Document
	if err := xml.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	index := func(e Entities) map[string]Entity {
		m := make(map[string]Entity, len(e.List))
		for _, e := range e.List {
			m[e.ID] = e
		}
		return m
	}
	d.tests, d.objects, d.states = index(d.Tests), index(d.Objects), index(d.States)
	return &d
}

// System is what definitions are evaluated on.
type System struct {
	Packages []Package
	// Files are contents by path.
	Files map[string]string
}

// Package is one that is installed. Version is with epoch and release.
type Package struct{ Name, Version, Arch string }

// True evaluates a definition.
func (d *Document) True(t testing.TB, def *Definition, on System) bool {
	t.Helper()
	return d.criteria(t, def.Criteria, on)
}

func (d *Document) criteria(t testing.TB, c Criteria, on System) bool {
	t.Helper()
	var results []bool
	for _, child := range c.Criterias {
		results = append(results, d.criteria(t, child, on))
	}
	for _, child := range c.Criterions {
		results = append(results, d.test(t, child.Test, on) != child.Negate)
	}
	result := !slices.Contains(results, false)
	if c.Operator == "OR" {
		result = slices.Contains(results, true)
	}
	return result != c.Negate
}

// test evaluates a test: of the objects that are there, at least one, or all,
// or none must meet the state; at least one must be there. A test that the
// document does not have, or whose state it does not have, is not met.
func (d *Document) test(t testing.TB, id string, on System) bool {
	t.Helper()
	test, ok := d.tests[id]
	if !ok {
		return false
	}
	object, state := d.objects[test.part("object").Object], d.states[test.part("state").State]
	if ref := test.part("state").State; ref != state.ID {
		return false
	}
	there, meet := 0, 0
	count := func(meets bool) {
		there++
		if meets {
			meet++
		}
	}
	if test.XMLName.Local == "textfilecontent54_test" {
		if content, ok := on.Files[strings.TrimSpace(object.part("filepath").Value)]; ok {
			count(state.met(t, func(string) string { return content }))
		}
	}
	for _, p := range on.Packages {
		if test.XMLName.Local != "rpminfo_test" || p.Name != strings.TrimSpace(object.part("name").Value) {
			continue
		}
		epoch, version, release := split(p.Version)
		count(state.met(t, func(property string) string {
			switch property {
			case "evr":
				return p.Version
			case "epoch":
				return epoch
			case "version":
				return version
			case "release":
				return release
			case "arch":
				return p.Arch
			}
			return "*" // whatever it was signed with
		}))
	}
	switch test.Check {
	case "none satisfy":
		return meet == 0
	case "all":
		return there > 0 && meet == there
	}
	return meet > 0
}

func (e Entity) part(name string) Part {
	for _, p := range e.Parts {
		if p.XMLName.Local == name {
			return p
		}
	}
	return Part{}
}

// met reports whether an object's properties are what a state wants.
func (e Entity) met(t testing.TB, property func(name string) string) bool {
	t.Helper()
	for _, p := range e.Parts {
		want, got := strings.TrimSpace(p.Value), property(p.XMLName.Local)
		if got == "*" {
			continue
		}
		order := strings.Compare(got, want)
		if p.XMLName.Local == "evr" {
			order = Compare(got, want)
		}
		var ok bool
		switch p.Operation {
		case "equals", "":
			ok = order == 0
		case "less than":
			ok = order < 0
		case "less than or equal":
			ok = order <= 0
		case "greater than":
			ok = order > 0
		case "greater than or equal":
			ok = order >= 0
		case "pattern match":
			ok = regexp.MustCompile(want).MatchString(got)
		default:
			t.Fatalf("operation %q of state %q", p.Operation, e.ID)
		}
		if !ok {
			return false
		}
	}
	return true
}

// EVRs are the versions that a document's states name.
func (d *Document) EVRs() map[string][]string {
	names := make(map[string][]string)
	for _, test := range d.Tests.List {
		name := strings.TrimSpace(d.objects[test.part("object").Object].part("name").Value)
		if evr := d.states[test.part("state").State].part("evr").Value; evr != "" {
			names[name] = append(names[name], strings.TrimSpace(evr))
		}
	}
	return names
}

// Only is the package and its version's comparison of a definition with one
// criterion.
func (d *Document) Only(t testing.TB, def *Definition) (name string, evr Part) {
	t.Helper()
	if len(def.Criteria.Criterions) != 1 || len(def.Criteria.Criterias) != 0 {
		t.Fatalf("%s has not one criterion", def.ID)
	}
	test := d.tests[def.Criteria.Criterions[0].Test]
	return strings.TrimSpace(d.objects[test.part("object").Object].part("name").Value), d.states[test.part("state").State].part("evr")
}

// Architectures are those that a document's states ask of packages.
func (d *Document) Architectures() map[string][]string {
	names := make(map[string][]string)
	for _, test := range d.Tests.List {
		name := strings.TrimSpace(d.objects[test.part("object").Object].part("name").Value)
		if list := d.states[test.part("state").State].part("arch").Value; list != "" {
			names[name] = append(names[name], strings.Split(strings.Trim(strings.TrimSpace(list), "()"), "|")...)
		}
	}
	return names
}

// Around are versions just below, at and above one, and far from it.
func Around(evr string) []string {
	epoch, version, release := split(evr)
	e := ""
	if epoch != "0" {
		e = epoch + ":"
	}
	return []string{
		e + version + "-" + release, e + version + "-" + release + ".1", e + version + "-0", e + "0.0.1-1", e + "999-1",
		e + version + "~rc1-" + release, version + "-" + release, "99:" + version + "-" + release,
	}
}

func split(evr string) (epoch, version, release string) {
	epoch = "0"
	if e, rest, found := strings.Cut(evr, ":"); found {
		epoch, evr = e, rest
	}
	version, release, _ = strings.Cut(strings.ReplaceAll(evr, " ", ""), "-")
	return epoch, version, release
}

// Compare orders two versions as RPM does; a release that is not there is equal
// to every one.
func Compare(a, b string) int {
	epochA, versionA, releaseA := split(a)
	epochB, versionB, releaseB := split(b)
	for _, pair := range [][2]string{{epochA, epochB}, {versionA, versionB}, {releaseA, releaseB}} {
		if pair[0] == "" || pair[1] == "" {
			continue
		}
		if order := segments(pair[0], pair[1]); order != 0 {
			return order
		}
	}
	return 0
}

var segment = regexp.MustCompile(`[0-9]+|[a-zA-Z]+|~|\^`)

// segments is rpmvercmp.
func segments(a, b string) int {
	x, y := segment.FindAllString(a, -1), segment.FindAllString(b, -1)
	for i := 0; ; i++ {
		var p, q string
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		if p == q {
			if p == "" {
				return 0
			}
			continue
		}
		switch {
		case p == "~":
			return -1
		case q == "~":
			return 1
		case p == "^":
			if q == "" {
				return 1
			}
			return -1
		case q == "^":
			if p == "" {
				return -1
			}
			return 1
		case p == "":
			return -1
		case q == "":
			return 1
		}
		digitP, digitQ := p[0] <= '9', q[0] <= '9'
		switch {
		case digitP && !digitQ:
			return 1
		case !digitP && digitQ:
			return -1
		case digitP:
			p, q = strings.TrimLeft(p, "0"), strings.TrimLeft(q, "0")
			if order := len(p) - len(q); order != 0 {
				return order
			}
		}
		if order := strings.Compare(p, q); order != 0 {
			return order
		}
	}
}

// String is for failure messages.
func (s System) String() string { return fmt.Sprint(s.Packages, s.Files) }
