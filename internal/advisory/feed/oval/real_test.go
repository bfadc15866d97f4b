package oval_test

import (
	"bytes"
	"context"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory/feed/oval"
	"github.com/pratique/pratique/internal/advisory/feed/oval/ovaltest"
	"github.com/pratique/pratique/internal/realdata"
)

// TestRealDocument has a whole document of Photon OS. Its comments say in words
// what its tests, objects and states say; the two are compared.
func TestRealDocument(t *testing.T) {
	content := realdata.Read(t, "feeds", "packages.vmware.com", "photon", "photon_oval_definitions", "com.vmware.phsa-photon3.xml.gz")
	got, definitions := make(map[string]bool), 0
	_, err := oval.Read(context.Background(), bytes.NewReader(content), oval.Options{Definition: func(d *oval.Definition) error {
		definitions++
		clauses, problems := d.Clauses(func(c oval.Criterion) (condition oval.Condition, err error) {
			s := c.Test.State
			switch {
			case c.Test.Name == "photon-release":
				condition.Product = s.Version.Value
			case s.Key.IsZero():
				condition.Package = c.Test.Name
				condition.Range, err = s.EVR.Range()
			}
			return condition, err
		})
		if problems.Count > 0 {
			t.Errorf("%s: %s", d.ID, problems)
		}
		for _, c := range clauses {
			if c.Product != `^3[^\d]` || c.Range.Introduced != "" || c.Range.LastAffected != "" {
				t.Errorf("%s: %+v", d.ID, c)
			}
			for _, cve := range d.Vulnerabilities() {
				got[cve+" "+c.Package+" "+c.Range.Fixed] = true
			}
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]bool)
	text := ovaltest.Decompress(t, content)
	earlier := regexp.MustCompile(`<criterion comment="(\S+) is earlier than 0:(\S+)"`)
	named := regexp.MustCompile(`<cve[^>]*>(CVE-[0-9-]+)</cve>`)
	for _, def := range bytes.Split(text, []byte("<definition "))[1:] {
		def, _, _ = bytes.Cut(def, []byte("</definition>"))
		for _, cve := range named.FindAllSubmatch(def, -1) {
			for _, pkg := range earlier.FindAllSubmatch(def, -1) {
				want[string(cve[1])+" "+string(pkg[1])+" "+string(pkg[2])] = true
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := bytes.Count(text, []byte("<definition ")); definitions != n {
		t.Errorf("%d definitions, want %d", definitions, n)
	}
	t.Logf("%d definitions, %d triples", definitions, len(got))
}
