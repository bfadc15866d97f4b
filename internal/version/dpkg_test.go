package version_test

import (
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/version"
)

// TestDebAgreesWithDpkg asks the real dpkg about random versions. TestReferences
// has many more judged by dpkg's Perl library, which does not tell what it
// refuses from what it warns of.
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
