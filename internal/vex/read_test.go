package vex_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/vex"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func document(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestRead(t *testing.T) {
	for _, name := range []string{"openvex-0.2.0", "openvex-0.0.1", "csaf", "cyclonedx", "in-toto"} {
		t.Run(name, func(t *testing.T) {
			d, err := vex.Read(bytes.NewReader(document(t, name)), vex.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(d, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden", append(text, '\n'))
		})
	}
}

// envelope wraps a statement as DSSE does.
func envelope(statement []byte) []byte {
	text, err := json.Marshal(map[string]any{"payloadType": "application/vnd.in-toto+json", "payload": base64.StdEncoding.EncodeToString(statement), "signatures": []any{}})
	if err != nil {
		panic(err)
	}
	return text
}

func TestEnvelopesAreOpened(t *testing.T) {
	statement := document(t, "in-toto")
	want, err := vex.Read(bytes.NewReader(statement), vex.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	bundle := fmt.Appendf(nil, `{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": %s}`, envelope(statement))
	for name, content := range map[string][]byte{"DSSE": envelope(statement), "Sigstore": bundle, "byte order mark": append([]byte("\xef\xbb\xbf"), statement...)} {
		got, err := vex.Read(bytes.NewReader(content), vex.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// nested are envelopes in each other.
func nested(n int) []byte {
	content := []byte(`{"@context": "https://openvex.dev/ns"}`)
	for range n {
		content = envelope(content)
	}
	return content
}

func TestReadRefuses(t *testing.T) {
	small := vex.Limits{Bytes: 4000, Statements: 2, Products: 3}
	statements := func(n, products int) string {
		one := `{"vulnerability": "CVE-1", "status": "fixed", "products": [` + strings.TrimSuffix(strings.Repeat(`"p",`, products), ",") + `]}`
		return `{"@context": "https://openvex.dev/ns", "statements": [` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}`
	}
	for _, test := range []struct {
		name, content string
		notVEX        bool
		want          string
	}{
		{"nothing", "", true, "unexpected end of JSON input"},
		{"a list", "[]", true, "not a VEX document"},
		{"an SBOM", `{"bomFormat": "CycloneDX", "components": [{"bom-ref": "a"}], "vulnerabilities": [{"id": "CVE-1"}]}`, true, "without analyses"},
		{"another context", `{"@context": "https://openvex.dev/nsx"}`, true, "not a VEX document"},
		{"another predicate", `{"predicateType": "https://slsa.dev/provenance/v1", "predicate": {}}`, true, "slsa.dev"},
		{"another CSAF", `{"document": {"category": "csaf_base"}}`, true, "csaf_base"},
		{"envelopes in envelopes", string(nested(5)), true, "envelopes in envelopes"},
		{"a payload that is none", `{"payloadType": "x", "payload": "!"}`, false, "payload"},
		{"too many bytes", strings.Repeat(" ", 4001), false, "more than 4000 bytes"},
		{"too many statements", statements(3, 0), false, "more than 2 statements"},
		{"too many products", statements(1, 4), false, "more than 3 products"},
		{"statements that are no list", `{"@context": "https://openvex.dev/ns", "statements": 7}`, false, "OpenVEX"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := vex.Read(strings.NewReader(test.content), small)
			if err == nil || errors.Is(err, vex.ErrNotVEX) != test.notVEX || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q, not VEX: %v", err, test.want, test.notVEX)
			}
		})
	}
}

// TestSmallDocumentsStayAffordable: relations and groups of CSAF multiply.
func TestSmallDocumentsStayAffordable(t *testing.T) {
	double := `{"product_reference": "A", "relates_to_product_reference": "A", "full_product_name": {"product_id": "A"}},`
	list := func(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	const head = `{"document": {"category": "csaf_vex"}, "product_tree": {"full_product_names": [{"product_id": "A", "product_identification_helper": {"purl": "pkg:apk/a/a"}}]`
	for name, content := range map[string]string{
		"relationships": head + `, "relationships": [` + strings.TrimSuffix(strings.Repeat(double, 100), ",") + `]}}`,
		"groups": head + `, "product_groups": [{"group_id": "G", "product_ids": [` + list(`"A"`, 10_000) + `]}]},
			"vulnerabilities": [{"cve": "CVE-1", "product_status": {"fixed": ["A"]}, "flags": [` + list(`{"label": "x", "group_ids": ["G"]}`, 1000) + `]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := vex.Read(strings.NewReader(content), vex.Limits{})
			if err == nil || !strings.Contains(err.Error(), "too many others") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"openvex-0.2.0", "openvex-0.0.1", "csaf", "cyclonedx", "in-toto"} {
		f.Add(document(f, name))
	}
	f.Add(envelope(document(f, "in-toto")))
	f.Add(nested(5))
	limits := vex.Limits{Bytes: 1 << 16, Statements: 1000, Products: 2000}
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := vex.Read(bytes.NewReader(content), limits)
		if err != nil {
			return
		}
		if len(d.Statements) > limits.Statements {
			t.Errorf("%d statements", len(d.Statements))
		}
		products := 0
		for _, s := range d.Statements {
			products += len(s.Products)
			if s.Vulnerability == "" || s.Status == "" || len(s.Vulnerability) > 200 {
				t.Errorf("statement %+v", s)
			}
			text, err := json.Marshal(s)
			if err != nil || bytes.Contains(text, []byte(`\u0000`)) && !bytes.Contains(text, []byte(`\\u0000`)) {
				t.Errorf("cannot be stored: %v %s", err, text)
			}
		}
		if products > limits.Products {
			t.Errorf("%d products", products)
		}
	})
}
