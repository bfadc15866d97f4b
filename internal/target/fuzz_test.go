package target_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/pratique/pratique/internal/layer"
	lt "github.com/pratique/pratique/internal/layer/layertest"
	"github.com/pratique/pratique/internal/target"
	tt "github.com/pratique/pratique/internal/target/targettest"
)

// readWhole opens a target and reads what it has.
func readWhole(kind target.Kind, rest string) {
	opts := target.Options{Limits: layer.Options{Bytes: 8 << 20}}
	source, err := target.Open(context.Background(), target.Name{Kind: kind, Rest: rest}, opts)
	if err != nil {
		return
	}
	defer source.Close()
	for _, img := range source.Images {
		for _, n := range img.Order() {
			content, err := img.Layer(context.Background(), n)
			if err != nil {
				continue
			}
			_, _ = io.Copy(io.Discard, content)
			_ = content.Close()
		}
	}
}

// FuzzArchive: whatever a file holds, opening it ends, with an error or an image.
func FuzzArchive(f *testing.F) {
	base := tt.NewLayer(f, "COPY a", lt.Tar(f, lt.File("a", "a")))
	files := tt.Files{}
	files.DockerManifest(f, files.Docker(f, []string{"app:1"}, base))
	f.Add(files.Tar(f))
	f.Add(lt.Gzip(f, files.Tar(f)))
	files = tt.Files{}
	files.Layout(f, files.Index(f, files.Image(f, "linux/amd64", base).For("linux/amd64")))
	f.Add(files.Tar(f))
	files = tt.Files{}
	top := files.Legacy(f, base, base)
	files["repositories"] = tt.JSON(f, map[string]any{"app": map[string]string{"1": top}})
	f.Add(files.Tar(f))
	files["manifest.json"] = []byte(tt.Link + "repositories")
	f.Add(files.Tar(f))
	path := filepath.Join(f.TempDir(), "a.tar")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		readWhole(target.DockerArchive, path)
		readWhole(target.OCIArchive, path)
	})
}

// FuzzLayout: the same of index.json, and of a manifest and a configuration that
// it points to.
func FuzzLayout(f *testing.F) {
	base := tt.NewLayer(f, "COPY a", lt.Tar(f, lt.File("a", "a")))
	files := tt.Files{}
	image := files.Image(f, "linux/amd64", base)
	files.Layout(f, image)
	f.Add(files["index.json"], files[tt.Path(image.Digest())], tt.Config(f, "linux/amd64", base))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:","size":-1,"platform":null}]}`), []byte("{}"), []byte("null"))
	f.Fuzz(func(t *testing.T, index, manifest, config []byte) {
		files := tt.Files{"index.json": index}
		files.Blob("", manifest)
		files.Blob("", config)
		readWhole(target.OCIDir, files.Dir(t))
		// The fuzzer cannot guess a digest.
		d := files.Blob("application/vnd.oci.image.manifest.v1+json", manifest)
		files.Layout(t, d, d.With("mediaType", "application/vnd.oci.image.index.v1+json"))
		readWhole(target.OCIDir, files.Dir(t))
	})
}

// FuzzParse: a TARGET that is accepted is written in a way that means the same.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"alpine", "oci-dir:a:b", "localhost:5000/a:1", "docker://a/b@sha256:x", "rootfs:/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := target.Parse(text)
		if err != nil {
			return
		}
		again, err := target.Parse(name.String())
		if err != nil || again.Kind != name.Kind || again.String() != name.String() {
			t.Errorf("%q: %q became %q, %v", text, name, again, err)
		}
	})
}
