package version_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/version"
)

var update = flag.Bool("update", false, "write testdata/keys.golden anew")

// checkKeys holds Key against Compare. It reports whether both have keys.
func checkKeys(t *testing.T, scheme version.Scheme, a, b string) bool {
	t.Helper()
	ka, errA := version.Key(scheme, a)
	kb, errB := version.Key(scheme, b)
	for v, err := range map[string]error{a: errA, b: errB} {
		_, invalid := version.Compare(scheme, v, v)
		if errors.Is(invalid, version.ErrInvalid) != errors.Is(err, version.ErrInvalid) {
			t.Errorf("%s: %.100q: Compare says %v, Key says %v", scheme, v, invalid, err)
		}
		if err != nil && invalid == nil && (!errors.Is(err, version.ErrNoKey) || scheme != version.Maven) {
			t.Errorf("%s: %.100q has no key: %v", scheme, v, err)
		}
	}
	if errA != nil || errB != nil {
		return false
	}
	order, err := version.Compare(scheme, a, b)
	if got := bytes.Compare(ka, kb); got != order || err != nil {
		t.Errorf("%s: Compare(%.100q, %.100q) = %d, %v, but their keys have %d:\n%.100x\n%.100x", scheme, a, b, order, err, got, ka, kb)
	}
	return true
}

// TestKeys holds keys against Compare on random pairs, and sorts by both.
func TestKeys(t *testing.T) {
	for _, scheme := range schemes {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			pairs := corpora[scheme].pairs(rand.New(rand.NewPCG(3, 4)), 10_000)
			compared := 0
			type keyed struct {
				version string
				key     []byte
			}
			var all []keyed
			for _, pair := range pairs {
				if !checkKeys(t, scheme, pair[0], pair[1]) {
					continue
				}
				compared++
				key, err := version.Key(scheme, pair[0])
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, keyed{pair[0], key})
			}
			t.Logf("%d of %d pairs had keys", compared, len(pairs))
			if compared < len(pairs)/8 {
				t.Errorf("only %d of %d pairs had keys: the corpus tells little", compared, len(pairs))
			}
			// Neighbours among all are nearer to each other than pairs are.
			slices.SortFunc(all, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
			for i := 1; i < len(all); i++ {
				a, b := all[i-1], all[i]
				if c, err := version.Compare(scheme, a.version, b.version); err != nil || c != bytes.Compare(a.key, b.key) {
					t.Errorf("%q and %q are neighbours by their keys, but Compare = %d, %v", a.version, b.version, c, err)
				}
			}
		})
	}
}

// TestMavenRunsInCircles shows why some versions have no key.
func TestMavenRunsInCircles(t *testing.T) {
	for _, circle := range [][]string{
		{"1-sp", "1", "1--alpha"},
		{"1.foo.2", "1", "1-alpha"},
		{"1-1", "1", "1.0.beta-2"},
	} {
		keys := 0
		for i, v := range circle {
			next := circle[(i+1)%len(circle)]
			if c, err := version.Compare(version.Maven, v, next); c != 1 || err != nil {
				t.Errorf("Compare(%q, %q) = %d, %v, want 1", v, next, c, err)
			}
			switch _, err := version.Key(version.Maven, v); {
			case err == nil:
				keys++
			case !errors.Is(err, version.ErrNoKey):
				t.Error(err)
			}
		}
		if keys != 2 {
			t.Errorf("%q: %d versions have keys, want all but one", circle, keys)
		}
	}
}

// TestKeysStay holds the keys of the vectors against those that were stored once.
func TestKeysStay(t *testing.T) {
	var lines []string
	for _, scheme := range schemes {
		for _, v := range readVectors(t, filepath.Join("testdata", string(scheme)+".txt")) {
			key, err := version.Key(scheme, v.a)
			text := hex.EncodeToString(key)
			if err != nil {
				text = "none"
			}
			lines = append(lines, string(scheme)+" "+v.a+" "+text+"\n")
		}
	}
	got := strings.Join(lines, "")
	golden := filepath.Join("testdata", "keys.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	wanted := strings.SplitAfter(string(want), "\n")
	for i, line := range lines {
		if i >= len(wanted) || line != wanted[i] {
			t.Fatalf("keys have changed: raise KeyFormat, then run with -update\ngot  %swant %s", line, append(wanted, "nothing\n")[min(i, len(wanted))])
		}
	}
	t.Fatal("vectors have gone; run with -update")
}

// TestKeysAreShort holds the keys of usual versions against the room planned for them.
func TestKeysAreShort(t *testing.T) {
	for scheme, pair := range usual {
		key, err := version.Key(scheme, pair[0])
		if err != nil || len(key) >= 40 {
			t.Errorf("%s %q: %d bytes, %v", scheme, pair[0], len(key), err)
		}
	}
}
