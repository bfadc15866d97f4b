// Package targettest makes images for tests, in the forms in which they are kept:
// honest ones, and files that can be made wrong one by one.
package targettest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
)

// Layer is a layer as it is kept.
type Layer struct {
	// Content is the archive, compressed or not; Plain is it uncompressed.
	Content, Plain []byte
	CreatedBy      string
	MediaType      string
}

// NewLayer compresses an archive with gzip.
func NewLayer(t testing.TB, createdBy string, plain []byte) Layer {
	return Layer{Content: Gzip(t, plain), Plain: plain, CreatedBy: createdBy, MediaType: "application/vnd.oci.image.layer.v1.tar+gzip"}
}

// PlainLayer leaves an archive as it is.
func PlainLayer(createdBy string, plain []byte) Layer {
	return Layer{Content: plain, Plain: plain, CreatedBy: createdBy, MediaType: "application/vnd.oci.image.layer.v1.tar"}
}

// Digest is that of the layer as it is kept, DiffID that of the archive.
func (l Layer) Digest() string { return blob.SHA256.Of(l.Content) }

// DiffID is the digest of the archive.
func (l Layer) DiffID() string { return blob.SHA256.Of(l.Plain) }

// Gzip compresses.
func Gzip(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Files are the files of a layout or an archive, by path. A content that begins
// with Link is a symbolic link.
type Files map[string][]byte

// Link begins the content of what is a symbolic link, before its target.
const Link = "\x00link:"

// Descriptor is a content descriptor.
type Descriptor map[string]any

// Digest is what it points to.
func (d Descriptor) Digest() string { return d["digest"].(string) }

// With adds a member.
func (d Descriptor) With(key string, value any) Descriptor {
	more := Descriptor{key: value}
	for k, v := range d {
		if _, given := more[k]; !given {
			more[k] = v
		}
	}
	return more
}

// Named adds the annotation that names an image in a layout.
func (d Descriptor) Named(name string) Descriptor {
	return d.With("annotations", map[string]string{"org.opencontainers.image.ref.name": name})
}

// For adds a platform, "linux/arm/v7".
func (d Descriptor) For(platform string) Descriptor {
	parts := append(strings.Split(platform, "/"), "", "")
	return d.With("platform", map[string]string{"os": parts[0], "architecture": parts[1], "variant": parts[2]})
}

// Blob adds a blob.
func (f Files) Blob(mediaType string, content []byte) Descriptor {
	digest := blob.SHA256.Of(content)
	f[Path(digest)] = content
	return Descriptor{"mediaType": mediaType, "digest": digest, "size": len(content)}
}

// Path is where a layout keeps a blob.
func Path(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

// Config is the configuration of an image.
func Config(t testing.TB, platform string, layers ...Layer) []byte {
	t.Helper()
	parts := append(strings.Split(platform, "/"), "", "")
	ids, history := []string{}, []map[string]any{{"created_by": "ENV x", "empty_layer": true}}
	for _, l := range layers {
		ids = append(ids, l.DiffID())
		history = append(history, map[string]any{"created_by": l.CreatedBy})
	}
	return JSON(t, map[string]any{
		"os": parts[0], "architecture": parts[1], "variant": parts[2],
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids}, "history": history,
	})
}

// Image adds an image with its layers and returns the descriptor of its manifest.
func (f Files) Image(t testing.TB, platform string, layers ...Layer) Descriptor {
	t.Helper()
	list := []Descriptor{}
	for _, l := range layers {
		list = append(list, f.Blob(l.MediaType, l.Content))
	}
	config := f.Blob("application/vnd.oci.image.config.v1+json", Config(t, platform, layers...))
	return f.Blob(registry.MediaTypeImage, JSON(t, map[string]any{
		"schemaVersion": 2, "mediaType": registry.MediaTypeImage, "config": config, "layers": list,
	}))
}

// Index adds an index and returns its descriptor.
func (f Files) Index(t testing.TB, manifests ...Descriptor) Descriptor {
	t.Helper()
	return f.Blob(registry.MediaTypeIndex, JSON(t, map[string]any{
		"schemaVersion": 2, "mediaType": registry.MediaTypeIndex, "manifests": manifests,
	}))
}

// Layout makes the files an OCI layout of the manifests.
func (f Files) Layout(t testing.TB, manifests ...Descriptor) Files {
	t.Helper()
	f["oci-layout"] = []byte(`{"imageLayoutVersion":"1.0.0"}`)
	f["index.json"] = JSON(t, map[string]any{"schemaVersion": 2, "manifests": manifests})
	return f
}

// Docker adds an image as docker save does, for manifest.json.
func (f Files) Docker(t testing.TB, tags []string, layers ...Layer) map[string]any {
	t.Helper()
	config := Config(t, "linux/amd64", layers...)
	_, hex, _ := strings.Cut(blob.SHA256.Of(config), ":")
	f[hex+".json"] = config
	paths := []string{}
	for _, l := range layers {
		_, hex, _ := strings.Cut(l.DiffID(), ":")
		f[hex+"/layer.tar"] = l.Content
		paths = append(paths, hex+"/layer.tar")
	}
	return map[string]any{"Config": hex + ".json", "RepoTags": tags, "Layers": paths}
}

// DockerManifest adds manifest.json.
func (f Files) DockerManifest(t testing.TB, images ...map[string]any) Files {
	t.Helper()
	f["manifest.json"] = JSON(t, images)
	return f
}

// JSON writes a value.
func JSON(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Dir writes the files into a new folder.
func (f Files) Dir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for path, content := range f {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Tar makes an archive of the files, in order of their names.
func (f Files) Tar(t testing.TB) []byte {
	t.Helper()
	var paths []string
	for path := range f {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, path := range paths {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(f[path]))}
		content := f[path]
		if to, ok := strings.CutPrefix(string(content), Link); ok {
			h.Typeflag, h.Linkname, h.Size, content = tar.TypeSymlink, to, 0, nil
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Write writes content into a new file and returns its path.
func Write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Legacy adds an image as docker before 1.10 saved it, below names that are no
// digests, and returns the name of its top layer.
func (f Files) Legacy(t testing.TB, layers ...Layer) string {
	t.Helper()
	parent := ""
	for n, l := range layers {
		id := fmt.Sprintf("%064d", n+1)
		f[id+"/VERSION"] = []byte("1.0")
		f[id+"/json"] = JSON(t, map[string]any{
			"id": id, "parent": parent, "os": "linux", "architecture": "amd64",
			"container_config": map[string]any{"Cmd": []string{"/bin/sh", "-c", l.CreatedBy}},
		})
		f[id+"/layer.tar"] = l.Content
		parent = id
	}
	return parent
}
