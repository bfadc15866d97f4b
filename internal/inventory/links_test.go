package inventory

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func linksOf(pairs ...string) *links {
	l := new(links)
	for i := 0; i < len(pairs); i += 2 {
		l.set(pairs[i], pairs[i+1])
	}
	return l
}

func TestLinks(t *testing.T) {
	l := linksOf("lib", "usr/lib", "var/lib/rpm", "../../usr/lib/sysimage/rpm", "x", "/var", "y", "x/lib/dpkg", "self", "self", "grow", "grow/a", "a", "b", "b", "a",
		"out", "../../../etc", "root", "/", "dot", ".", "usr/lib/python3", "./python3.11/", "deep", "x/../y/../lib")
	for p, want := range map[string]string{
		"lib":                      "lib",
		"lib/apk/db":               "usr/lib/apk/db",
		"lib/python3":              "usr/lib/python3",
		"lib/python3/a":            "usr/lib/python3.11/a",
		"var/lib/rpm/Packages":     "usr/lib/sysimage/rpm/Packages",
		"var/lib/rpmx":             "var/lib/rpmx",
		"x/lib/dpkg/status":        "var/lib/dpkg/status",
		"y/status":                 "var/lib/dpkg/status",
		"self/x":                   "self/x",
		"grow/x":                   "grow/x",
		"a/x":                      "a/x",
		"out/passwd":               "etc/passwd",
		"root/etc/x":               "etc/x",
		"root/x":                   "x",
		"dot/dot/lib/x":            "usr/lib/x",
		"deep/x":                   "var/lib/lib/x", // .. goes up from where the link led
		".":                        ".",
		"usr/lib":                  "usr/lib",
		"usr/lib/python3.11/lib":   "usr/lib/python3.11/lib",
		strings.Repeat("q/", 2000): strings.Repeat("q/", 2000),
		"lib/" + strings.Repeat("q/", 2046) + "q": "lib/" + strings.Repeat("q/", 2046) + "q",
	} {
		if got := l.resolve(p); got != want {
			t.Errorf("%.100s leads to %.100s, want %.100s", p, got, want)
		}
	}
	if got := l.follow("lib/python3"); got != "usr/lib/python3.11" {
		t.Errorf("followed to %s", got)
	}
}

func TestLinksChange(t *testing.T) {
	l := linksOf("a", "x", "a/b", "y", "a/b/c", "z", "d", "x", "d/e/f", "y")
	check := func(want ...string) {
		t.Helper()
		got := make(map[string]bool)
		for p := range l.all {
			got[p] = true
		}
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) || l.count != len(want) {
			t.Errorf("%d links, %v, want %v", l.count, names, want)
		}
	}
	check("a", "a/b", "a/b/c", "d", "d/e/f")
	l.remove("a/b", false)
	check("a", "a/b/c", "d", "d/e/f")
	l.remove("a", true)
	check("d", "d/e/f")
	l.remove("d/e", false)
	l.remove("nowhere/at/all", true)
	l.set("d", "elsewhere")
	check("d", "d/e/f")
	if l.at("d") != "elsewhere" || l.at("d/e") != "" || l.at("q") != "" {
		t.Error("links are at other places")
	}
	l.clear("d")
	check("d")
	l.clear(".")
	check()
	if len(l.root.below) != 0 {
		t.Error("something is left")
	}
}

// TestLinksAsTheKernel compares with what Linux says of real links.
func TestLinksAsTheKernel(t *testing.T) {
	root := t.TempDir()
	l := new(links)
	for i := range 6 {
		for j := range 4 {
			if err := os.MkdirAll(filepath.Join(root, fmt.Sprintf("d%d/e%d", i, j)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	for p, target := range map[string]string{
		"d0/l": "../d1", "d1/m": "e0", "d1/e0/n": "../../d2/e1", "d2/o": "../d0/l/m/n/..", "d3/p": "./../d2/o/./e2", "q": "d3/p/..", "d4/r": "r", "d4/s": "../d4/t", "d4/t": "s", "d5/u": "../nowhere",
	} {
		if err := os.Symlink(target, filepath.Join(root, p)); err != nil {
			t.Fatal(err)
		}
		l.set(p, target)
	}
	for _, p := range []string{"d0/l", "d0/l/m", "d0/l/m/n", "d2/o", "d2/o/e1", "d3/p", "q", "q/e3", "d4/r", "d4/s", "d5/u", "d0/e1"} {
		want, err := filepath.EvalSymlinks(filepath.Join(root, p))
		if got := l.follow(p); err == nil && filepath.Join(root, got) != want || err != nil && got != p && got != "nowhere" {
			t.Errorf("%s leads to %s, want %s, %v", p, got, want, err)
		}
	}
}
