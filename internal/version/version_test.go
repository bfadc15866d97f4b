package version_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/realdata"
	"github.com/pratique/pratique/internal/version"
)

func TestVectors(t *testing.T) {
	for _, scheme := range schemes {
		t.Run(string(scheme), func(t *testing.T) {
			file := filepath.Join("testdata", string(scheme)+".txt")
			for _, v := range readVectors(t, file) {
				v.check(t, scheme)
				for _, text := range []string{v.a, v.b} {
					if _, err := version.Compare(scheme, text, text); err != nil {
						t.Errorf("%s: %v", file, err)
					}
				}
			}
		})
	}
}

// publishedVectors are those of google/osv-scalibr, by file.
var publishedVectors = []struct {
	file    string
	schemes []version.Scheme
}{
	{"debian-versions.txt", []version.Scheme{version.Deb}},
	{"debian-versions-generated.txt", []version.Scheme{version.Deb}},
	{"alpine-versions.txt", []version.Scheme{version.APK}},
	{"alpine-versions-generated.txt", []version.Scheme{version.APK}},
	{"redhat-versions.txt", []version.Scheme{version.RPM}},
	{"semver-versions.txt", []version.Scheme{version.NPM, version.Golang, version.Cargo, version.Hex}},
	{"pypi-versions.txt", []version.Scheme{version.PyPI}},
	{"pypi-versions-generated.txt", []version.Scheme{version.PyPI}},
	{"maven-versions.txt", []version.Scheme{version.Maven}},
	{"maven-versions-generated.txt", []version.Scheme{version.Maven}},
	{"rubygems-versions.txt", []version.Scheme{version.Gem}},
	{"rubygems-versions-generated.txt", []version.Scheme{version.Gem}},
	{"nuget-versions.txt", []version.Scheme{version.NuGet}},
	{"packagist-versions.txt", []version.Scheme{version.Composer}},
	{"packagist-versions-generated.txt", []version.Scheme{version.Composer}},
	{"pub-versions.txt", []version.Scheme{version.Pub}},
}

// otherFiles are published vectors of ecosystems that no scheme is for.
var otherFiles = []string{"cran-versions.txt", "cran-versions-generated.txt", "hackage-versions.txt"}

// contradicted are lines that the ecosystem's own program of today contradicts.
// TestReferences asks those programs; here are the orders that they give.
var contradicted = map[version.Scheme]map[string]int{
	// Maven 3.8.7 and later read a word at the end, and one before a number, as
	// if a dash came before it (MNG-7644). These lines are older.
	version.Maven: {
		"1.0.0-RC16 < 1.0.0.RC8-beta":                   1,
		"1.0.0-gradle-rework-beta3 < 1.0.0.RC7-3":       1,
		"2.9.0-1 < 2.9.0.RC1":                           1,
		"6.1.12.rc5 < 6.1.12rc1":                        1,
		"1.1.31.sec10 < 1.1.31_noneautotype":            1,
		"1.1.34.sec10 < 1.1.34_noneautotype":            1,
		"1.1.46.sec10 < 1.1.46_noneautotype":            1,
		"1.2.8.sec10_noneautotype < 1.2.8_noneautotype": 1,
		"1.2.31.sec10 < 1.2.31_noneautotype":            1,
		"1.2.48.sec10 < 1.2.48_noneautotype":            1,
		"1.2.50.sec10 < 1.2.50_noneautotype":            1,
		"1.2.54.sec10 < 1.2.54_noneautotype":            1,
		"1.2.57.sec10 < 1.2.57_noneautotype":            1,
		"1.2.60.sec10 < 1.2.60_noneautotype":            1,
		"1.2.67.sec10 < 1.2.67_noneautotype":            1,
		"1.0.0rc0 < 1.0.beta8":                          1,
		"1.5.9.RC1 < 1.5.9-RC0":                         1,
		"1.1.0-01-glassfish < 1.1.0.Beta1":              1,
		// Maven's documentation says so, no Maven since 3.6 does.
		"1-1 = 1-ga-1": 1,
	},
	// Composer normalises before it asks PHP's version_compare. These lines were
	// made by the latter alone, to which 1.0 comes before 1.0.0-beta, and BETA is
	// no word.
	version.Composer: {
		"1.0.0 > 1.0":                    0,
		"v3.0 < v3.0.0-beta":             1,
		"v3.4 < v3.4.0-alpha":            1,
		"v4.4 < v4.4.0-beta":             1,
		"v6.5 < v6.5.0-beta-0":           1,
		"v6.6 < v6.6.0-beta":             1,
		"v4-beta4 < v4.0-alpha":          1,
		"5.1.0-stable < 5.1.0-beta2":     1,
		"v1.9.0-ALPHA.1 = v1.9.0-BETA.1": -1,
		"v1.9.0-BETA.1 < v1.9.0-ALPHA.2": 1,
		"v1.9.0-ALPHA.2 = v1.9.0-BETA.2": -1,
	},
}

// TestPublishedVectors reads vectors that were made by the ecosystems' own tools.
func TestPublishedVectors(t *testing.T) {
	root := filepath.Join(realdata.Root(t), "versions")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no published vectors: %v", err)
	}
	known := otherFiles
	left := map[string]bool{}
	for scheme, lines := range contradicted {
		for line := range lines {
			left[string(scheme)+" "+line] = true
		}
	}
	for _, published := range publishedVectors {
		known = append(known, published.file)
		vectors := readVectors(t, filepath.Join(root, published.file))
		t.Logf("%s: %d lines, %v", published.file, len(vectors), published.schemes)
		for _, v := range vectors {
			for _, scheme := range published.schemes {
				if want, ok := contradicted[scheme][v.line]; ok {
					v.want = want
					delete(left, string(scheme)+" "+v.line)
				}
				v.check(t, scheme)
			}
		}
	}
	for line := range left {
		t.Errorf("no published vector says %s", line)
	}
	files, err := filepath.Glob(filepath.Join(root, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(known) {
		t.Errorf("%d files in %s, but %d are known: %v", len(files), root, len(known), files)
	}
}

// vector is a comparison that a file has.
type vector struct {
	file, line, a, b string
	want             int
}

func readVectors(t *testing.T, file string) (vectors []vector) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			t.Fatalf("%s: bad line %q", file, line)
		}
		want, known := map[string]int{"<": -1, "=": 0, ">": 1}[fields[1]]
		if !known || len(fields) > 3 {
			t.Fatalf("%s: bad line %q", file, line)
		}
		vectors = append(vectors, vector{filepath.Base(file), line, fields[0], fields[2], want})
	}
	if len(vectors) == 0 {
		t.Errorf("%s has no vector", file)
	}
	return vectors
}

func (v vector) check(t *testing.T, scheme version.Scheme) {
	t.Helper()
	if got, err := version.Compare(scheme, v.a, v.b); got != v.want {
		t.Errorf("%s: %s: %s order %d, want %d (%v)", v.file, v.line, scheme, got, v.want, err)
	}
	if got, err := version.Compare(scheme, v.b, v.a); got != -v.want {
		t.Errorf("%s: %s: %s order the other way round %d, want %d (%v)", v.file, v.line, scheme, got, -v.want, err)
	}
	checkKeys(t, scheme, v.a, v.b)
}

func TestInvalid(t *testing.T) {
	tests := map[version.Scheme][]string{
		version.Deb: {"", "1:", ":1", "a:1", "-1:1", "2147483648:1", "1-", "1 2", "1_2", "1-1:2", "-1"},
		version.APK: {"", "a", "1.2.0A", "1_foo", "1-1", "1-rx", "1~", "1ab", "1-r1-r2", "1."},
		version.RPM: {"", "1:", "-1", "1-", "1-2-3", "1 2", "%{version}", "a:1", "1.α", "+_", "~"},
		version.NPM: {
			"", "1", "1.2", "1.2.3.4", "1.2.x", "latest", "1.2.3-a..b", "1.2.3+", "1.2.3-a_b", "9007199254740992.0.0",
			"1.0.0-" + strings.Repeat("a", 256),
		},
		version.Golang:   {"", "v", "go", "v01.2.3", "1.2.3.4", "1.2.3-01", "v1-rc1", "v1.22rc1", "1.22rc", "1.22rc01", "go1.22.0-rc.1", "devel", "(devel)"},
		version.Cargo:    {"", "1", "1.2", "v1.2.3", "1.2.3-01", "01.2.3", "1.2.3 ", "18446744073709551616.0.0", "*"},
		version.PyPI:     {"", "a", "1.0-foo", "1.0.x", "1..0", "1.0+", "1.0+a..b", "1!", "!1", "1.0a1b2", "1.0.post1.post2", "2004d", "1.0+a b", "unknown"},
		version.Maven:    {"", "${project.version}", "[1.0,2.0)", "1.0 ", "1/2", "1.0\n", "1.é", "1:2"},
		version.Gem:      {"", " ", "a", "1.", "1..2", "1.0-", "1.0_1", "1.0.a-b.", "1beta", "~> 1.0"},
		version.NuGet:    {"", "a", "1.", "1.2.3.4.5", "1.0-", "1.0-01", "1.0-a..b", "1.0+", "2147483648", "v1.0", "1.0-a_b", "$(Version)"},
		version.Composer: {"", "foo", "dev-main", "master", "1.2.3.4.5", "1.0-foo", "x-dev", "1.0-5", "12345678901234567890123", "1.0 as", "self.version", "1.y-dev"},
		version.Hex:      {"", "1", "1.2", "v1.2.3", "1.2.3-01", "1.2.3-a..b", "1.2.3+", "01.2.3"},
		version.Pub:      {"", "1", "1.2", "v1.2.3", "1.2.3-a..b", "9223372036854775808.0.0", "1.0.0-0xffffffffffffffff", "any"},
		"cobol":          {"1"},
	}
	for scheme, versions := range tests {
		for _, v := range versions {
			if _, err := version.Compare(scheme, v, "1.0.0"); !errors.Is(err, version.ErrInvalid) {
				t.Errorf("%s %q: error %v, want ErrInvalid", scheme, v, err)
			}
			if _, err := version.Compare(scheme, "1.0.0", v); !errors.Is(err, version.ErrInvalid) {
				t.Errorf("%s %q as the second: error %v, want ErrInvalid", scheme, v, err)
			}
			if _, err := version.Key(scheme, v); !errors.Is(err, version.ErrInvalid) {
				t.Errorf("%s %q: error of the key %v, want ErrInvalid", scheme, v, err)
			}
		}
	}
}

// TestHugeVersions would not end if anything took more than linear time.
func TestHugeVersions(t *testing.T) {
	const size = 10 << 20
	nines, eights := strings.Repeat("9", size), strings.Repeat("8", size)
	// Where the scheme bounds a number, one that it does not bound.
	numbers := map[version.Scheme]string{
		version.NPM: "", version.Golang: ".0.0", version.Cargo: "0.0.0-", version.Hex: ".0.0", version.NuGet: "", version.Composer: "1.",
		version.Pub: "0.0.0-", version.Maven: "", version.Deb: "", version.APK: "", version.RPM: "", version.PyPI: "", version.Gem: "",
	}
	for _, scheme := range schemes {
		a, b := nines, eights
		if part := numbers[scheme]; strings.HasPrefix(part, ".") {
			a, b = a+part, b+part
		} else {
			a, b = part+a, part+b
		}
		bounded := scheme == version.NPM || scheme == version.NuGet
		if c, err := version.Compare(scheme, a, b); c != 1 || (err != nil) != bounded {
			t.Errorf("%s: got %d, %v", scheme, c, err)
		}
		_, err := version.Compare(scheme, strings.Repeat("1\x01", size/2), "1")
		if err == nil || len(err.Error()) > 500 {
			t.Errorf("%s: want a short error, got %d bytes", scheme, len(fmt.Sprint(err)))
		}
	}
}

// TestLongVersions has many small parts, and much to look ahead for.
func TestLongVersions(t *testing.T) {
	const times = 20_000
	for _, scheme := range schemes {
		for _, start := range []string{"1", "1.0.0-a"} {
			for _, part := range []string{".0", ".1", "-", "-1", ".a", "0.a", ".0.0-0", "a", "a1", "~", "+", ".", "_rc", "--a", "^", "~a.", "\u00e9"} {
				a := start + strings.Repeat(part, times)
				for _, b := range []string{a + ".1", a + "-alpha"} {
					_, _ = version.Compare(scheme, a, b)
				}
				_, _ = version.Key(scheme, a)
			}
		}
	}
}

func TestCompareDoesNotAllocate(t *testing.T) {
	for scheme, pair := range usual {
		if n := testing.AllocsPerRun(100, func() { _, _ = version.Compare(scheme, pair[0], pair[1]) }); n > 0 {
			t.Errorf("%s: %v allocations", scheme, n)
		}
	}
	if len(usual) != len(schemes) {
		t.Errorf("%d schemes of %d", len(usual), len(schemes))
	}
}
