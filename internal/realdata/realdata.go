// Package realdata finds the real images, feeds and databases that tests read
// where they are there. They are no part of the project.
package realdata

import (
	"os"
	"path/filepath"
	"testing"
)

// Root is the folder of all: $PRATIQUE_REAL_DATA, or the folder shared beside
// the project's own. It need not exist.
func Root(t testing.TB) string {
	t.Helper()
	root := os.Getenv("PRATIQUE_REAL_DATA")
	if root == "" {
		root = filepath.Join(project(t), "..", "shared")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// Path returns where a file or a folder of it is. The test is skipped where it
// is not there.
func Path(t testing.TB, names ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{Root(t)}, names...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no real data: %v", err)
	}
	return path
}

// Read returns a file of it. The test is skipped where it is not there.
func Read(t testing.TB, names ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(Path(t, names...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// project is the folder of go.mod: tests run in the folder of their package.
func project(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		above := filepath.Dir(folder)
		if above == folder {
			t.Fatal("no go.mod above the test")
		}
		folder = above
	}
}
