package inventory

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/layer"
	"github.com/pratique/pratique/internal/realdata"
)

// realLayers lists root file systems: Alpine's among the real data, and the
// Debian one that $PRATIQUE_BENCH_DEBIAN names.
func realLayers(t testing.TB) []string {
	t.Helper()
	data := realdata.Root(t)
	names, err := filepath.Glob(filepath.Join(data, "images", "*.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if debian := os.Getenv("PRATIQUE_BENCH_DEBIAN"); debian != "" {
		names = append(names, debian)
	}
	if len(names) == 0 {
		t.Skipf("no root file systems: %s has no images, and $PRATIQUE_BENCH_DEBIAN names none", data)
	}
	return names
}

// plainly reads the databases of a gzipped archive the simple way.
func plainly(t *testing.T, content []byte) map[string]int {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]map[string]string{
		"lib/apk/db/installed": {"P": "name", "V": "version", "A": "architecture", "o": "source"},
		"var/lib/dpkg/status":  {"Package": "name", "Version": "version", "Architecture": "architecture", "Source": "source"},
	}
	packages := make(map[string]int)
	archive := tar.NewReader(z)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		names := fields[path.Clean(header.Name)]
		if names == nil {
			continue
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		line := 1
		for record := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n\n"), "\n\n") {
			got := make(map[string]string)
			for l := range strings.SplitSeq(record, "\n") {
				if key, value, ok := strings.Cut(l, ":"); ok && names[key] != "" {
					got[names[key]] = strings.TrimSpace(value)
				}
			}
			source, version := got["name"], got["version"]
			if got["source"] != "" {
				source, _, _ = strings.Cut(got["source"], " ")
			}
			if m := regexp.MustCompile(`\((.*)\)$`).FindStringSubmatch(got["source"]); m != nil {
				version = m[1]
			}
			packages[fmt.Sprintf("%s %s %s from %s %s", got["name"], got["version"], got["architecture"], source, version)] = line
			line += strings.Count(record, "\n") + 2
		}
	}
}

func TestRealLayers(t *testing.T) {
	for _, name := range realLayers(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
			l, err := Analyse(t.Context(), bytes.NewReader(content), digest, Detectors(), layer.Options{})
			if err != nil {
				t.Fatal(err)
			}
			img := Coalesce([]*Layer{l})
			got := make(map[string]int)
			for _, p := range img.Packages {
				got[fmt.Sprintf("%s %s %s from %s %s", p.Name, p.Version, p.Architecture, p.SourceName, p.SourceVersion)] = p.Line
			}
			want := plainly(t, content)
			if diff := cmp.Diff(want, got); diff != "" || len(got) < 10 {
				t.Errorf("%d packages (-want +got):\n%s", len(got), diff)
			}
			distribution := "debian:12"
			if m := regexp.MustCompile(`^alpine-minirootfs-(\d+\.\d+)\.`).FindStringSubmatch(filepath.Base(name)); m != nil {
				distribution = "alpine:v" + m[1]
			} else if strings.HasPrefix(filepath.Base(name), "alpine-minirootfs-2021") {
				distribution = "alpine:edge"
			}
			if img.Distribution.String() != distribution || img.Coverage() != Complete {
				t.Errorf("distribution %s, coverage %s, warnings %v", img.Distribution, img.Coverage(), img.Warnings)
			}
			t.Logf("%s: %d packages, %s", img.Distribution, len(got), slices.Sorted(maps.Keys(got))[0])
		})
	}
}

// TestAnalyseBoundsMemory analyses a layer of 256 MiB, made on the fly, with a
// database, and looks at the memory taken from the system meanwhile.
func TestAnalyseBoundsMemory(t *testing.T) {
	size := int64(256 << 20)
	if testing.Short() {
		size = 128 << 20
	}
	r, w := io.Pipe()
	made := make(chan struct{})
	go func() {
		defer close(made)
		w.CloseWithError(writeLayer(w, size))
	}()
	debug.FreeOSMemory()
	idle := inUse()
	var peak atomic.Uint64
	watched := &watcher{r: r, every: 4 << 20, look: func() { peak.Store(max(peak.Load(), inUse())) }}
	l, err := Analyse(t.Context(), watched, "", Detectors(), layer.Options{})
	r.Close()
	<-made
	if err != nil {
		t.Fatal(err)
	}
	if l.UncompressedSize < size || len(l.Files) != 1 || len(l.Files[0].Packages) != 5000 {
		t.Fatalf("%d bytes, %d files", l.UncompressedSize, len(l.Files))
	}
	above := int64(peak.Load()) - int64(idle)
	t.Logf("%d MB of layer, %d MB compressed: %d kB above idle", l.UncompressedSize>>20, l.Size>>20, above>>10)
	if above > 100<<20 {
		t.Errorf("%d bytes above idle", above)
	}
}

// inUse is the memory that the process has from the system and has not given back.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased
}

type watcher struct {
	r           io.Reader
	every, next int64
	look        func()
}

func (w *watcher) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if w.next -= int64(n); w.next <= 0 {
		w.next = w.every
		w.look()
	}
	return n, err
}

// writeLayer writes a gzipped archive with size bytes of content and a database
// of 5,000 packages.
func writeLayer(w io.Writer, size int64) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(z)
	var packages []string
	for i := range 5000 {
		packages = append(packages, fmt.Sprintf("package%d 1.%d", i, i))
	}
	db := dpkgDB(packages...)
	if err := writeFile(archive, dpkgStatus, []byte(db)); err != nil {
		return err
	}
	body := make([]byte, 8<<20)
	for i := range body {
		body[i] = byte(i * i >> 5)
	}
	for i := 0; size > 0; i++ {
		n := min(int64(100+(i%7)*len(body)/6), int64(len(body)))
		if err := writeFile(archive, fmt.Sprintf("usr/share/file%d", i), body[:n]); err != nil {
			return err
		}
		size -= n
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return z.Close()
}

func writeFile(archive *tar.Writer, name string, body []byte) error {
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))}); err != nil {
		return err
	}
	_, err := archive.Write(body)
	return err
}
