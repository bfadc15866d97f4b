package sbom_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/sbom"
)

// TestRead reads bills as other programs write them. A file holds bills and what
// is wanted of each, as show writes it.
func TestRead(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(archive.Files); i += 2 {
			bill, want := archive.Files[i], archive.Files[i+1]
			t.Run(filepath.Base(file)+"/"+bill.Name, func(t *testing.T) {
				if want.Name != bill.Name+" is" {
					t.Fatalf("%s is followed by %s", bill.Name, want.Name)
				}
				document, err := sbom.Read(strings.NewReader(string(bill.Data)), sbom.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want.Data), show(document)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

func show(d sbom.Document) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %q\n", d.Format, d.Distribution.String())
	for _, p := range d.Packages {
		fmt.Fprintf(&b, "%s %s %s", p.Type, p.Name, p.Version)
		if p.Distribution != "" {
			fmt.Fprintf(&b, " of %s", p.Distribution)
		}
		for _, more := range [][2]string{{"arch", p.Architecture}, {"source", strings.TrimSpace(p.SourceName + " " + p.SourceVersion)},
			{"module", p.Module}, {"from", p.Repositories}, {"at", p.Path}, {"by", p.Owner}, {"layer", p.LayerDigest}} {
			if more[1] != "" {
				fmt.Fprintf(&b, ", %s %s", more[0], more[1])
			}
		}
		if p.Line > 0 {
			fmt.Fprintf(&b, ", line %d", p.Line)
		}
		fmt.Fprintf(&b, ": %s\n", p.Evidence)
	}
	for _, w := range d.Warnings {
		fmt.Fprintf(&b, "%s: %s\n", w.Code, w.Message)
	}
	return b.String()
}

const small = `{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"type":"library","bom-ref":"a","name":"left-pad","version":"1.3.0","purl":"pkg:npm/left-pad@1.3.0"}]}`

func TestReadEnvelopes(t *testing.T) {
	statement := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"00"}}],"predicate":` + small + `,"predicateType":"https://cyclonedx.org/bom"}`
	envelope := `{"payloadType":"application/vnd.in-toto+json","payload":"` + base64.StdEncoding.EncodeToString([]byte(statement)) + `","signatures":[{"sig":"eA=="}]}`
	for name, text := range map[string]string{
		"plain": small, "byte order mark": "\ufeff" + small, "statement": statement, "envelope": envelope,
		"bundle": `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{},"dsseEnvelope":` + envelope + `}`,
	} {
		d, err := sbom.Read(strings.NewReader(text), sbom.Limits{})
		if err != nil || d.Format != "CycloneDX 1.5" || len(d.Packages) != 1 || d.Packages[0].Name != "left-pad" || d.Packages[0].Detector != "sbom" {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	nested := strings.Repeat(`{"predicate":`, 6) + small + strings.Repeat("}", 6)
	for _, test := range []struct{ name, text, says string }{
		{"nothing", "", "unexpected EOF"},
		{"no JSON", "SPDXVersion: SPDX-2.3", "invalid character"},
		{"XML", `<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.6"/>`, "invalid character"},
		{"a list", "[]", "want an object"},
		{"null", "null", "neither CycloneDX"},
		{"another document", `{"packages":[],"components":[]}`, "neither CycloneDX"},
		{"SPDX 3", `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}`, "neither CycloneDX"},
		{"provenance", `{"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{}}}`, "slsa.dev/provenance"},
		{"two formats", `{"bomFormat":"CycloneDX","specVersion":"1.6","spdxVersion":"SPDX-2.3"}`, "CycloneDX and SPDX"},
		{"another bomFormat", `{"bomFormat":"x","specVersion":"1.6"}`, `"x"`},
		{"no version", `{"bomFormat":"CycloneDX"}`, `CycloneDX ""`},
		{"CycloneDX 2", `{"bomFormat":"CycloneDX","specVersion":"2.0"}`, `"2.0"`},
		{"SPDX 1", `{"spdxVersion":"SPDX-1.2"}`, `"SPDX-1.2"`},
		{"Syft without a version", `{"artifacts":[],"descriptor":{"name":"syft"}}`, "schema"},
		{"truncated", small[:len(small)-3], "unexpected EOF"},
		{"more than one", small + small, "follows the document"},
		{"components are none", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":{}}`, "want a list"},
		{"a component is none", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":["a"]}`, "want an object"},
		{"deep", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":` + strings.Repeat(`[{"components":`, 60) + "[]" + strings.Repeat("}]", 60) + `}`, "nests deeper than 100"},
		{"blanks", strings.Repeat(" ", 70_000) + small, "nothing but blanks"},
		{"blanks in an envelope", `{"payload":"` + strings.Repeat("ICAg", 30_000) + `"}`, "nothing but blanks"},
		{"deeper", `{"a":[[[` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `]]]}`, "max depth"},
		{"envelopes", nested, "too many envelopes"},
		{"no base64", `{"payload":"%%%%"}`, "illegal base64"},
		{"base64 of nothing", `{"payload":""}`, "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := sbom.Read(strings.NewReader(test.text), sbom.Limits{})
			if !errors.Is(err, sbom.ErrFormat) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want one that says %s", err, test.says)
			}
		})
	}
	// What the reader says is not the content's fault.
	broken := errors.New("disk")
	for _, r := range []io.Reader{iotest.ErrReader(broken), io.MultiReader(strings.NewReader(small[:40]), iotest.ErrReader(broken)), io.MultiReader(strings.NewReader(small), iotest.ErrReader(broken))} {
		if _, err := sbom.Read(r, sbom.Limits{}); !errors.Is(err, broken) || errors.Is(err, sbom.ErrFormat) {
			t.Errorf("got %v", err)
		}
	}
}

func TestReadLimits(t *testing.T) {
	if _, err := sbom.Read(strings.NewReader(small), sbom.Limits{Bytes: int64(len(small))}); err != nil {
		t.Errorf("as large as allowed: %v", err)
	}
	if _, err := sbom.Read(strings.NewReader(small), sbom.Limits{Bytes: int64(len(small)) - 1}); !errors.Is(err, sbom.ErrFormat) || !strings.Contains(err.Error(), "more than") {
		t.Errorf("larger than allowed: %v", err)
	}
	var many strings.Builder
	many.WriteString(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[`)
	for i := range 50 {
		if i > 0 {
			many.WriteByte(',')
		}
		fmt.Fprintf(&many, `{"name":"n%d"},{"name":"p%d","purl":"pkg:npm/p%d@1"}`, i, i, i)
	}
	many.WriteString("]}")
	d, err := sbom.Read(strings.NewReader(many.String()), sbom.Limits{Components: 80})
	if err != nil || len(d.Packages) != 40 {
		t.Fatalf("got %d packages, %v", len(d.Packages), err)
	}
	if n := len(d.Warnings); n != 21 || d.Warnings[0].Code != inventory.Limit || !strings.Contains(d.Warnings[1].Message, `"n0"`) || d.Warnings[20].Message != "21 more warnings" {
		t.Errorf("got %d warnings: %v", n, d.Warnings)
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for i := 0; i < len(archive.Files); i += 2 {
			f.Add(archive.Files[i].Data)
		}
	}
	f.Add([]byte(small))
	f.Add([]byte(`{"payload":"` + base64.StdEncoding.EncodeToString([]byte(small)) + `"}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		limits := sbom.Limits{Bytes: 1 << 20, Components: 100}
		d, err := sbom.Read(strings.NewReader(string(content)), limits)
		if err != nil {
			if !errors.Is(err, sbom.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if len(d.Packages) > 100*100 || len(d.Warnings) > 21 {
			t.Errorf("%d packages, %d warnings", len(d.Packages), len(d.Warnings))
		}
		// What was read can be written, and says the same then.
		s := sbom.Subject{Digest: "sha256:x", Name: "x", Packages: d.Packages, Distribution: d.Distribution.String()}
		for _, p := range d.Packages {
			if p.Name == "" || strings.ContainsAny(p.Name+p.Version+p.Path+p.Evidence, "\x00\n") {
				t.Errorf("package %+v", p)
			}
			if p.LayerDigest != "" {
				s.Layers = append(s.Layers, p.LayerDigest)
			}
		}
		var out strings.Builder
		if err := sbom.CycloneDX(&out, s); err != nil {
			t.Fatal(err)
		}
		again, err := sbom.Read(strings.NewReader(out.String()), sbom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if len(again.Packages) != len(d.Packages) {
			t.Fatalf("%d packages are read again, %d were", len(again.Packages), len(d.Packages))
		}
		for i, p := range again.Packages {
			if p.Package != d.Packages[i].Package || p.Path != d.Packages[i].Path {
				t.Errorf("read again %+v, was %+v", p, d.Packages[i])
			}
		}
	})
}

func FuzzPURL(f *testing.F) {
	for _, p := range everyKind() {
		f.Add(sbom.PURL(p.Package))
	}
	for _, text := range []string{"pkg:npm/%40a/b@1", "pkg:deb/debian/a@1?distro=jessie", "pkg:rpm/a@1?epoch=x&upstream=-.src.rpm", "pkg:x/%00", "pkg:golang/%ff", "pkg:oci/a@sha256:0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sbom.Read(strings.NewReader(fmt.Sprintf(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"x","purl":%q}]}`, text)), sbom.Limits{})
	})
}
