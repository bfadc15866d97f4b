package internal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pratique/pratique/internal/config"
)

// There is no container engine in the tests: what they can tell is that the files
// of deploy/ name what there is.
func TestDeployment(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("..", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	environment := []string{"PRATIQUE_CONFIG"} // names the file, and is no setting in it
	for _, s := range config.Settings() {
		environment = append(environment, s.Env)
	}
	for _, name := range []string{"Dockerfile", "compose.yaml", "compose.postgres.yaml"} {
		for _, found := range regexp.MustCompile(`PRATIQUE_[A-Z_]+`).FindAllString(read(name), -1) {
			if !slices.Contains(environment, found) {
				t.Errorf("%s: there is no setting %s", name, found)
			}
		}
	}
	for _, name := range []string{"compose.yaml", "compose.postgres.yaml"} {
		var file struct {
			Services map[string]struct {
				Volumes []string
			}
			Volumes map[string]any
		}
		if err := yaml.Unmarshal([]byte(read(name)), &file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for service, s := range file.Services {
			for _, v := range s.Volumes {
				source, _, _ := strings.Cut(v, ":")
				if _, named := file.Volumes[source]; !named && !strings.HasPrefix(source, "./") {
					t.Errorf("%s: %s: there is no volume %s", name, service, source)
				}
			}
		}
	}
	dockerfile := read("Dockerfile")
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`)
	module, err := os.ReadFile(filepath.Join("..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if found := version.FindStringSubmatch(string(module)); found == nil || !strings.Contains(dockerfile, "FROM golang:"+found[1]+"-") {
		t.Errorf("the Dockerfile builds with another Go than go.mod says, %v", found)
	}
	for _, copied := range regexp.MustCompile(`(?m)^COPY ([^-\n]+) \S+$`).FindAllStringSubmatch(dockerfile, -1) {
		for _, source := range strings.Fields(copied[1]) {
			if _, err := os.Stat(filepath.Join("..", source)); err != nil {
				t.Errorf("the Dockerfile copies what is not there: %v", err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join("..", "deploy", "config", "pratique.yaml")); err != nil {
		t.Error(err)
	}
}
