package blob_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pratique/pratique/internal/blob"
)

// The kernel refuses to let a file of this test's own process grow, as a full
// disk would; the limit holds for a whole process, hence a second one.
func TestFullDiskKeepsWhatCame(t *testing.T) {
	const limit = 1_000_000
	if root := os.Getenv("PRATIQUE_TEST_FULL"); root != "" {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: unix.RLIM_INFINITY}); err != nil {
			t.Fatal(err)
		}
		d := newDir(t, root, blob.Options{})
		content := random(1_500_000, 11)
		id := start(t, d, blob.SHA256)
		appendAll(t, d, id, 0, content[:300_000])
		n, err := d.Append(t.Context(), id, 300_000, bytes.NewReader(content[300_000:]))
		if !errors.Is(err, blob.ErrFull) || n != limit {
			t.Fatalf("got %d, %v, want %d and ErrFull", n, err, limit)
		}
		if n, err := d.Size(t.Context(), id); err != nil || n != limit {
			t.Errorf("got %d, %v", n, err)
		}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}); err != nil {
			t.Fatal(err)
		}
		appendAll(t, d, id, limit, content[limit:])
		if _, err := d.Commit(t.Context(), id, blob.SHA256.Of(content)); err != nil {
			t.Fatal(err)
		}
		wantBlob(t, d, blob.SHA256.Of(content), content)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullDiskKeepsWhatCame$", "-test.count=1")
	cmd.Env = append(os.Environ(), fmt.Sprintf("PRATIQUE_TEST_FULL=%s", t.TempDir()))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
