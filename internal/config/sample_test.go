package config_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pratique/pratique/internal/config"
)

var update = flag.Bool("update", false, "write the documentation that is made from the settings")

const docs = "../../docs/"

// current compares a file with what it should say, or writes it.
func current(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not up to date; run: go test ./internal/config -update\n(-want +got):\n%s", path, diff)
	}
}

func TestSampleIsCurrent(t *testing.T) {
	current(t, docs+"pratique.example.yaml", config.Sample())
}

func TestReferenceIsCurrent(t *testing.T) {
	const path, begin, end = docs + "configuration.md", "<!-- settings -->\n", "<!-- /settings -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no part between %q and %q", path, begin, end)
	}
	current(t, path, before+begin+config.Table()+"\n"+end+after)
}

// TestSampleHoldsTheDefaults loads the sample as it is, and with every setting
// in force.
func TestSampleHoldsTheDefaults(t *testing.T) {
	want := defaults(t)
	commented := regexp.MustCompile(`(?m)^#([a-z0-9-]+: )`)
	sample := config.Sample()
	if got, want := len(commented.FindAllString(sample, -1)), len(config.Settings()); got != want {
		t.Errorf("the sample has %d settings, want %d", got, want)
	}
	for name, text := range map[string]string{
		"as it is":     sample,
		"all in force": commented.ReplaceAllString(sample, "$1"),
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, text)
			c, err := parse(t, []string{"serve", "--config=pratique.yaml"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, c.Serve.Serve, sameSettings, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range config.Settings() {
		if want := "PRATIQUE_" + strings.ReplaceAll(strings.ToUpper(s.Name), "-", "_"); s.Env != want {
			t.Errorf("%s: environment variable %q, want %q", s.Name, s.Env, want)
		}
		if seen[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[s.Name] = true
		if s.Help == "" || s.Section == "" || !strings.HasSuffix(s.Help, ".") {
			t.Errorf("%s: help %q in section %q", s.Name, s.Help, s.Section)
		}
		if len(config.UnknownEnvironment([]string{s.Env + "=x"})) > 0 {
			t.Errorf("%s is called unknown", s.Env)
		}
		if strings.HasPrefix(s.Env, "PRATIQUE_PORT") || strings.HasPrefix(s.Env, "PRATIQUE_SERVICE") {
			t.Errorf("%s: Kubernetes sets such variables for a service named pratique", s.Env)
		}
	}
}
