package target

import (
	"os"
	"testing"
)

// The kernel's file systems are no part of a root, unless they are asked for.
func TestPseudo(t *testing.T) {
	top, err := os.Stat("/")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/proc": true, "/sys": true, "/usr": false, t.TempDir(): false} {
		root, err := os.OpenRoot(path)
		if err != nil {
			t.Skip(err)
		}
		defer root.Close()
		info, err := root.Stat(".")
		if err != nil {
			t.Fatal(err)
		}
		if got := pseudo(root, path, info, top); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
