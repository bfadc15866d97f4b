package version_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/version"
)

func TestVectors(t *testing.T) {
	for _, scheme := range []version.Scheme{version.Deb, version.APK} {
		t.Run(string(scheme), func(t *testing.T) {
			checkFile(t, scheme, filepath.Join("testdata", string(scheme)+".txt"))
		})
	}
}

// TestPublishedVectors reads vectors made by the ecosystems' own tools.
func TestPublishedVectors(t *testing.T) {
	root := os.Getenv("PRATIQUE_REAL_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	if _, err := os.Stat(filepath.Join(root, "versions")); err != nil {
		t.Skipf("no published vectors: %v", err)
	}
	checkFile(t, version.Deb, filepath.Join(root, "versions", "debian-versions.txt"))
	checkFile(t, version.Deb, filepath.Join(root, "versions", "debian-versions-generated.txt"))
	checkFile(t, version.APK, filepath.Join(root, "versions", "alpine-versions.txt"))
	checkFile(t, version.APK, filepath.Join(root, "versions", "alpine-versions-generated.txt"))
}

func checkFile(t *testing.T, scheme version.Scheme, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	checked := 0
	for lines.Scan() {
		line := lines.Text()
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "#") || len(fields) != 3 {
			continue
		}
		want, known := map[string]int{"<": -1, "=": 0, ">": 1}[fields[1]]
		if !known {
			t.Fatalf("%s: bad line %q", file, line)
		}
		for _, pair := range []struct {
			a, b string
			want int
		}{{fields[0], fields[2], want}, {fields[2], fields[0], -want}} {
			got, err := version.Compare(scheme, pair.a, pair.b)
			if got != pair.want {
				t.Errorf("%s: %s: Compare(%q, %q) = %d, want %d (%v)", filepath.Base(file), line, pair.a, pair.b, got, pair.want, err)
			}
		}
		checked++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d lines", filepath.Base(file), checked)
	if checked == 0 {
		t.Errorf("%s has no vector", file)
	}
}

func TestInvalid(t *testing.T) {
	tests := []struct {
		scheme  version.Scheme
		version string
	}{
		{version.Deb, ""}, {version.Deb, "1:"}, {version.Deb, ":1"}, {version.Deb, "a:1"}, {version.Deb, "-1:1"},
		{version.Deb, "2147483648:1"}, {version.Deb, "1-"}, {version.Deb, "1 2"}, {version.Deb, "1_2"}, {version.Deb, "1-1:2"}, {version.Deb, "-1"},
		{version.APK, ""}, {version.APK, "a"}, {version.APK, "1.2.0A"}, {version.APK, "1_foo"}, {version.APK, "1-1"}, {version.APK, "1-rx"},
		{version.APK, "1~"}, {version.APK, "1ab"}, {version.APK, "1-r1-r2"}, {version.APK, "1."},
		{"cobol", "1"},
	}
	for _, test := range tests {
		if _, err := version.Compare(test.scheme, test.version, "1"); !errors.Is(err, version.ErrInvalid) {
			t.Errorf("%s %q: error %v, want ErrInvalid", test.scheme, test.version, err)
		}
	}
}

func TestHugeVersions(t *testing.T) {
	const size = 10 << 20
	nines, eights := strings.Repeat("9", size), strings.Repeat("8", size)
	for _, scheme := range []version.Scheme{version.Deb, version.APK} {
		if c, err := version.Compare(scheme, nines, eights); c != 1 || err != nil {
			t.Errorf("%s: got %d, %v", scheme, c, err)
		}
		_, err := version.Compare(scheme, strings.Repeat("1!", size/2), "1")
		if err == nil || len(err.Error()) > 500 {
			t.Errorf("%s: want a short error, got %d bytes", scheme, len(fmt.Sprint(err)))
		}
	}
}

func TestCompareDoesNotAllocate(t *testing.T) {
	for scheme, pair := range map[version.Scheme][2]string{
		version.Deb: {"1:2.38.1-5+deb12u2", "1:2.38.1-5+deb12u3"}, version.APK: {"3.0.12_git20230801-r4", "3.0.12_git20230801-r5"},
	} {
		if n := testing.AllocsPerRun(100, func() { _, _ = version.Compare(scheme, pair[0], pair[1]) }); n > 0 {
			t.Errorf("%s: %v allocations", scheme, n)
		}
	}
}

// TestDebAgreesWithDpkg asks the real dpkg about random versions.
func TestDebAgreesWithDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skipf("no dpkg to compare with: %v", err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"0", "1", "2", "9", "10", "00", "a", "b", "A", "Z", "~", "+", ".", "-", ":", "rc", "deb12u1", " ", "_", "é", "99999999999999999999"}
	make := func() string {
		var b strings.Builder
		b.WriteString([]string{"", "1", "0", "1:"}[random.IntN(4)])
		for range random.IntN(7) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		return b.String()
	}
	// dpkg refuses some versions with an error and only warns of others.
	ask := func(a, op, b string) (yes, refused, warned bool) {
		out, err := exec.Command(dpkg, "--compare-versions", a, op, b).CombinedOutput()
		return err == nil, strings.Contains(string(out), "error:"), strings.Contains(string(out), "warning:")
	}
	for range 600 {
		a, b := make(), make()
		if random.IntN(3) == 0 { // near misses tell more
			b = a + pieces[random.IntN(len(pieces))]
		}
		if a == "" || b == "" || a[0] == '-' || b[0] == '-' {
			continue // an empty argument has a meaning of its own, a dash makes an option
		}
		got, err := version.Compare(version.Deb, a, b)
		less, refused, warned := ask(a, "lt", b)
		if refused && err == nil || err != nil && !refused && !warned {
			t.Errorf("%q, %q: dpkg refuses: %v, warns: %v, we say %v", a, b, refused, warned, err)
		}
		if err != nil {
			continue
		}
		want := 1
		if less {
			want = -1
		} else if equal, _, _ := ask(a, "eq", b); equal {
			want = 0
		}
		if got != want {
			t.Errorf("Compare(%q, %q) = %d, dpkg says %d", a, b, got, want)
		}
	}
}

func FuzzCompare(f *testing.F) {
	for _, seed := range [][3]string{
		{"1.0-1", "1.0~rc1-1", "1:0"}, {"1.2.3_rc1-r0", "1.2.3-r1", "1.2.3a"}, {"", "~", "-"}, {"1.05", "1.5", "1.0"}, {"1_p1", "1~ab", "1-r"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for _, scheme := range []version.Scheme{version.Deb, version.APK} {
			ab, errAB := version.Compare(scheme, a, b)
			ba, _ := version.Compare(scheme, b, a)
			if ab != -ba {
				t.Errorf("%s: %q %q: %d, but the other way round %d", scheme, a, b, ab, ba)
			}
			if self, _ := version.Compare(scheme, a, a); self != 0 {
				t.Errorf("%s: %q is not equal to itself", scheme, a)
			}
			bc, errBC := version.Compare(scheme, b, c)
			ac, _ := version.Compare(scheme, a, c)
			if errAB == nil && errBC == nil && ab <= 0 && bc <= 0 && ac > 0 {
				t.Errorf("%s: %q <= %q <= %q, but %q > %q", scheme, a, b, c, a, c)
			}
		}
	})
}

func BenchmarkCompare(b *testing.B) {
	for scheme, pair := range map[version.Scheme][2]string{
		version.Deb: {"1:2.38.1-5+deb12u2", "1:2.38.1-5+deb12u3"}, version.APK: {"3.0.12_git20230801-r4", "3.0.12_git20230801-r5"},
	} {
		b.Run(string(scheme), func(b *testing.B) {
			for b.Loop() {
				_, _ = version.Compare(scheme, pair[0], pair[1])
			}
		})
	}
}
