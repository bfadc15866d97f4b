package clairv1

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

func FuzzDecodeLayer(f *testing.F) {
	for _, seed := range []string{
		`{"Layer":{"Name":"sha256:aa","Path":"http://h/b","Headers":{"Autorization":"x"},"Format":"Docker"}}`,
		"\xef\xbb\xbf" + `{"Layer":{"Name":"a","ParentName":"","Features":null}}`,
		`{"Layer":{"Headers":{}}}`, `{"layer":{"NAME":"a"}}`, `{"Layer":null}`, `[]`, `{`, "", `{"Layer":{"Name":"\ud800"}}`,
		`{"Layer":{},"Layer":{"Name":"b"}}`, strings.Repeat("[", 1000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := decodeLayer(content)
		if err != nil {
			var bad badRequest
			if !errors.As(err, &bad) {
				t.Errorf("%v is no bad request", err)
			}
			return
		}
		// What was read is echoed, and must be read again as the same.
		echo, err := json.Marshal(layerEnvelope{&got})
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeLayer(echo)
		if err != nil {
			t.Fatalf("%v: %s", err, echo)
		}
		if again.Name != got.Name || again.Path != got.Path || again.ParentName != got.ParentName || again.Format != got.Format || len(again.Headers) != len(got.Headers) {
			t.Errorf("got %+v, then %+v", got, again)
		}
	})
}

func FuzzReadPage(f *testing.F) {
	f.Add("debian:12", writePage("debian:12", "CVE-2024-0001"))
	f.Add("debian:12", "gAAAAAB")
	f.Add("", "AA")
	f.Fuzz(func(t *testing.T, namespace, token string) {
		after, err := readPage(namespace, token)
		if err != nil || token == "" {
			return
		}
		if again, err := readPage(namespace, writePage(namespace, after)); err != nil || again != after {
			t.Errorf("%q: got %q, then %q, %v", token, after, again, err)
		}
	})
}

// Where a distribution judges the binary packages of a source apart, the worst counts.
func TestFeaturesOfOneSource(t *testing.T) {
	installed := func(name, version string, layer int) inventory.Installed {
		return inventory.Installed{LayerIndex: layer, Package: inventory.Package{
			Type: "deb", Distribution: "debian:12", Name: name, Version: version, SourceName: "zlib", SourceVersion: version,
		}}
	}
	packages := []inventory.Installed{installed("zlib1g-dev", "1", 2), installed("zlib1g", "1", 1), installed("zlib1g", "2", 1)}
	found := func(of int, severity advisory.Severity, fixed string) match.Finding {
		return match.Finding{Vulnerability: "CVE-1", Severity: severity, Fixed: fixed, Package: packages[of].Package}
	}
	packages = append(packages, inventory.Installed{Package: inventory.Package{Type: "pypi", Name: "zlib", Version: "1"}}) // no feature
	list := newFeatureList([]clairapi.Layer{{Name: "a"}, {Name: "b"}, {Name: "c"}}, packages)
	list.affect([]match.Finding{found(0, advisory.Low, "3"), found(1, advisory.High, ""), found(0, advisory.High, "4")})
	got := (&API{}).sorted(list, nil)
	if len(got) != 2 || got[0].AddedBy != "b" || got[1].Vulnerabilities != nil {
		t.Fatalf("got %+v", got)
	}
	if v := got[0].Vulnerabilities; len(v) != 1 || v[0].Severity != "High" || v[0].FixedBy != "4" {
		t.Errorf("got %+v", v)
	}
}
