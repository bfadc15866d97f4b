package main_test

import (
	"regexp"
	"strings"
	"testing"
)

// TestEveryFeed updates all feeds by their names, twice each, from a mirror that
// has none of them: each one says so, and nothing is worse than that.
func TestEveryFeed(t *testing.T) {
	data := t.TempDir()
	said, status := call(t, nil, "feeds", "list", "--data", data)
	if status != 0 {
		t.Fatalf("list: %d\n%s", status, said)
	}
	var names []string
	for line := range strings.Lines(said) {
		if name, _, _ := strings.Cut(line, " "); regexp.MustCompile(`^[a-z-]+$`).MatchString(name) {
			names = append(names, name, name)
		}
	}
	if len(names) < 2*20 {
		t.Fatalf("only %q", names)
	}
	said, status = call(t, nil, append([]string{"feeds", "update", "--data", data, "--feeds-mirror", t.TempDir()}, names...)...)
	if status != 1 || strings.Contains(said, "panic") {
		t.Errorf("update: %d\n%s", status, said)
	}
	for _, name := range names {
		if !strings.Contains(said, "feed "+name+": ") {
			t.Errorf("%s is not named in\n%s", name, said)
		}
	}
}
