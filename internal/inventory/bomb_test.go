package inventory

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/layer"
	lt "github.com/pratique/pratique/internal/layer/layertest"
)

// noise is content that cannot be compressed.
func noise(n int) string {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return string(b)
}

// TestArchiveBombs: each kind stops at its limit, which the warning names.
func TestArchiveBombs(t *testing.T) {
	nested := func(depth int) string {
		content := jar(t, maven("a", "b", "1")...)
		for range depth {
			content = jar(t, "x.jar", content)
		}
		return content
	}
	many := func(n int) string {
		var entries []string
		for i := range n {
			entries = append(entries, fmt.Sprintf("com/example/Class%d.class", i), "")
		}
		return jar(t, entries...)
	}
	// The directory claims to be small, and has entries all the same.
	lying := []byte(many(3000))
	end := bytes.LastIndex(lying, []byte("PK\x05\x06"))
	binary.LittleEndian.PutUint32(lying[end+12:], 100)
	// Entries that lie upon each other: one body, and a directory of many.
	var overlapping bytes.Buffer
	z := zip.NewWriter(&overlapping)
	body, err := z.Create("0.jar")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := body.Write([]byte(strings.Repeat("\x00", 1<<20))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	one := overlapping.Bytes()
	end = bytes.LastIndex(one, []byte("PK\x05\x06"))
	start := bytes.Index(one, []byte("PK\x01\x02"))
	entry := one[start:end]
	quine := bytes.Clone(one[:start])
	for range 500 {
		quine = append(quine, entry...)
	}
	tail := bytes.Clone(one[end:])
	binary.LittleEndian.PutUint16(tail[8:], 500)
	binary.LittleEndian.PutUint16(tail[10:], 500)
	binary.LittleEndian.PutUint32(tail[12:], uint32(500*len(entry)))
	quine = append(quine, tail...)

	const mib = 1 << 20
	tests := []struct {
		name    string
		opts    DetectorOptions
		content string
		limit   string // "" where none is to be reached
	}{
		{"nested, within", DetectorOptions{ArchiveDepth: 3}, nested(3), ""},
		{"nested", DetectorOptions{ArchiveDepth: 3}, nested(4), "archive depth > 3"},
		{"nested very deep", DetectorOptions{}, nested(40), "archive depth > 5"},
		{"entries, within", DetectorOptions{ArchiveEntries: 3000}, many(3000), ""},
		{"entries", DetectorOptions{ArchiveEntries: 2999}, many(3000), "archive entries > 2999"},
		{"entries of all that are nested", DetectorOptions{ArchiveEntries: 3000}, jar(t, "a.jar", many(2000), "b.jar", many(2000)), "archive entries > 3000"},
		{"directory", DetectorOptions{ArchiveDirectory: 1}, many(20_000), "archive directory > 1"},
		{"a directory that lies", DetectorOptions{ArchiveDirectory: 1}, string(lying), ""},
		{"ratio", DetectorOptions{}, jar(t, "a.jar", strings.Repeat("\x00", 3*mib)), "archive ratio > 200"},
		{"a higher ratio", DetectorOptions{ArchiveRatio: 2000}, jar(t, "a.jar", strings.Repeat("\x00", 3*mib)), ""},
		{"a description that is large", DetectorOptions{}, jar(t, "META-INF/maven/a/b/pom.properties", strings.Repeat("x", mib+1)), "archive description > 1048576"},
		{"bytes in all", DetectorOptions{ArchiveBytes: 10 * mib}, string(quine), "archive bytes > 10485760"},
		{"one inner archive", DetectorOptions{ArchiveInner: mib}, jar(t, "a.jar", noise(mib+1)), "archive inner > 1048576"},
		{"those that are open at one time", DetectorOptions{ArchiveInner: 3 * mib}, jar(t, "a.jar", jar(t, "b.jar", noise(2*mib))), "archive inner > "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, warnings, err := NewJava(test.opts).Detect("x.jar", NewContent(strings.NewReader(test.content), int64(len(test.content))))
			if err != nil {
				t.Fatal(err)
			}
			got := describe(f, warnings)
			if test.limit == "" && strings.Contains(got, "limit exceeded") || test.limit != "" && !strings.Contains(got, "limit exceeded: "+test.limit) {
				t.Errorf("got %q, want %q", got, test.limit)
			}
		})
	}
}

// A small archive with a directory of many entries must not take much memory.
func TestArchiveDirectoryTakesLittleMemory(t *testing.T) {
	var b bytes.Buffer
	header := make([]byte, 46)
	copy(header, "PK\x01\x02")
	for range 2_000_000 {
		b.Write(header)
	}
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[10:], 2_000_000&0xffff)
	binary.LittleEndian.PutUint16(end[8:], 2_000_000&0xffff)
	binary.LittleEndian.PutUint32(end[12:], 46) // it lies
	b.Write(end)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	_, warnings, err := NewJava(DetectorOptions{}).Detect("x.jar", NewContent(bytes.NewReader(b.Bytes()), int64(b.Len())))
	runtime.ReadMemStats(&after)
	if err != nil || len(warnings) != 1 {
		t.Errorf("%v, %v", warnings, err)
	}
	took := (after.TotalAlloc - before.TotalAlloc) >> 20
	t.Logf("%d MiB for %d MiB of directory: %v", took, b.Len()>>20, warnings)
	if took > 250 {
		t.Errorf("took %d MiB", took)
	}
}

// Many archives, each within its limits, share what the layer may cost.
func TestArchivesOfALayer(t *testing.T) {
	bomb := jar(t, "a.jar", jar(t, "x", strings.Repeat("\x00", 1<<20)), "META-INF/maven/a/b/pom.properties", "artifactId=b\nversion=1\n"+strings.Repeat("\x00", 900<<10))
	var entries []lt.Entry
	for i := range 10 {
		entries = append(entries, lt.File(fmt.Sprintf("app/lib%d.jar", i), bomb))
	}
	l, err := AnalyseWith(t.Context(), bytes.NewReader(lt.Tar(t, entries...)), "", Detectors(), Options{ArchiveBytes: 5 << 20})
	if err != nil {
		t.Fatal(err)
	}
	packages, told := 0, 0
	for _, f := range l.Files {
		packages += len(f.Packages)
	}
	for _, w := range l.Warnings {
		if strings.Contains(w.Message, "limit exceeded: archive bytes of the layer > 5242880") {
			told++
		}
	}
	if packages != 5 || told == 0 {
		t.Errorf("%d packages, %d warnings %v", packages, told, l.Warnings)
	}
}

// The files that packages claim are bounded for all databases of the layer.
func TestClaimsOfALayer(t *testing.T) {
	var entries []lt.Entry
	for i := range 10 {
		entries = append(entries, lt.File(fmt.Sprintf("var/lib/dpkg/info/p%d.list", i), strings.Repeat("/usr/bin/program\n", 10)))
	}
	l, err := AnalyseWith(t.Context(), bytes.NewReader(lt.Tar(t, entries...)), "", Detectors(), Options{Claims: 1000})
	if err != nil {
		t.Fatal(err)
	}
	bytes := 0
	for _, f := range l.Files {
		for _, c := range f.Claims {
			bytes += len(strings.Join(c.Paths, ""))
		}
	}
	if bytes != 900 || len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0].Message, "limit exceeded: claims > 1000") {
		t.Errorf("%d bytes of claims, %v", bytes, l.Warnings)
	}
}

// TestLayerBombs: what is hostile in the archive of the layer itself ends the pass,
// or is left out, by a limit with a name.
func TestLayerBombs(t *testing.T) {
	tests := []struct {
		name    string
		entries []lt.Entry
		opts    layer.Options
		limit   string
	}{
		{"path length", []lt.Entry{lt.File(strings.Repeat("a/", 3000)+"a", "")}, layer.Options{}, "path length"},
		{"a lower path length", []lt.Entry{lt.File(strings.Repeat("a/", 60)+"a", "")}, layer.Options{PathLength: 100}, "path length"},
		{"a long link", []lt.Entry{lt.Symlink("a", strings.Repeat("b/", 3000))}, layer.Options{}, "path length"},
		{"a large header", []lt.Entry{lt.PAX("comment", strings.Repeat("x", 2000)), lt.File("a", "")}, layer.Options{HeaderSize: 1000}, "header size"},
		{"a header beyond what can be read", []lt.Entry{lt.PAX("comment", strings.Repeat("x", 2<<20)), lt.File("a", "")}, layer.Options{}, "header size"},
		{"entries", []lt.Entry{lt.File("a", ""), lt.File("b", ""), lt.File("c", "")}, layer.Options{Entries: 2}, "entries"},
		{"bytes", []lt.Entry{lt.File("a", strings.Repeat("x", 5000))}, layer.Options{Bytes: 4000}, "bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Analyse(t.Context(), bytes.NewReader(lt.Tar(t, test.entries...)), "", Detectors(), test.opts)
			var limit *layer.LimitError
			if !errors.As(err, &limit) || limit.Limit != test.limit {
				t.Errorf("got %v, want the limit %q", err, test.limit)
			}
		})
	}
	t.Run("a flood of headers", func(t *testing.T) {
		// Each is within its limit, and dropped before the next is read.
		var entries []lt.Entry
		for i := range 500 {
			entries = append(entries, lt.PAX("comment", strings.Repeat("x", 100_000)), lt.File(fmt.Sprint(i), ""))
		}
		content := lt.Gzip(t, lt.Tar(t, entries...))
		if _, err := Analyse(t.Context(), bytes.NewReader(content), "", Detectors(), layer.Options{Bytes: 10 << 20}); !errors.Is(err, layer.ErrLimit) {
			t.Errorf("got %v", err)
		}
		if l, err := Analyse(t.Context(), bytes.NewReader(content), "", Detectors(), layer.Options{}); err != nil || l.Entries != 500 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a sparse database", func(t *testing.T) {
		// GNU's format 1.0: the map of 1 GiB of holes is the content.
		body := "1\n1073741824\n0\n"
		body += strings.Repeat("\x00", 512-len(body))
		entries := []lt.Entry{
			lt.PAX("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "var/lib/dpkg/status", "GNU.sparse.realsize", "1073741824"),
			lt.File("GNUSparseFile.0/status", body), lt.File("etc/os-release", debianRelease12),
		}
		l, err := Analyse(t.Context(), bytes.NewReader(lt.Tar(t, entries...)), "", Detectors(), layer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if want := "warning limit var/lib/dpkg/status"; !strings.Contains(strings.Join(outline(l), "\n"), want) {
			t.Errorf("got %q", outline(l))
		}
	})
}
