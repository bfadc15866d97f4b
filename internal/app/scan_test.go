package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/config"
	lt "github.com/pratique/pratique/internal/layer/layertest"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/report"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/target"
	tt "github.com/pratique/pratique/internal/target/targettest"
	"github.com/pratique/pratique/test/sample"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// scanner opens a scanner with a feed that knows of one flaw of musl.
func scanner(t *testing.T, settings ScanSettings) *Scanner {
	t.Helper()
	dir, mirror := t.TempDir(), t.TempDir()
	if err := sample.WriteAlpineFeed(mirror, "v3.20", "main", sample.Fixes{"musl": {"1.2.5-r1": {"CVE-2025-26519"}}}); err != nil {
		t.Fatal(err)
	}
	settings.Storage.Data = dir
	settings.Feeds = config.Feeds{Feeds: []string{"alpine"}, FeedsMirror: mirror}
	s, err := OpenScanner(t.Context(), settings, Options{Version: "test", Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		// Whatever happened, nothing temporary stays behind.
		if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
			t.Errorf("temporary files: %v, %v", left, err)
		}
	})
	if err := s.UpdateFeeds(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// baseLayer is that of Alpine with a musl that has the flaw.
func baseLayer(t *testing.T) tt.Layer {
	return tt.NewLayer(t, "ADD rootfs", lt.Tar(t,
		lt.File("etc/os-release", "ID=alpine\nVERSION_ID=3.20.0\nPRETTY_NAME=\"Alpine Linux v3.20\"\n"),
		lt.File("lib/apk/db/installed", sample.Installed(sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"}))))
}

// upperLayer adds curl to its package database.
func upperLayer(t *testing.T) tt.Layer {
	return tt.NewLayer(t, "RUN apk add curl", lt.Tar(t, lt.File("lib/apk/db/installed", sample.Installed(
		sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"}, sample.AlpinePackage{Name: "curl", Version: "8.9.0-r0", Origin: "curl"}))))
}

// reads are the layers that a scan read.
type reads struct {
	mu    sync.Mutex
	names []string
	ended []error
}

func (r *reads) progress(name string, _ int64, content io.Reader) (io.Reader, func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names = append(r.names, name)
	return content, func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = append(r.ended, err)
	}
}

// run scans a target and returns what layers it read.
func run(t *testing.T, s *Scanner, text string, change func(*ScanRequest)) (report.Report, *reads, error) {
	t.Helper()
	name, err := target.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	seen := new(reads)
	req := ScanRequest{Target: name, Progress: seen.progress}
	if change != nil {
		change(&req)
	}
	r, err := s.Scan(t.Context(), req)
	if len(seen.names) != len(seen.ended) {
		t.Errorf("%d layers began, %d ended", len(seen.names), len(seen.ended))
	}
	slices.Sort(seen.names)
	return r, seen, err
}

func findings(img report.Image) (list []string) {
	for _, f := range img.Findings {
		list = append(list, fmt.Sprintf("%s %s %s -> %s in %d: %s", f.Vulnerability, f.Package.Name, f.Package.Version, f.FixedVersion, f.LayerIndex+1, f.State))
	}
	return list
}

func TestScan(t *testing.T) {
	s := scanner(t, ScanSettings{})
	base, upper := baseLayer(t), upperLayer(t)
	files := tt.Files{}
	manifest := files.Image(t, "linux/amd64", base, upper)
	path := "oci-dir:" + files.Layout(t, manifest.Named("1")).Dir(t)
	r, seen, err := run(t, s, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	img := r.Images[0]
	if want := []string{"CVE-2025-26519 musl 1.2.5-r0 -> 1.2.5-r1 in 1: unassessed"}; !slices.Equal(findings(img), want) {
		t.Errorf("got %v, want %v", findings(img), want)
	}
	if img.Coverage.Verdict != "known" || img.Digest != manifest.Digest() || img.Platform != "linux/amd64" || img.DistributionName != "Alpine Linux v3.20" || img.Analysis != "done" {
		t.Errorf("got %+v", img)
	}
	if f := img.Findings[0]; f.LayerDigest != base.Digest() || img.Layers[0].FindingCount != 1 || img.Layers[1].PackageCount != 1 || img.Layers[1].CreatedBy != "RUN apk add curl" {
		t.Errorf("finding in %s, layers %+v", f.LayerDigest, img.Layers)
	}
	if len(r.Feeds) != 1 || r.Feeds[0].Name != "alpine" || *r.Feeds[0].AgeSeconds != 0 || !r.Reliable() {
		t.Errorf("feeds: %+v", r.Feeds)
	}
	want := []string{base.Digest(), upper.Digest()}
	slices.Sort(want)
	if !slices.Equal(seen.names, want) {
		t.Errorf("read %v, want %v", seen.names, want)
	}
	// The second time nothing is read, from an archive just as little.
	for _, again := range []string{path, "oci-archive:" + tt.Write(t, "a.tar", files.Tar(t))} {
		if r, seen, err := run(t, s, again, nil); err != nil || len(seen.names) > 0 || len(r.Images[0].Findings) != 1 {
			t.Errorf("again: read %v, %v", seen.names, err)
		}
	}
	// The server's lists know nothing of it.
	if _, err := s.store.ImageByDigest(t.Context(), manifest.Digest()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the image is in the database: %v", err)
	}
	if list, err := s.store.Vulnerabilities(t.Context(), match.Filter{Limit: 10}); err != nil || len(list) > 0 {
		t.Errorf("vulnerabilities of stored images: %+v, %v", list, err)
	}
}

// Layers that are in several images, or twice in one, are read once.
func TestScanReadsALayerOnce(t *testing.T) {
	s := scanner(t, ScanSettings{})
	base, upper := baseLayer(t), upperLayer(t)
	files := tt.Files{}
	index := files.Index(t, files.Image(t, "linux/amd64", base, upper, upper).For("linux/amd64"), files.Image(t, "linux/arm64", base, base).For("linux/arm64"))
	files.Layout(t, index)
	r, seen, err := run(t, s, "oci-archive:"+tt.Write(t, "a.tgz", lt.Gzip(t, files.Tar(t))), func(req *ScanRequest) { req.Platform = target.AllPlatforms })
	// The archive itself is read, too.
	if err != nil || len(seen.names) != 3 || !slices.Contains(seen.names, "a.tgz") || len(r.Images) != 2 {
		t.Errorf("read %v for %d images, %v", seen.names, len(r.Images), err)
	}
}

// The archive of docker's that the layout was loaded from has the digests of the
// plain layers, and the same findings.
func TestScanDockerArchive(t *testing.T) {
	s := scanner(t, ScanSettings{})
	files := tt.Files{}
	base, upper := baseLayer(t), upperLayer(t)
	one := files.Docker(t, []string{"app:1"}, base, tt.PlainLayer("RUN apk add curl", upper.Plain))
	for range 2 {
		r, _, err := run(t, s, "docker-archive:"+tt.Write(t, "a.tar", files.DockerManifest(t, one).Tar(t)), nil)
		if err != nil {
			t.Fatal(err)
		}
		img := r.Images[0]
		if len(img.Findings) != 1 || img.Name != "app:1" || img.Digest != "" || img.ConfigDigest == "" || img.Layers[0].Digest != base.DiffID() {
			t.Errorf("got %+v", img)
		}
	}
	// Of docker before 1.10 the digests are not known before the layers are read.
	old := tt.Files{}
	old["repositories"] = tt.JSON(t, map[string]any{"app": map[string]string{"1": old.Legacy(t, base, upper)}})
	r, seen, err := run(t, s, "docker-archive:"+tt.Write(t, "a.tar", old.Tar(t)), nil)
	if err != nil || len(seen.names) != 2 || len(r.Images[0].Findings) != 1 || r.Images[0].Findings[0].LayerDigest != base.Digest() {
		t.Errorf("got %+v, %v", r.Images, err)
	}
}

func TestScanUnread(t *testing.T) {
	broken := tt.NewLayer(t, "RUN x", lt.Tar(t, lt.File("x", "x")))
	broken.Content = broken.Content[:len(broken.Content)-9]
	large := tt.NewLayer(t, "RUN x", lt.Tar(t, lt.File("x", "x"), lt.File("y", "y"), lt.File("z", "z")))
	for _, test := range []struct {
		name   string
		upper  tt.Layer
		damage func(files tt.Files, upper tt.Layer)
		says   string
	}{
		{"missing", upperLayer(t), func(files tt.Files, l tt.Layer) { delete(files, tt.Path(l.Digest())) }, "missing"},
		{"other content", upperLayer(t), func(files tt.Files, l tt.Layer) { files[tt.Path(l.Digest())] = baseLayer(t).Content }, "digest mismatch"},
		{"corrupt", broken, func(tt.Files, tt.Layer) {}, "corrupt gzip data"},
		{"beyond a limit", large, func(tt.Files, tt.Layer) {}, "entries > 2"},
		{"no archive", tt.PlainLayer("RUN x", bytes.Repeat([]byte("x"), 2000)), func(tt.Files, tt.Layer) {}, "corrupt tar data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := scanner(t, ScanSettings{Layers: config.Layers{LayerMaxEntries: 2}})
			files := tt.Files{}
			files.Layout(t, files.Image(t, "linux/amd64", baseLayer(t), test.upper, test.upper))
			test.damage(files, test.upper)
			r, seen, err := run(t, s, "oci-dir:"+files.Dir(t), nil)
			if !errors.Is(err, ErrUnread) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.upper.Digest()) || !strings.Contains(err.Error(), "2 of 3 layers") {
				t.Errorf("got %v, want %q", err, test.says)
			}
			img := r.Images[0]
			if len(img.Findings) != 1 || img.Analysis != "failed" || img.Coverage.Verdict != "unknown" || !strings.Contains(strings.Join(img.Coverage.Reasons, ";"), test.upper.Digest()) {
				t.Errorf("got %s, %+v, %v", img.Analysis, img.Coverage, findings(img))
			}
			if len(img.Coverage.Reasons) != 1 {
				t.Errorf("reasons: %q", img.Coverage.Reasons)
			}
			if len(seen.names) > 2 {
				t.Errorf("read %v", seen.names)
			}
		})
	}
}

func TestScanForeignLayer(t *testing.T) {
	s := scanner(t, ScanSettings{})
	base, kept := baseLayer(t), upperLayer(t)
	files := tt.Files{}
	config := files.Blob("application/vnd.oci.image.config.v1+json", tt.Config(t, "linux/amd64", base, kept))
	files.Layout(t, files.Blob(registry.MediaTypeImage, tt.JSON(t, map[string]any{
		"schemaVersion": 2, "mediaType": registry.MediaTypeImage, "config": config, "layers": []any{
			files.Blob(base.MediaType, base.Content),
			tt.Descriptor{"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": kept.Digest(), "size": 3, "urls": []string{"http://169.254.169.254/"}},
		},
	})))
	r, _, err := run(t, s, "oci-dir:"+files.Dir(t), nil)
	if err != nil || r.Images[0].Coverage.Verdict == "known" || !strings.Contains(strings.Join(r.Images[0].Coverage.Reasons, ";"), "kept elsewhere") {
		t.Errorf("got %+v, %v", r.Images[0].Coverage, err)
	}
}

// A layer may have a digest of another algorithm.
func TestScanSHA512(t *testing.T) {
	s := scanner(t, ScanSettings{})
	base := baseLayer(t)
	files := tt.Files{}
	digest := blob.SHA512.Of(base.Content)
	files[tt.Path(digest)] = base.Content
	config := files.Blob("application/vnd.oci.image.config.v1+json", tt.Config(t, "linux/amd64", base))
	files.Layout(t, files.Blob(registry.MediaTypeImage, tt.JSON(t, map[string]any{
		"schemaVersion": 2, "mediaType": registry.MediaTypeImage, "config": config,
		"layers": []any{tt.Descriptor{"mediaType": base.MediaType, "digest": digest, "size": len(base.Content)}},
	})))
	for range 2 {
		r, _, err := run(t, s, "oci-dir:"+files.Dir(t), nil)
		if err != nil || len(r.Images[0].Findings) != 1 || r.Images[0].Findings[0].LayerDigest != digest {
			t.Errorf("got %+v, %v", r.Images, err)
		}
	}
}

func TestScanRootfs(t *testing.T) {
	s := scanner(t, ScanSettings{})
	dir := t.TempDir()
	for name, content := range map[string]string{
		"etc/os-release":       "ID=alpine\nVERSION_ID=3.20.0\n",
		"lib/apk/db/installed": sample.Installed(sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"}),
		"home/me/notes.txt":    "nobody wants this",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, _, err := run(t, s, "rootfs:"+dir, nil)
	if err != nil || len(r.Images[0].Findings) != 1 || r.Images[0].Coverage.Verdict != "known" || r.Images[0].Name != dir {
		t.Errorf("got %+v, %v", r.Images, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "var/lib/dpkg"), 0o755); err != nil {
		t.Fatal(err)
	}
	status := filepath.Join(dir, "var/lib/dpkg/status")
	if err := os.WriteFile(status, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(status, 1<<30); err != nil {
		t.Fatal(err)
	}
	r, _, err = run(t, s, "rootfs:"+dir, nil)
	if err != nil || r.Images[0].Coverage.Verdict != "partial" || !slices.ContainsFunc(r.Images[0].Coverage.Reasons, func(reason string) bool { return strings.HasPrefix(reason, "var/lib/dpkg/status: ") }) {
		t.Errorf("got %+v, %v", r.Images[0].Coverage, err)
	}
}

func TestScanPolicy(t *testing.T) {
	s := scanner(t, ScanSettings{})
	files := tt.Files{}
	path := "oci-dir:" + files.Layout(t, files.Image(t, "linux/amd64", baseLayer(t))).Dir(t)
	service := assess.New(s.store, assess.Options{Now: s.opts.Now})
	if err := service.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, settings := range map[string]string{"main": "{}", "strict": `{"block":["Caution"]}`} {
		if _, err := s.store.CreateRegistry(t.Context(), registry.Registry{Name: name, Policy: settings}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := run(t, s, path, nil); err != nil { // an assessment is of a vulnerability that is known
		t.Fatal(err)
	}
	decide := func(kind string, scope assess.Scope) {
		t.Helper()
		if _, err := service.Assess(t.Context(), assess.Request{Vulnerability: "CVE-2025-26519", Type: kind, Scope: scope, Author: "me", Comment: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(at, state string, blocked bool) {
		t.Helper()
		name, repository, _ := strings.Cut(at, "/")
		r, _, err := run(t, s, path, func(req *ScanRequest) { req.At = assess.Place{Registry: name, Repository: repository} })
		if err != nil {
			t.Fatal(err)
		}
		img := r.Images[0]
		if f := img.Findings[0]; f.State != state || img.Policy.Blocked != blocked || f.Blocks != blocked || img.Policy.Registry != name {
			t.Errorf("at %q: state %s, blocks %v, policy %+v", at, f.State, f.Blocks, img.Policy)
		}
	}
	check("", assess.Unassessed, false)
	decide("Block", assess.Scope{Kind: assess.Everywhere})
	check("", "Block", true)
	check("strict", "Block", false)
	decide("Caution", assess.Scope{Kind: assess.Registry, Value: "strict"})
	check("", "Block", true)
	check("strict", "Caution", true)
	check("main", "Block", true)
	if _, _, err := run(t, s, path, func(req *ScanRequest) { req.At = assess.Place{Registry: "none"} }); !errors.Is(err, policy.ErrNotFound) || !strings.Contains(err.Error(), "none") {
		t.Errorf("got %v", err)
	}
}

// An image without layers holds nothing that could be judged.
func TestScanEmptyImage(t *testing.T) {
	s := scanner(t, ScanSettings{})
	files := tt.Files{}
	r, _, err := run(t, s, "oci-dir:"+files.Layout(t, files.Image(t, "linux/amd64")).Dir(t), nil)
	if err != nil || r.Images[0].Coverage.Verdict != "unknown" {
		t.Errorf("got %+v, %v", r.Images, err)
	}
}

func TestScanWithoutFeeds(t *testing.T) {
	s, err := OpenScanner(t.Context(), ScanSettings{Storage: config.Storage{Data: filepath.Join(t.TempDir(), "new")}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	files := tt.Files{}
	r, _, err := run(t, s, "oci-dir:"+files.Layout(t, files.Image(t, "linux/amd64", baseLayer(t))).Dir(t), nil)
	if err != nil || r.Reliable() || r.Fetched() || len(r.Images[0].Packages) != 1 || !strings.Contains(strings.Join(r.Images[0].Coverage.Reasons, ";"), "no feed has data on alpine:v3.20") {
		t.Errorf("got %+v, %v", r, err)
	}
}

// Once its context ends, a scan ends, whatever it waits for.
func TestScanEnds(t *testing.T) {
	s := scanner(t, ScanSettings{})
	files := tt.Files{}
	files.Layout(t, files.Image(t, "linux/amd64", baseLayer(t), upperLayer(t)))
	name, err := target.Parse("oci-archive:" + tt.Write(t, "a.tgz", lt.Gzip(t, files.Tar(t))))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = s.Scan(ctx, ScanRequest{Target: name, Progress: func(name string, _ int64, content io.Reader) (io.Reader, func(error)) {
		if name != "a.tgz" {
			cancel()
		}
		return content, func(error) {}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestScanBill(t *testing.T) {
	s := scanner(t, ScanSettings{})
	bad := tt.Write(t, "bad.json", []byte(`{"bomFormat":"CycloneDX"}`))
	if _, _, err := run(t, s, "sbom:"+bad, nil); err == nil || !strings.Contains(err.Error(), "not a readable software bill of materials") {
		t.Errorf("got %v", err)
	}
	bill := tt.Write(t, "bill.json", []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
		{"type":"library","name":"musl","version":"1.2.5-r0","purl":"pkg:apk/alpine/musl@1.2.5-r0?distro=alpine-3.20"}]}`))
	r, _, err := run(t, s, "sbom:"+bill, nil)
	if err != nil {
		t.Fatal(err)
	}
	if img := r.Images[0]; len(img.Findings) != 1 || img.Coverage.Verdict != "known" || img.Name != bill || len(img.Layers) != 0 {
		t.Errorf("got %+v", img)
	}
	unsure := tt.Write(t, "unsure.json", []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
		{"type":"library","name":"musl","version":"1.2.5-r0","purl":"pkg:apk/alpine/musl@1.2.5-r0?distro=alpine-3.20"},
		{"type":"library","name":"core","version":"1.0","purl":"pkg:maven/core@1.0"}]}`))
	if r, _, err = run(t, s, "sbom:"+unsure, nil); err != nil {
		t.Fatal(err)
	}
	if img := r.Images[0]; img.Coverage.Verdict != "partial" || !slices.ContainsFunc(img.Coverage.Reasons, func(reason string) bool {
		return strings.Contains(reason, "core 1.0 cannot be judged: its group is not known")
	}) {
		t.Errorf("coverage %+v", img.Coverage)
	}
	if _, _, err := run(t, s, "sbom:"+bill+"x", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	large := tt.Write(t, "large.json", append([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","x":"`), bytes.Repeat([]byte("x"), maxBill)...))
	if _, _, err := run(t, s, "sbom:"+large, nil); err == nil || !strings.Contains(err.Error(), "67108864 bytes") {
		t.Errorf("got %v", err)
	}
}

// TestScanForgetsLayers: what nobody scanned for long is read again.
func TestScanForgetsLayers(t *testing.T) {
	at := now
	later, err := OpenScanner(t.Context(), ScanSettings{Storage: config.Storage{Data: t.TempDir()}}, Options{Version: "test", Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := later.Close(); err != nil {
			t.Error(err)
		}
	})
	scan := func(step, name string, layer tt.Layer, want int) {
		t.Helper()
		files := tt.Files{}
		archive := tt.Write(t, name, files.DockerManifest(t, files.Docker(t, []string{"app:1"}, layer)).Tar(t))
		if _, seen, err := run(t, later, "docker-archive:"+archive, nil); err != nil || len(seen.names) != want {
			t.Errorf("%s: read %v, %v", step, seen.names, err)
		}
	}
	base, other := baseLayer(t), tt.PlainLayer("RUN apk add curl", upperLayer(t).Plain)
	scan("first", "base.tar", base, 1)
	for range 3 {
		at = at.Add(60 * 24 * time.Hour)
		scan("used every two months", "base.tar", base, 0)
	}
	at = at.Add(100 * 24 * time.Hour)
	scan("the other", "other.tar", other, 1)
	scan("not used for longer than that", "base.tar", base, 1)
}
