package target_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pratique/pratique/internal/target"
)

// openRootfs opens a folder.
func openRootfs(t *testing.T, dir string, opts target.Options) *target.Image {
	t.Helper()
	source, err := target.Open(t.Context(), target.Name{Kind: target.Rootfs, Rest: dir}, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	return source.Images[0]
}

// unpack lists an archive: "name" or "name -> link", with the content.
func unpack(t *testing.T, content []byte) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for archive := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		name := h.Name
		if h.Typeflag == tar.TypeSymlink {
			name += " -> " + h.Linkname
		}
		found[name] = string(text)
	}
}

func put(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRootfs(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	put(t, outside, "secret", "secret")
	put(t, dir, "etc/os-release", "ID=x\n")
	put(t, dir, "var/lib/dpkg/status", "Package: x\n")
	put(t, dir, "usr/share/large", "nobody wants this")
	put(t, dir, "usr/.wh.gone", "x")
	put(t, dir, "usr/"+strings.Repeat("long/", 100)+"name", "long")
	for name, to := range map[string]string{"etc/out": outside, "etc/secret": filepath.Join(outside, "secret"), "etc/up": "../../../../..", "lib": "usr/lib"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "etc/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Skip(err) // the path of a socket is short on some systems
	}
	defer socket.Close()
	img := openRootfs(t, dir, target.Options{Wants: func(path string) bool { return path != "usr/share/large" }})
	first := contents(t, img)[0]
	got := unpack(t, first)
	want := map[string]string{
		"etc/os-release": "ID=x\n", "var/lib/dpkg/status": "Package: x\n", "usr/" + strings.Repeat("long/", 100) + "name": "long",
		"etc/out -> " + outside: "", "etc/secret -> " + filepath.Join(outside, "secret"): "", "etc/up -> ../../../../..": "", "lib -> usr/lib": "",
	}
	for name, content := range want {
		if text, ok := got[name]; !ok || text != content {
			t.Errorf("%s: got %q, %v", name, text, ok)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("there is more: %v", got)
	}
	if left := img.LeftOut(); len(left) != 1 || left[0].Path != "usr/.wh.gone" {
		t.Errorf("left out: %+v", left)
	}
	if again := contents(t, img)[0]; !bytes.Equal(first, again) {
		t.Error("the same folder made another archive")
	}
	if left := img.LeftOut(); len(left) != 1 {
		t.Errorf("left out the second time: %+v", left)
	}
}

func TestRootfsTellsWhatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "etc/os-release", "ID=x\n")
	closed := put(t, dir, "etc/closed", "x")
	put(t, dir, "var/closed/x", "x")
	large := put(t, dir, "etc/large", "")
	if err := os.Truncate(large, 1<<40); err != nil { // sparse
		t.Fatal(err)
	}
	want := map[string]string{"etc/large": "larger than 200000000 bytes"}
	if os.Geteuid() != 0 {
		for _, path := range []string{closed, filepath.Join(dir, "var/closed")} {
			if err := os.Chmod(path, 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(path, 0o700) }) //nolint:gosec // so that it can be removed
		}
		want["etc/closed"], want["var/closed"] = "permission denied", "permission denied"
	}
	img := openRootfs(t, dir, target.Options{})
	if got := unpack(t, contents(t, img)[0]); got["etc/os-release"] != "ID=x\n" {
		t.Errorf("got %v", got)
	}
	left := img.LeftOut()
	for _, w := range left {
		if says := want[w.Path]; says == "" || !strings.Contains(w.Message, says) || w.Code != target.Unreadable {
			t.Errorf("got %+v", w)
		}
		delete(want, w.Path)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
}

func TestRootfsRefuses(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), put(t, t.TempDir(), "file", "x")} {
		if _, err := target.Open(t.Context(), target.Name{Kind: target.Rootfs, Rest: path}, target.Options{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

// Who reads no further, or gives up, leaves nothing behind that goes on.
func TestRootfsEnds(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		put(t, dir, name, strings.Repeat("x", 1<<20))
	}
	img := openRootfs(t, dir, target.Options{})
	content, err := img.Layer(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := content.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	content.Close() // waits for the goroutine
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if content, err = img.Layer(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, content); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	content.Close()
}
