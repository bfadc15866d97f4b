package blob_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pratique/pratique/internal/blob"
)

func TestAvailable(t *testing.T) {
	root := filepath.Join(t.TempDir(), "blobs")
	d, err := blob.NewDir(root, blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if size, known, err := d.Available(); err != nil || known && size <= 0 {
		t.Errorf("got %d, %v, %v", size, known, err)
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	if size, known, err := d.Available(); err == nil || known {
		t.Errorf("without its folder: %d, %v", size, known)
	}
}
