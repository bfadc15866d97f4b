package exchange_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/assess/exchange"
	"github.com/pratique/pratique/internal/vex"
)

var update = flag.Bool("update", false, "write the golden files anew")

// describe writes lines for people to compare.
func describe(format exchange.Format, lines []assess.ImportLine) string {
	var b strings.Builder
	fmt.Fprintln(&b, "format", format)
	for _, l := range lines {
		fmt.Fprintf(&b, "%d ", l.Number)
		r := l.Request
		switch {
		case l.Problem != "":
			fmt.Fprintf(&b, "bad %s: %s\n", r.Vulnerability, l.Problem)
			continue
		case l.Skip != "":
			fmt.Fprintf(&b, "skipped %s: %s\n", r.Vulnerability, l.Skip)
			continue
		}
		typ := r.Type
		if typ == assess.Warning {
			typ = "(warns)"
		}
		fmt.Fprintf(&b, "%s [%s] %s %q", r.Vulnerability, typ, r.Scope, r.Comment)
		for _, more := range []struct{ name, value string }{{"justification", r.Justification}, {"author", r.Author}, {"from", r.Note}, {"note", l.Note}} {
			if more.value != "" {
				fmt.Fprintf(&b, ", %s %q", more.name, more.value)
			}
		}
		if !r.Expiry.At.IsZero() {
			fmt.Fprint(&b, ", until ", r.Expiry.At.Format(time.RFC3339))
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// samples are the files that are read, with their formats.
var samples = map[string]exchange.Format{
	"ours.csv": exchange.CSV, "proget.csv": exchange.CSV, "trivyignore": exchange.TrivyLines, "trivyignore.yaml": exchange.TrivyYAML,
	"grype.yaml": exchange.Grype, "clair.yaml": exchange.Clair, "openvex.json": exchange.VEX, "cyclonedx.json": exchange.VEX,
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestRead(t *testing.T) {
	for name, want := range samples {
		t.Run(name, func(t *testing.T) {
			format, lines, err := exchange.Read(sample(t, name), "", exchange.Options{Registry: "main"})
			if err != nil || format != want {
				t.Fatalf("format %s, %v; want %s", format, err, want)
			}
			got := describe(format, lines)
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(sample(t, name+".golden")), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// TestReadInOtherEncodings has files as editors of Windows write them.
func TestReadInOtherEncodings(t *testing.T) {
	const text = "CVE-2024-1 exp:2999-01-02\r\n# what for: é\r\nCVE-2024-2\r\n"
	format, want, err := exchange.Read([]byte(text), "", exchange.Options{})
	if err != nil || len(want) != 2 {
		t.Fatal(want, err)
	}
	units := utf16.Encode([]rune("\ufeff" + text))
	var little, big []byte
	for _, u := range units {
		little, big = binary.LittleEndian.AppendUint16(little, u), binary.BigEndian.AppendUint16(big, u)
	}
	for name, content := range map[string][]byte{"UTF-8 with a mark": []byte("\ufeff" + text), "UTF-16, little-endian": little, "UTF-16, big-endian": big} {
		f, got, err := exchange.Read(content, "", exchange.Options{})
		if diff := cmp.Diff(want, got); err != nil || f != format || diff != "" {
			t.Errorf("%s: format %s, %v (-want +got):\n%s", name, f, err, diff)
		}
	}
}

func TestReadRefusesWhatIsNoFileOfTheFormat(t *testing.T) {
	for _, test := range []struct {
		name    string
		content string
		format  exchange.Format
		want    string
	}{
		{"empty", "", "", "it holds no decisions"},
		{"a word", "name=x", "", "nothing in it decides anything"},
		{"no such format", "x", "toml", "is not one of csv"},
		{"CSV without the column", "a,b\n1,2\n", exchange.CSV, "the header names no column vulnerability"},
		{"YAML that is none", "a: [", exchange.Grype, "did not find"},
		{"YAML that is a list", "- a", exchange.Grype, "not a YAML mapping"},
		{"no rules", "a: b", exchange.Grype, "no ignore rules"},
		{"rules that are no list", "ignore: yes", exchange.Grype, "ignore is not a list"},
		{"a key of another file", "ignore: []", exchange.Clair, `"ignore" is not known`},
		{"JSON that is no VEX", "{}", "", "not a VEX document"},
		{"an alias", "vulnerabilities: &a [*a]", exchange.TrivyYAML, ""},
		{"too many", strings.Repeat("CVE-2024-1\n", 20_001), exchange.TrivyLines, "more than 20000"},
		{"too large", strings.Repeat("#", exchange.MaxBytes+1), exchange.TrivyLines, "more than 8388608 bytes"},
	} {
		_, _, err := exchange.Read([]byte(test.content), test.format, exchange.Options{})
		if test.want == "" {
			continue // it must end
		}
		if !errors.Is(err, exchange.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}

func decided() []assess.Assessment {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 1000, time.UTC)
	var list []assess.Assessment
	for i, scope := range []assess.Scope{
		{Kind: assess.Everywhere}, {Kind: assess.Registry, Value: "main"}, {Kind: assess.Repository, Value: "main/team/app"},
		{Kind: assess.Image, Value: "sha256:" + strings.Repeat("a", 64)}, {Kind: assess.Package, Value: "@babel/core@7.1.0"}, {Kind: assess.Package, Value: "org.x:y"},
	} {
		list = append(list, assess.Assessment{Vulnerability: fmt.Sprintf("CVE-2024-%d", i), Type: "Ignore", Scope: scope, Author: "=ann", CreatedAt: noon,
			Comment: []string{"", "=HYPERLINK(\"x\")", "'=quoted", "a \"b\", c\nd", "+1", "@x"}[i], Justification: "vulnerable_code_not_present"})
	}
	list[1].ExpiresAt, list[2].Type = noon.AddDate(1, 0, 0), "Block"
	return list
}

func TestCSVIsReadAsItWasWritten(t *testing.T) {
	var out bytes.Buffer
	w, err := exchange.NewCSVWriter(&out)
	if err == nil {
		err = w.Write(decided())
	}
	if err != nil {
		t.Fatal(err)
	}
	for cell := range strings.SplitSeq(strings.ReplaceAll(out.String(), "\n", ","), ",") {
		if cell = strings.Trim(cell, `"`); cell != "" && strings.ContainsAny(cell[:1], "=+-@") {
			t.Errorf("a spreadsheet computes %s", cell)
		}
	}
	_, lines, err := exchange.Read(out.Bytes(), "", exchange.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range decided() {
		r := lines[i].Request
		got := assess.Assessment{Vulnerability: r.Vulnerability, Type: r.Type, Scope: r.Scope, Author: r.Author, CreatedAt: want.CreatedAt,
			Comment: r.Comment, Justification: r.Justification, ExpiresAt: r.Expiry.At}
		if diff := cmp.Diff(want, got); diff != "" || lines[i].Problem != "" {
			t.Errorf("line %d, %s (-want +got):\n%s", lines[i].Number, lines[i].Problem, diff)
		}
	}
}

func TestVEXIsReadAsItWasWritten(t *testing.T) {
	for name, writer := range map[string]func(io.Writer, string) *vex.DecisionsWriter{"openvex": vex.NewOpenVEXWriter, "cyclonedx": vex.NewCycloneDXWriter} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			w := writer(&out, "1.2.3")
			for some := range slices.Chunk(decided(), 4) {
				if err := w.Write(exchange.Decisions(some, "Ignore")); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if !json.Valid(out.Bytes()) {
				t.Fatal("no JSON")
			}
			_, lines, err := exchange.Read(out.Bytes(), "", exchange.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range decided() {
				r := lines[i].Request
				typ := map[string]string{"": "Ignore", assess.Warning: "Block"}[r.Type]
				if lines[i].Problem != "" || r.Vulnerability != want.Vulnerability || r.Scope != want.Scope && want.Scope.Kind != assess.Everywhere || typ != want.Type ||
					want.Type == "Ignore" && r.Justification != want.Justification || want.Comment != "" && r.Comment != want.Comment {
					t.Errorf("got %+v, want %+v", lines[i], want)
				}
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for name, format := range samples {
		f.Add(sample(f, name), string(format))
	}
	f.Add([]byte("a: &a [*a]\nignore: *a"), "grype")
	f.Add([]byte("vulnerability;type\n\"\n"), "")
	f.Fuzz(func(t *testing.T, content []byte, format string) {
		_, lines, err := exchange.Read(content, exchange.Format(format), exchange.Options{Registry: "main"})
		if err != nil && !errors.Is(err, exchange.ErrInvalid) {
			t.Errorf("an error of another kind: %v", err)
		}
		for _, l := range lines {
			if l.Problem == "" && l.Skip == "" && l.Request.Scope.Kind == assess.Everywhere && l.Request.Scope.Value != "" {
				t.Errorf("line %d: %+v", l.Number, l.Request.Scope)
			}
		}
	})
}
