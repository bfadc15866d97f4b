package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/blob"
)

func dir(t testing.TB, root string) *blob.Dir {
	t.Helper()
	d, err := blob.NewDir(root, blob.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// put stores content and returns its digest.
func put(t testing.TB, d *blob.Dir, algorithm blob.Algorithm, content []byte) string {
	t.Helper()
	id := start(t, d, algorithm)
	appendAll(t, d, id, 0, content)
	digest := algorithm.Of(content)
	if _, err := d.Commit(t.Context(), id, digest); err != nil {
		t.Fatal(err)
	}
	return digest
}

func unwanted(context.Context) (bool, error) { return true, nil }

func TestRemove(t *testing.T) {
	root := t.TempDir()
	d, other := dir(t, root), dir(t, root) // as two processes
	digest := put(t, d, blob.SHA256, []byte("content"))
	failure := errors.New("the database is away")
	for _, test := range []struct {
		name string
		says bool
		err  error
	}{{"wanted", false, nil}, {"nobody knows", true, failure}} {
		removed, err := d.Remove(t.Context(), digest, func(context.Context) (bool, error) { return test.says, test.err })
		if removed || !errors.Is(err, test.err) {
			t.Errorf("%s: got %v, %v", test.name, removed, err)
		}
		wantBlob(t, d, digest, []byte("content"))
	}
	release, err := other.Hold(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.Hold(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	held := func(context.Context) (bool, error) {
		t.Error("a held blob is asked for")
		return true, nil
	}
	release()
	if removed, err := other.Remove(t.Context(), digest, held); removed || err != nil {
		t.Errorf("held: got %v, %v", removed, err)
	}
	again()
	if removed, err := other.Remove(t.Context(), digest, func(ctx context.Context) (bool, error) {
		short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		if _, err := d.Hold(short, digest); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a hold while it is removed: got %v", err)
		}
		return true, nil
	}); !removed || err != nil {
		t.Errorf("got %v, %v", removed, err)
	}
	if _, err := d.Stat(t.Context(), digest); !errors.Is(err, blob.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	if _, err := d.Remove(t.Context(), digest, unwanted); !errors.Is(err, blob.ErrUnknown) {
		t.Errorf("again: got %v, want ErrUnknown", err)
	}
	if _, err := d.Remove(t.Context(), "sha256:../../x", unwanted); !errors.Is(err, blob.ErrDigestMalformed) {
		t.Errorf("got %v, want ErrDigestMalformed", err)
	}
	if _, err := d.Hold(t.Context(), "md5:x"); !errors.Is(err, blob.ErrDigestMalformed) {
		t.Errorf("got %v, want ErrDigestMalformed", err)
	}
}

func TestList(t *testing.T) {
	root := t.TempDir()
	d := dir(t, root)
	var want []string
	before := time.Now().Add(-time.Minute)
	for i := range 300 {
		algorithm := blob.SHA256
		if i%10 == 0 {
			algorithm = blob.SHA512
		}
		want = append(want, put(t, d, algorithm, []byte(fmt.Sprint(i))))
	}
	// What is not ours is left alone.
	if err := os.WriteFile(filepath.Join(filepath.Dir(find(t, root, want[1])), "README"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := d.List(t.Context(), func(b blob.Info) error {
		got = append(got, b.Digest)
		if b.Size < 1 || b.Size > 3 || b.StoredAt.Before(before) {
			t.Errorf("got %+v", b)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %d blobs, want %d", len(got), len(want))
	}
	stop := errors.New("enough")
	if err := d.List(t.Context(), func(blob.Info) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.List(cancelled, func(blob.Info) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// find is the file of a blob.
func find(t testing.TB, root, digest string) string {
	t.Helper()
	algorithm, encoded, _ := strings.Cut(digest, ":")
	return filepath.Join(root, "blobs", algorithm, encoded[:2], encoded)
}

// TestAgeIsOfTheLastCommit: an upload may have rested for long before.
func TestAgeIsOfTheLastCommit(t *testing.T) {
	root := t.TempDir()
	d := dir(t, root)
	content := []byte("slow")
	id := start(t, d, blob.SHA256)
	appendAll(t, d, id, 0, content)
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(filepath.Join(root, "uploads", id), old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(t.Context(), id, blob.SHA256.Of(content)); err != nil {
		t.Fatal(err)
	}
	if err := d.List(t.Context(), func(b blob.Info) error {
		if time.Since(b.StoredAt) > time.Hour {
			t.Errorf("stored at %v", b.StoredAt)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestCommitsRaceRemovals: who holds a blob from before his commit until he
// wants it finds it afterwards.
func TestCommitsRaceRemovals(t *testing.T) {
	root := t.TempDir()
	content := []byte("content")
	digest := blob.SHA256.Of(content)
	var wanted atomic.Int64
	done := make(chan struct{})
	var sweepers, pushers sync.WaitGroup
	var removed atomic.Int64
	sweepers.Go(func() {
		d := dir(t, root)
		for {
			select {
			case <-done:
				return
			default:
			}
			ok, err := d.Remove(t.Context(), digest, func(context.Context) (bool, error) { return wanted.Load() == 0, nil })
			if err != nil && !errors.Is(err, blob.ErrUnknown) {
				t.Error(err)
			}
			if ok {
				removed.Add(1)
			}
		}
	})
	for range 3 {
		pushers.Go(func() {
			d := dir(t, root)
			for round := range 200 {
				before := removed.Load()
				release, err := d.Hold(t.Context(), digest)
				if err != nil {
					t.Error(err)
					return
				}
				put(t, d, blob.SHA256, content)
				wanted.Add(1)
				release()
				f, _, err := d.Open(t.Context(), digest)
				if err != nil {
					t.Errorf("lost: %v", err)
				} else {
					var got bytes.Buffer
					if _, err := got.ReadFrom(f); err != nil || !bytes.Equal(got.Bytes(), content) {
						t.Errorf("got %q, %v", got.Bytes(), err)
					}
					if err := f.Close(); err != nil {
						t.Error(err)
					}
				}
				wanted.Add(-1)
				// Holds that follow each other closely keep the sweeper out for as
				// long as they last: all make room for it now and then.
				for round%20 == 19 && removed.Load() == before && !t.Failed() {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	pushers.Wait()
	close(done)
	sweepers.Wait()
	t.Logf("removed %d times", removed.Load())
}
