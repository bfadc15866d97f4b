package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// lister is a program that lists the packages of an image, as CycloneDX.
type lister struct {
	name    string
	program string
	args    []string // before the archive
	archive string   // before its path
	state   string   // folder that is empty at each start: nothing is known from before
	env     []string

	wall, cpu best
	memory    int64 // the most of all turns, in bytes
	packages  int
	failed    error
}

// listers are Pratique and its peers, as far as they are installed.
func listers(o options) []*lister {
	state := filepath.Join(o.dir, "state")
	list := []*lister{{
		name: "Pratique", program: o.program, state: state,
		args: []string{"scan", "--data", state, "--output", "cyclonedx"}, archive: "oci-archive:",
	}}
	if program, err := exec.LookPath("syft"); err == nil {
		list = append(list, &lister{
			name: "Syft", program: program, state: state,
			args: []string{"scan", "--quiet", "--output", "cyclonedx-json"}, archive: "oci-archive:",
			env: []string{"SYFT_CHECK_FOR_APP_UPDATE=false", "SYFT_CACHE_DIR=" + state},
		})
	}
	if program, err := exec.LookPath("trivy"); err == nil {
		list = append(list, &lister{
			name: "Trivy", program: program, state: state,
			args: []string{"image", "--quiet", "--offline-scan", "--cache-dir", state, "--format", "cyclonedx", "--input"},
		})
	}
	return list
}

// scans compares Pratique with the peers that are installed, as programs: each
// lists what is in an image of one layer, out of the same archive.
func scans(ctx context.Context, o options) error {
	files, err := layerFiles(ctx, o)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		fmt.Printf("\n## Scans\n\nNot measured: there is no image in %s.\n", o.data)
		return nil
	}
	t := newTable("Scans", "layer", "compressed", "program", "packages", "time", "processor time", "memory")
	for _, name := range files {
		archive := filepath.Join(o.dir, "image.tar")
		if err := writeArchive(archive, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		list := listers(o)
		for range o.turns {
			for _, l := range list {
				if l.failed == nil {
					l.failed = l.run(ctx, archive)
				}
			}
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		for _, l := range list {
			if l.failed != nil {
				fmt.Fprintf(os.Stderr, "bench: %s: %s: %v\n", name, l.name, l.failed)
				t.row(layerName(name), megabytes(info.Size()), l.name, "failed", "", "", "")
				continue
			}
			t.row(layerName(name), megabytes(info.Size()), l.name, fmt.Sprint(l.packages), l.wall.seconds(), l.cpu.seconds(), megabytes(l.memory))
		}
	}
	return nil
}

// run has the program list the archive once.
func (l *lister) run(ctx context.Context, archive string) error {
	if err := errors.Join(os.RemoveAll(l.state), os.Mkdir(l.state, 0o700)); err != nil {
		return err
	}
	var out, said bytes.Buffer
	p := process{name: l.name, cmd: exec.CommandContext(ctx, l.program, append(slices.Clone(l.args), l.archive+archive)...)}
	p.cmd.Env = append(os.Environ(), l.env...)
	p.cmd.Stdout, p.cmd.Stderr = &out, &said
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return err
	}
	ended, watched := make(chan struct{}), make(chan int64)
	go func() { watched <- p.peak(ended) }()
	err := p.cmd.Wait()
	l.wall.took(time.Since(began))
	close(ended)
	l.memory = max(l.memory, <-watched)
	if err != nil {
		return fmt.Errorf("%w: %s", err, tail(said.Bytes()))
	}
	l.cpu.took(p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime())
	var bill struct {
		Components []struct {
			Type string `json:"type"`
		} `json:"components"`
	}
	if err := json.Unmarshal(out.Bytes(), &bill); err != nil {
		return fmt.Errorf("what it wrote: %w", err)
	}
	l.packages = 0
	for _, c := range bill.Components {
		if c.Type == "library" || c.Type == "application" {
			l.packages++
		}
	}
	return nil
}

// peak returns the most memory that the process took, as it is seen every few
// milliseconds: the figure that is there at its end counts this program's own
// memory too, because the process began as a copy of it.
func (p *process) peak(ended <-chan struct{}) (most int64) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return most
		case <-tick.C:
			if n, err := p.memory("VmHWM"); err == nil {
				most = max(most, n)
			}
		}
	}
}

// writeArchive makes an image of one layer, which is the file as it stands: a
// layout (image-spec, image-layout.md) in a tar archive, with the list that
// `docker save` adds, which is the one that Trivy reads.
func writeArchive(archive, name string) (err error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	plain := digest.SHA256.Digester()
	if _, err := gunzip(content, make([]byte, 256<<10), plain.Hash()); err != nil {
		return err
	}
	f, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	add := func(name string, body []byte) {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(body))}
		if e := w.WriteHeader(header); err == nil {
			err = e
		}
		if _, e := w.Write(body); err == nil {
			err = e
		}
	}
	blob := func(mediaType string, body []byte) v1.Descriptor {
		d := digest.FromBytes(body)
		add("blobs/sha256/"+d.Encoded(), body)
		return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}
	}
	text := func(v any) []byte {
		b, e := json.Marshal(v)
		if err == nil {
			err = e
		}
		return b
	}
	version := specs.Versioned{SchemaVersion: 2}
	layer := blob(v1.MediaTypeImageLayerGzip, content)
	config := blob(v1.MediaTypeImageConfig, text(v1.Image{
		Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{plain.Digest()}},
	}))
	manifest := blob(v1.MediaTypeImageManifest, text(v1.Manifest{
		Versioned: version, MediaType: v1.MediaTypeImageManifest, Config: config, Layers: []v1.Descriptor{layer},
	}))
	add(v1.ImageIndexFile, text(v1.Index{Versioned: version, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{manifest}}))
	add(v1.ImageLayoutFile, text(v1.ImageLayout{Version: v1.ImageLayoutVersion}))
	add("manifest.json", text([]map[string]any{{"Config": "blobs/sha256/" + config.Digest.Encoded(), "Layers": []string{"blobs/sha256/" + layer.Digest.Encoded()}}}))
	return errors.Join(err, w.Close())
}
