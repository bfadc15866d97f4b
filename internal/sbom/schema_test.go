package sbom_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/sbom"
)

// spdxModule has the schema of SPDX 2.3 among its files. It differs from that of
// the specification's tag v2.3 in what it takes beside PACKAGE-MANAGER, and in
// that it requires a namespace; see TestSPDX for both. Nothing of the module is
// built: Go fetches it once into the user's module cache.
const (
	spdxModule = "github.com/anchore/syft@v1.57.1"
	spdxSchema = "schema/spdx-json/spdx-schema-2.3.json"
	spdxSum    = "c2e139546ef93597d3b1214d1d452369d0b536af6c6d6500dbd25c582034aa7c"
)

// moduleDir is where Go keeps the files of a module. Outside of the project's
// own folder the project's go.mod stays as it is.
func moduleDir(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var module struct{ Dir, Error string }
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	if err != nil || module.Dir == "" {
		t.Skipf("the official schemas cannot be had: go %s: %v: %s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return module.Dir
}

func compile(t *testing.T, first string, files map[string]string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	for url, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource(url, schema); err != nil {
			t.Fatal(err)
		}
	}
	compiled, err := compiler.Compile(first)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func cycloneDXSchema(t *testing.T) *jsonschema.Schema {
	dir := filepath.Join(moduleDir(t, ".", "list", "-m", "-json", "github.com/CycloneDX/cyclonedx-go"), "schema")
	const base = "http://cyclonedx.org/schema/"
	return compile(t, base+"bom-1.6.schema.json", map[string]string{
		base + "bom-1.6.schema.json":  filepath.Join(dir, "bom-1.6.schema.json"),
		base + "spdx.schema.json":     filepath.Join(dir, "spdx.schema.json"),
		base + "jsf-0.82.schema.json": filepath.Join(dir, "jsf-0.82.schemax.json"),
	})
}

func spdx23Schema(t *testing.T) *jsonschema.Schema {
	file := filepath.Join(moduleDir(t, t.TempDir(), "mod", "download", "-json", spdxModule), spdxSchema)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != spdxSum {
		t.Fatalf("%s is not the schema that was published: %x", file, sum)
	}
	const id = "http://spdx.org/rdf/terms/2.3"
	return compile(t, id, map[string]string{id: file})
}

// TestOutputIsValid checks against the published schemas of the standards.
func TestOutputIsValid(t *testing.T) {
	hostile := subject()
	hostile.Name = "main/\x00\"\n<é\xff"
	hostile.Distribution = "\u202e:\xfe"
	hostile.Warnings = []inventory.Warning{{Code: "malformed", Path: "a\nb\xff", Message: strings.Repeat("x", 10_000)}}
	for i, name := range hostileNames {
		for _, kind := range kinds {
			hostile.Packages = append(hostile.Packages, inventory.Installed{
				Package: inventory.Package{Type: kind, Name: name, Version: name, Distribution: name, Architecture: name, SourceName: name + "s", SourceVersion: name, Module: name, Repositories: name},
				Path:    name, Evidence: name, Owner: name, Detector: name, LayerDigest: name, Line: -i,
			})
		}
	}
	bare := sbom.Subject{Digest: subject().Digest, Name: subject().Digest, Created: subject().Created}
	plain := subject()
	plain.Packages = append(plain.Packages, everyKind()...)
	for _, test := range []struct {
		name   string
		write  func(io.Writer, sbom.Subject) error
		schema func(*testing.T) *jsonschema.Schema
	}{{"CycloneDX 1.6", sbom.CycloneDX, cycloneDXSchema}, {"SPDX 2.3", sbom.SPDX, spdx23Schema}} {
		t.Run(test.name, func(t *testing.T) {
			schema := test.schema(t)
			if err := schema.Validate(map[string]any{"$schema": 1}); err == nil {
				t.Fatal("the schema takes anything")
			}
			for name, s := range map[string]sbom.Subject{"plain": plain, "bare": bare, "hostile": hostile} {
				var out bytes.Buffer
				if err := test.write(&out, s); err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				document, err := jsonschema.UnmarshalJSON(&out)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if err := schema.Validate(document); err != nil {
					t.Errorf("%s: %v", name, fmt.Sprintf("%#v", err)[:min(3000, len(fmt.Sprintf("%#v", err)))])
				}
			}
		})
	}
}
