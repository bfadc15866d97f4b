package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/layer"
	"github.com/pratique/pratique/internal/layer/inflate"
)

// layers compares the analysis of layers with the floor: sha256 of the bytes,
// then gunzip of the same bytes by the fastest library in pure Go. Pratique's own
// gunzip, which is faster than that, has a column beside it.
func layers(ctx context.Context, o options) error {
	files, err := layerFiles(ctx, o)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		fmt.Printf("\n## Layers\n\nNot measured: there is no image in %s.\n", o.data)
		return nil
	}
	t := newTable("Layers", "layer", "compressed", "uncompressed", "packages", "sha256", "gunzip", "floor", "our gunzip", "analysis", "analysis / floor")
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := measureLayer(ctx, t, o, layerName(name), content); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// layerFiles are the layers to measure: real images, and a Debian root.
func layerFiles(ctx context.Context, o options) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(o.data, "images", "*.tar.gz"))
	if err != nil {
		return nil, err
	}
	debian, err := minbase(ctx, o)
	if err != nil {
		fmt.Printf("\nNo Debian minbase: %v\n", err)
		return files, nil
	}
	return append(files, debian), nil
}

func layerName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".tar.gz") }

func measureLayer(ctx context.Context, t table, o options, name string, content []byte) error {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	detectors, buffer := inventory.Detectors(), make([]byte, 256<<10)
	var hashing, inflating, ours, analysing best
	var plain int64
	var packages int
	for range max(o.turns, int(50e6)/len(content)) {
		for _, part := range []struct {
			best *best
			do   func() error
		}{
			{&hashing, func() error { sha256.Sum256(content); return nil }},
			{&inflating, func() (err error) { plain, err = gunzip(content, buffer, io.Discard); return err }},
			{&ours, func() error { _, err := drain(inflate.NewReader(source(content)), buffer, io.Discard); return err }},
			{&analysing, func() error {
				l, err := inventory.Analyse(ctx, bytes.NewReader(content), digest, detectors, layer.Options{})
				if err == nil {
					packages = len(inventory.Coalesce([]*inventory.Layer{l}).Packages)
				}
				return err
			}},
		} {
			if err := part.best.of(part.do); err != nil {
				return err
			}
		}
	}
	floor := hashing + inflating
	t.row(name, megabytes(int64(len(content))), megabytes(plain), fmt.Sprint(packages), hashing.ms(), inflating.ms(),
		floor.ms(), ours.ms(), analysing.ms(), fmt.Sprintf("%.2f", float64(analysing)/float64(floor)))
	return nil
}

// source reads like a file: what a bytes.Reader can do besides changes the way
// that a decoder takes.
func source(content []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(content)} }

// gunzip inflates in the way in which the library was measured to be the
// fastest: a buffered source, and large reads.
func gunzip(content, buffer []byte, to io.Writer) (n int64, err error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(source(content), 64<<10))
	if err != nil {
		return 0, err
	}
	return drain(z, buffer, to)
}

// drain reads r to its end.
func drain(r io.Reader, buffer []byte, to io.Writer) (n int64, err error) {
	return io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{r}, buffer)
}

// minbase makes a Debian root file system, once: it is kept in the user's cache.
func minbase(ctx context.Context, o options) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	made := filepath.Join(cache, "pratique-bench", "debian-minbase.tar.gz")
	if _, err := os.Stat(made); err == nil {
		return made, nil
	}
	debootstrap, err := exec.LookPath("debootstrap")
	if err != nil {
		return "", err
	}
	root := filepath.Join(o.dir, "minbase")
	script := `"$0" --variant=minbase bookworm "$1" >&2 && rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* &&
		mkdir -p "$(dirname "$2")" && tar -C "$1" --numeric-owner -c . | gzip -6 >"$2.part" && mv "$2.part" "$2" && rm -rf "$1"`
	cmd := exec.CommandContext(ctx, "sh", "-c", script, debootstrap, root, made)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("debootstrap: %w: %s", err, tail(out))
	}
	return made, nil
}

func tail(text []byte) []byte { return text[max(0, len(text)-300):] }
