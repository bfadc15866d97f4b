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
)

// layers compares the analysis of layers with the floor: sha256 of the bytes,
// then gunzip of the same bytes by the fastest pure Go library.
func layers(ctx context.Context, o options) error {
	files, err := filepath.Glob(filepath.Join(o.data, "images", "*.tar.gz"))
	if err != nil {
		return err
	}
	if debian, err := minbase(ctx, o); err != nil {
		fmt.Printf("\nNo Debian minbase: %v\n", err)
	} else {
		files = append(files, debian)
	}
	if len(files) == 0 {
		fmt.Printf("\n## Layers\n\nNot measured: there is no image in %s.\n", o.data)
		return nil
	}
	t := newTable("Layers", "layer", "compressed", "uncompressed", "packages", "sha256", "gunzip", "floor", "analysis", "analysis / floor")
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := measureLayer(ctx, t, o, strings.TrimSuffix(filepath.Base(name), ".tar.gz"), content); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func measureLayer(ctx context.Context, t table, o options, name string, content []byte) error {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	detectors, buffer := inventory.Detectors(), make([]byte, 256<<10)
	var hashing, inflating, analysing best
	var plain int64
	var packages int
	for range max(o.turns, int(50e6)/len(content)) {
		if err := hashing.of(func() error { sha256.Sum256(content); return nil }); err != nil {
			return err
		}
		if err := inflating.of(func() (err error) { plain, err = gunzip(content, buffer); return err }); err != nil {
			return err
		}
		if err := analysing.of(func() error {
			l, err := inventory.Analyse(ctx, bytes.NewReader(content), digest, detectors, layer.Options{})
			if err != nil {
				return err
			}
			packages = len(inventory.Coalesce([]*inventory.Layer{l}).Packages)
			return nil
		}); err != nil {
			return err
		}
	}
	floor := hashing + inflating
	t.row(name, megabytes(int64(len(content))), megabytes(plain), fmt.Sprint(packages), hashing.ms(), inflating.ms(),
		floor.ms(), analysing.ms(), fmt.Sprintf("%.2f", float64(analysing)/float64(floor)))
	return nil
}

// gunzip inflates in the way that was measured to be the fastest there is: a
// buffered source, and large reads.
func gunzip(content, buffer []byte) (n int64, err error) {
	// bytes.Reader alone would take a slower path in the decoder.
	z, err := gzip.NewReader(bufio.NewReaderSize(struct{ io.Reader }{bytes.NewReader(content)}, 64<<10))
	for err == nil {
		var got int
		got, err = z.Read(buffer)
		n += int64(got)
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
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
