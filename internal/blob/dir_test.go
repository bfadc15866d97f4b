package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pratique/pratique/internal/blob"
)

func newDir(t testing.TB, root string, opts blob.Options) *blob.Dir {
	t.Helper()
	d, err := blob.NewDir(root, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// random returns n bytes that depend on seed only.
func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	if _, err := rand.NewChaCha8(key).Read(b); err != nil {
		panic(err)
	}
	return b
}

func start(t testing.TB, s blob.Store, algorithm blob.Algorithm) string {
	t.Helper()
	id, err := s.Start(t.Context(), algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func appendAll(t testing.TB, s blob.Store, id string, offset int64, content []byte) {
	t.Helper()
	size, err := s.Append(t.Context(), id, offset, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if offset >= 0 && size != offset+int64(len(content)) {
		t.Fatalf("got size %d after %d bytes at %d", size, len(content), offset)
	}
}

func wantBlob(t testing.TB, s blob.Store, digest string, want []byte) {
	t.Helper()
	if size, err := s.Stat(context.Background(), digest); err != nil || size != int64(len(want)) {
		t.Errorf("stat %s: got %d, %v, want %d", digest, size, err, len(want))
	}
	r, size, err := s.Open(context.Background(), digest)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || size != int64(len(want)) || !bytes.Equal(got, want) {
		t.Errorf("blob %s: got %d bytes (said %d), %v, want %d others", digest, len(got), size, err, len(want))
	}
}

func files(t testing.TB, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUploadBecomesBlob(t *testing.T) {
	const buffer = 256 << 10
	for _, size := range []int{0, 1, buffer - 1, buffer, buffer + 1, 5*buffer + 17} {
		for _, chunks := range []int{1, 2, 7} {
			for _, hint := range []blob.Algorithm{blob.SHA256, blob.SHA512} {
				for _, algorithm := range []blob.Algorithm{blob.SHA256, blob.SHA512} {
					t.Run(fmt.Sprintf("%d bytes in %d chunks, %s hinted, %s", size, chunks, hint, algorithm), func(t *testing.T) {
						root := t.TempDir()
						d := newDir(t, root, blob.Options{})
						content := random(size, uint64(size))
						digest := algorithm.Of(content)
						id := start(t, d, hint)
						for i := range chunks {
							from, to := size*i/chunks, size*(i+1)/chunks
							appendAll(t, d, id, int64(from), content[from:to])
						}
						if n, err := d.Size(t.Context(), id); err != nil || n != int64(size) {
							t.Errorf("size: got %d, %v", n, err)
						}
						if n, err := d.Commit(t.Context(), id, digest); err != nil || n != int64(size) {
							t.Fatalf("commit: got %d, %v", n, err)
						}
						wantBlob(t, d, digest, content)
						if _, err := d.Size(t.Context(), id); !errors.Is(err, blob.ErrUploadUnknown) {
							t.Errorf("the upload is still there: %v", err)
						}
						encoded := digest[len("sha256:"):]
						want := filepath.Join(root, "blobs", string(algorithm), encoded[:2], encoded)
						if got := files(t, root); len(got) != 1 || got[0] != want {
							t.Errorf("got files %v, want %s", got, want)
						}
					})
				}
			}
		}
	}
}

func TestOpenGivesFileForSendfile(t *testing.T) {
	d := newDir(t, t.TempDir(), blob.Options{})
	content := random(10, 1)
	id := start(t, d, blob.SHA256)
	appendAll(t, d, id, 0, content)
	if _, err := d.Commit(t.Context(), id, blob.SHA256.Of(content)); err != nil {
		t.Fatal(err)
	}
	r, _, err := d.Open(t.Context(), blob.SHA256.Of(content))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, ok := r.(*os.File); !ok {
		t.Errorf("got %T", r)
	}
}

func TestAppendAtWrongOffset(t *testing.T) {
	d := newDir(t, t.TempDir(), blob.Options{})
	content := random(1000, 2)
	id := start(t, d, blob.SHA256)
	appendAll(t, d, id, 0, content[:600])
	for _, offset := range []int64{0, 599, 601, 1 << 40} {
		size, err := d.Append(t.Context(), id, offset, bytes.NewReader(content))
		var wrong *blob.OffsetError
		if !errors.As(err, &wrong) || size != 600 || wrong.Have != 600 || wrong.Want != offset {
			t.Errorf("offset %d: got %d, %v", offset, size, err)
		}
	}
	appendAll(t, d, id, -1, content[600:])
	if _, err := d.Commit(t.Context(), id, blob.SHA256.Of(content)); err != nil {
		t.Fatal(err)
	}
}

func TestResumeAfterRestart(t *testing.T) {
	root := t.TempDir()
	content := random(900_000, 3)
	id := start(t, newDir(t, root, blob.Options{}), blob.SHA256)
	for i := range 3 {
		appendAll(t, newDir(t, root, blob.Options{}), id, int64(i)*300_000, content[i*300_000:(i+1)*300_000])
	}
	d := newDir(t, root, blob.Options{})
	if n, err := d.Size(t.Context(), id); err != nil || n != 900_000 {
		t.Fatalf("got %d, %v", n, err)
	}
	if _, err := d.Commit(t.Context(), id, blob.SHA256.Of(content)); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, d, blob.SHA256.Of(content), content)
}

func TestTwoProcessesShareAnUpload(t *testing.T) {
	root := t.TempDir()
	one, two := newDir(t, root, blob.Options{}), newDir(t, root, blob.Options{})
	content := random(900_000, 4)
	id := start(t, one, blob.SHA256)
	for i, d := range []*blob.Dir{one, two, one, two, two, one, one, two, one} {
		appendAll(t, d, id, int64(i)*100_000, content[i*100_000:(i+1)*100_000])
	}
	if _, err := one.Commit(t.Context(), id, blob.SHA256.Of(content)); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, two, blob.SHA256.Of(content), content)
	if _, err := two.Append(t.Context(), id, -1, strings.NewReader("more")); !errors.Is(err, blob.ErrUploadUnknown) {
		t.Errorf("got %v", err)
	}
	wantBlob(t, two, blob.SHA256.Of(content), content)
}

// An append that waits for another process must not write into the blob that
// the upload has become meanwhile.
func TestAppendDuringCommitOfAnotherProcess(t *testing.T) {
	root := t.TempDir()
	one, two := newDir(t, root, blob.Options{NoSync: true}), newDir(t, root, blob.Options{NoSync: true})
	for i := range 30 {
		content := random(300_000, uint64(i))
		digest := blob.SHA256.Of(content)
		id := start(t, one, blob.SHA256)
		appendAll(t, one, id, 0, content)
		var wg sync.WaitGroup
		var committed, appended error
		wg.Go(func() { _, committed = one.Commit(t.Context(), id, digest) })
		wg.Go(func() { _, appended = two.Append(t.Context(), id, -1, strings.NewReader("more")) })
		wg.Wait()
		var mismatch *blob.DigestError
		switch {
		case committed == nil && errors.Is(appended, blob.ErrUploadUnknown):
			wantBlob(t, two, digest, content)
		case errors.As(committed, &mismatch) && appended == nil: // the append was first
		default:
			t.Fatalf("commit: %v; append: %v", committed, appended)
		}
	}
}

func TestWrongDigestKeepsUpload(t *testing.T) {
	d := newDir(t, t.TempDir(), blob.Options{})
	content := random(1000, 5)
	id := start(t, d, blob.SHA256)
	appendAll(t, d, id, 0, content[:999])
	_, err := d.Commit(t.Context(), id, blob.SHA256.Of(content))
	var mismatch *blob.DigestError
	if !errors.As(err, &mismatch) || mismatch.Actual != blob.SHA256.Of(content[:999]) || mismatch.Stated != blob.SHA256.Of(content) {
		t.Fatalf("got %v", err)
	}
	if _, err := d.Stat(t.Context(), blob.SHA256.Of(content)); !errors.Is(err, blob.ErrUnknown) {
		t.Errorf("a blob of the wrong content exists: %v", err)
	}
	appendAll(t, d, id, 999, content[999:])
	if _, err := d.Commit(t.Context(), id, blob.SHA256.Of(content)); err != nil {
		t.Error(err)
	}
	if _, err := d.Commit(t.Context(), id, "sha256:../../../etc/passwd"); !errors.Is(err, blob.ErrDigestMalformed) {
		t.Errorf("got %v", err)
	}
}

func TestFailedReadKeepsWhatCame(t *testing.T) {
	gone := errors.New("the client has gone")
	for _, size := range []int{0, 10, 256 << 10, 700_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			d := newDir(t, t.TempDir(), blob.Options{})
			content := random(1_000_000, 6)
			id := start(t, d, blob.SHA256)
			appendAll(t, d, id, 0, content[:100])
			n, err := d.Append(t.Context(), id, 100, io.MultiReader(bytes.NewReader(content[100:100+size]), iotest.ErrReader(gone)))
			if !errors.Is(err, gone) || n != int64(100+size) {
				t.Fatalf("got %d, %v", n, err)
			}
			if n, err := d.Size(t.Context(), id); err != nil || n != int64(100+size) {
				t.Fatalf("got %d, %v", n, err)
			}
			appendAll(t, d, id, int64(100+size), content[100+size:])
			if _, err := d.Commit(t.Context(), id, blob.SHA256.Of(content)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestUnknownUploads(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root, blob.Options{})
	if err := os.WriteFile(filepath.Join(root, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{
		"", ".", "..", "../secret", "00000000-0000-4000-8000-000000000000", "0000",
		"{00000000-0000-4000-8000-000000000000}", "00000000000040008000000000000000", "a\x00b",
	} {
		_, appended := d.Append(t.Context(), id, 0, strings.NewReader("x"))
		_, sized := d.Size(t.Context(), id)
		_, committed := d.Commit(t.Context(), id, blob.SHA256.Of(nil))
		for what, err := range map[string]error{"append": appended, "size": sized, "commit": committed, "abort": d.Abort(t.Context(), id)} {
			if !errors.Is(err, blob.ErrUploadUnknown) {
				t.Errorf("%s %q: got %v", what, id, err)
			}
		}
	}
	if got, err := os.ReadFile(filepath.Join(root, "secret")); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAbortAndDelete(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root, blob.Options{})
	content := random(100, 7)
	digest := blob.SHA256.Of(content)
	for range 2 {
		id := start(t, d, blob.SHA256)
		appendAll(t, d, id, 0, content)
		if _, err := d.Commit(t.Context(), id, digest); err != nil {
			t.Fatal(err)
		}
		r, _, err := d.Open(t.Context(), digest)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Delete(t.Context(), digest); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
			t.Errorf("an open blob changed: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := d.Delete(t.Context(), digest); !errors.Is(err, blob.ErrUnknown) {
			t.Errorf("got %v", err)
		}
		if _, _, err := d.Open(t.Context(), digest); !errors.Is(err, blob.ErrUnknown) {
			t.Errorf("got %v", err)
		}
	}
	id := start(t, d, blob.SHA256)
	appendAll(t, d, id, 0, content)
	if err := d.Abort(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := d.Abort(t.Context(), id); !errors.Is(err, blob.ErrUploadUnknown) {
		t.Errorf("got %v", err)
	}
	if left := files(t, root); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestStale(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root, blob.Options{})
	old, fresh := start(t, d, blob.SHA256), start(t, d, blob.SHA256)
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(root, "uploads", old), past, past); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "uploads", "not-ours"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := d.Stale(t.Context(), time.Now().Add(-time.Minute))
	if err != nil || len(got) != 1 || got[0] != old {
		t.Errorf("got %v, %v, want %s and not %s", got, err, old, fresh)
	}
}

func TestRacingPushesOfOneBlob(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root, blob.Options{})
	content := random(400_000, 8)
	digest := blob.SHA256.Of(content)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			id, err := d.Start(context.Background(), blob.SHA256)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := d.Append(context.Background(), id, 0, bytes.NewReader(content)); err != nil {
				t.Error(err)
			}
			if _, err := d.Commit(context.Background(), id, digest); err != nil {
				t.Error(err)
			}
			wantBlob(t, d, digest, content)
		})
	}
	wg.Wait()
	if got := files(t, root); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// Requests for one upload, as a client makes them that repeats one whose
// answer it did not see, must not mix their bytes.
func TestRacingAppends(t *testing.T) {
	d := newDir(t, t.TempDir(), blob.Options{})
	content := random(2_000_000, 9)
	id := start(t, d, blob.SHA256)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 4 {
				_, err := d.Append(context.Background(), id, int64(i)*500_000, bytes.NewReader(content[i*500_000:(i+1)*500_000]))
				var wrong *blob.OffsetError
				if err != nil && !errors.As(err, &wrong) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := d.Commit(t.Context(), id, blob.SHA256.Of(content)); err != nil {
		t.Error(err)
	}
}

func TestWaitingForAnUploadEndsWithTheContext(t *testing.T) {
	d := newDir(t, t.TempDir(), blob.Options{})
	id := start(t, d, blob.SHA256)
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := d.Append(context.Background(), id, 0, r); err != nil {
			t.Error(err)
		}
	})
	if _, err := w.Write([]byte("x")); err != nil { // the append has its turn
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Append(ctx, id, 0, strings.NewReader("y")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if _, err := d.Commit(t.Context(), id, blob.SHA256.Of([]byte("x"))); err != nil {
		t.Error(err)
	}
}

func TestReserveIsKeptFree(t *testing.T) {
	d := newDir(t, t.TempDir(), blob.Options{Reserve: 1 << 62})
	id := start(t, d, blob.SHA256)
	if n, err := d.Append(t.Context(), id, 0, strings.NewReader("x")); !errors.Is(err, blob.ErrFull) || n != 0 {
		t.Errorf("got %d, %v", n, err)
	}
}

func BenchmarkUpload(b *testing.B) {
	content := bytes.Repeat(random(1<<20, 10), 600)
	digest := blob.SHA256.Of(content)
	for name, opts := range map[string]blob.Options{"sync": {}, "nosync": {NoSync: true}} {
		b.Run(name, func(b *testing.B) {
			d := newDir(b, b.TempDir(), opts)
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				id := start(b, d, blob.SHA256)
				appendAll(b, d, id, 0, content)
				if _, err := d.Commit(b.Context(), id, digest); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
