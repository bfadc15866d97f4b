package config_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/config"
)

// Whatever key of Clair a file has, something is said of it, and the import does
// not fail for a value of its kind.
func TestImportKnowsEveryKeyOfClair(t *testing.T) {
	for _, name := range []string{"clair2-keys.txt", "clair4-keys.txt"} {
		f, err := os.Open(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines, n := bufio.NewScanner(f), 0
		for lines.Scan() {
			path, value, ok := strings.Cut(lines.Text(), ": ")
			if strings.HasPrefix(lines.Text(), "#") || !ok {
				continue
			}
			n++
			var file strings.Builder
			parts := strings.Split(path, ".")
			for i, part := range parts {
				file.WriteString(strings.Repeat("  ", i) + part + ":")
				if i < len(parts)-1 {
					file.WriteString("\n")
				}
			}
			file.WriteString(" " + value + "\n")
			_, keys, err := config.ImportClair([]byte(file.String()))
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if len(keys) == 0 {
				t.Errorf("%s: nothing is said", path)
			}
			for _, k := range keys {
				if k.Note == "" || strings.Contains(k.Note, "known here") {
					t.Errorf("%s: %+v", path, k)
				}
			}
		}
		if err := lines.Err(); err != nil || n < 25 {
			t.Errorf("%s: %d keys, %v", name, n, err)
		}
	}
}
