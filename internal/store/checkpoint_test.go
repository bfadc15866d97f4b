package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/store"
)

// TestLogIsBounded writes 250 MB without a pause, as the first load of feeds does.
func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pratique.db")
	s, err := store.Open(context.Background(), "sqlite:"+path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.Stat(path + "-wal"); err == nil {
			t.Errorf("%d bytes of the log are left behind", left.Size())
		}
	})
	const mega = 1 << 20
	content := strings.Repeat("x", mega)
	var longest int64
	for n := range 250 {
		if err := s.FailLayer(t.Context(), fmt.Sprintf("sha256:%064d", n), "test", content); err != nil {
			t.Fatal(err)
		}
		log, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, log.Size())
	}
	if longest > 130*mega {
		t.Errorf("the log came to %d MB", longest/mega)
	}
	t.Logf("the log came to %d MB", longest/mega)
}
