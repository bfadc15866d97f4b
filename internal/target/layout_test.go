package target_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	lt "github.com/pratique/pratique/internal/layer/layertest"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/target"
	tt "github.com/pratique/pratique/internal/target/targettest"
)

func layerOf(t testing.TB, name, content string) tt.Layer {
	return tt.NewLayer(t, "COPY "+name, lt.Tar(t, lt.File(name, content)))
}

// open opens a target that is to be closed at the end of the test.
func open(t testing.TB, text, platform string) ([]*target.Image, error) {
	t.Helper()
	name, err := target.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	source, err := target.Open(t.Context(), name, target.Options{Platform: platform})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	})
	return source.Images, nil
}

// contents reads each layer, in the order in which it is best read.
func contents(t testing.TB, img *target.Image) [][]byte {
	t.Helper()
	all := make([][]byte, len(img.Layers))
	for _, n := range img.Order() {
		content, err := img.Layer(context.Background(), n)
		if err != nil {
			t.Fatal(err)
		}
		if all[n], err = io.ReadAll(content); err != nil {
			t.Fatal(err)
		}
		if err := content.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestLayout(t *testing.T) {
	base, upper := layerOf(t, "a", "base"), layerOf(t, "b", "upper")
	files := tt.Files{}
	manifest := files.Image(t, "linux/amd64", base, upper)
	files.Layout(t, manifest.Named("1"))
	archive := files.Tar(t)
	dir := files.Dir(t)
	for _, test := range []struct{ name, target string }{
		{"folder", "oci-dir:" + dir},
		{"folder by name", "oci-dir:" + dir + ":1"},
		{"folder by number", "oci-dir:" + dir + ":@0"},
		{"archive", "oci-archive:" + tt.Write(t, "a:b.tar", archive)},
		{"archive by name", "oci-archive:" + tt.Write(t, "a:b.tar", archive) + ":1"},
		{"gzip", "oci-archive:" + tt.Write(t, "a.tgz", lt.Gzip(t, archive))},
		{"zstd", "oci-archive:" + tt.Write(t, "a.tar.zst", lt.Zstd(t, archive))},
		{"xz", "oci-archive:" + tt.Write(t, "a.tar.xz", lt.XZ(t, archive))},
		{"as docker's archive", "docker-archive:" + tt.Write(t, "a.tar", archive)},
	} {
		t.Run(test.name, func(t *testing.T) {
			images, err := open(t, test.target, "")
			if err != nil {
				t.Fatal(err)
			}
			img := images[0]
			if img.Digest != manifest.Digest() || img.Platform().String() != "linux/amd64" || len(img.Layers) != 2 || !strings.HasSuffix(img.Name, ":1") {
				t.Fatalf("got %+v", img)
			}
			if img.Layers[1].Digest != upper.Digest() || img.Layers[1].CreatedBy != "COPY b" {
				t.Errorf("layer: got %+v", img.Layers[1])
			}
			if got := contents(t, img); !bytes.Equal(got[0], base.Content) || !bytes.Equal(got[1], upper.Content) {
				t.Error("the layers have other content")
			}
		})
	}
}

func TestPlatforms(t *testing.T) {
	files := tt.Files{}
	image := func(platform string) tt.Descriptor {
		return files.Image(t, platform, layerOf(t, "etc/platform", platform)).For(platform)
	}
	amd, arm, old := image("linux/amd64"), image("linux/arm64/v8"), image("linux/arm/v6")
	unsaid := files.Image(t, "linux/riscv64", layerOf(t, "x", "riscv"))
	attestation := files.Image(t, "unknown/unknown", layerOf(t, "x", "{}")).For("unknown/unknown").
		With("annotations", map[string]string{"vnd.docker.reference.type": "attestation-manifest"})
	helm := files.Blob(registry.MediaTypeImage, tt.JSON(t, map[string]any{
		"schemaVersion": 2, "mediaType": registry.MediaTypeImage, "layers": []any{}, "config": files.Blob("application/vnd.cncf.helm.config.v1+json", []byte("{}")),
	}))
	nested := files.Index(t, arm, files.Index(t, old))
	host := target.Host().String()
	for _, test := range []struct {
		name, platform string
		list           []tt.Descriptor
		want           string // platforms, or a part of the error
		fails          bool
	}{
		{"one", "", []tt.Descriptor{old}, "linux/arm/v6", false},
		{"one that is asked for", "linux/arm/v6", []tt.Descriptor{old}, "linux/arm/v6", false},
		{"one that is not asked for", "linux/amd64", []tt.Descriptor{old}, "there are linux/arm/v6", true},
		{"the host's", "", []tt.Descriptor{arm, old, image(host)}, host, false},
		{"none for the host", "", []tt.Descriptor{old, image("windows/amd64")}, "there are linux/arm/v6, windows/amd64", true},
		{"with attestation", "", []tt.Descriptor{attestation, old}, "linux/arm/v6", false},
		{"artifact beside", "linux/riscv64", []tt.Descriptor{helm, unsaid}, "linux/riscv64", false},
		{"artifact only", "", []tt.Descriptor{helm}, `artifact of type "application/vnd.cncf.helm.config.v1+json"`, true},
		{"platform in the configuration", "linux/riscv64", []tt.Descriptor{unsaid, amd}, "linux/riscv64", false},
		{"nested", "linux/arm", []tt.Descriptor{nested}, "linux/arm/v6", false},
		{"nested, by another name", "linux/aarch64", []tt.Descriptor{nested, amd}, "linux/arm64/v8", false},
		{"all", "all", []tt.Descriptor{amd, nested, attestation, helm}, "linux/amd64 linux/arm64/v8 linux/arm/v6", false},
		{"malformed", "linux", []tt.Descriptor{amd}, "os/arch", true},
		{"nothing", "", []tt.Descriptor{}, "lists none", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			files.Layout(t, files.Index(t, test.list...))
			images, err := open(t, "oci-dir:"+files.Dir(t), test.platform)
			if test.fails {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("got %v, want %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, img := range images {
				got = append(got, img.Platform().String())
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

func TestLayoutOfSeveral(t *testing.T) {
	files := tt.Files{}
	a, b := files.Image(t, "linux/amd64", layerOf(t, "a", "a")), files.Image(t, "linux/amd64", layerOf(t, "b", "b"))
	host := target.Host().String()
	c := files.Image(t, host, layerOf(t, "c", "c"))
	for _, test := range []struct {
		name, selection string
		list            []tt.Descriptor
		want            string
	}{
		{"by tag", ":2", []tt.Descriptor{a.Named("1"), b.Named("2")}, b.Digest()},
		{"by name", ":app:2", []tt.Descriptor{a.Named("1"), b.Named("docker.io/library/app:2")}, b.Digest()},
		{"by number", ":@1", []tt.Descriptor{a.Named("1"), b.Named("2")}, b.Digest()},
		{"unnamed", "", []tt.Descriptor{a.Named("1"), b.Named("2")}, "there are 2, add the name of one; there are 1, 2"},
		{"no such name", ":3", []tt.Descriptor{a.Named("1"), b}, `"3"; there is 1`},
		{"no such number", ":@2", []tt.Descriptor{a, b}, "@2 of 2"},
		{"no number", ":@x", []tt.Descriptor{a, b}, "want a number"},
		{"several without names for one platform", "", []tt.Descriptor{c, c.With("annotations", map[string]string{})}, "add @0 to @1"},
		{"a name that is an escape", "", []tt.Descriptor{a.Named("1"), b.Named("\x1b[31m")}, `"\x1b[31m"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			files.Layout(t, test.list...)
			images, err := open(t, "oci-dir:"+files.Dir(t)+test.selection, "")
			if err != nil {
				if !errors.Is(err, target.ErrNoImage) && !errors.Is(err, target.ErrName) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				return
			}
			if images[0].Digest != test.want {
				t.Errorf("got %s, want %s", images[0].Digest, test.want)
			}
		})
	}
}

func TestLayoutRefuses(t *testing.T) {
	layer := layerOf(t, "a", "a")
	zeros := "sha256:" + strings.Repeat("0", 64)
	for _, test := range []struct {
		name string
		make func(t *testing.T, files tt.Files) tt.Files
		says []string
	}{
		{"no index", func(_ *testing.T, files tt.Files) tt.Files { return files }, []string{"index.json", "missing"}},
		{"index that is no JSON", func(t *testing.T, files tt.Files) tt.Files {
			files["index.json"] = []byte("<html>")
			return files
		}, []string{"index.json", "not JSON"}},
		{"index that is too large", func(t *testing.T, files tt.Files) tt.Files {
			files["index.json"] = bytes.Repeat([]byte(" "), 5<<20)
			return files
		}, []string{"index.json", "4194304"}},
		{"index with a key twice", func(t *testing.T, files tt.Files) tt.Files {
			files["index.json"] = []byte(`{"schemaVersion":2,"manifests":[],"manifests":[]}`)
			return files
		}, []string{"twice"}},
		{"missing manifest", func(t *testing.T, files tt.Files) tt.Files {
			return files.Layout(t, tt.Descriptor{"mediaType": registry.MediaTypeImage, "digest": zeros, "size": 3})
		}, []string{zeros, "missing"}},
		{"manifest of another digest", func(t *testing.T, files tt.Files) tt.Files {
			manifest := files.Image(t, "linux/amd64", layer)
			files[tt.Path(zeros)] = files[tt.Path(manifest.Digest())]
			return files.Layout(t, manifest.With("digest", zeros))
		}, []string{"digest mismatch", zeros}},
		{"configuration of another digest", func(t *testing.T, files tt.Files) tt.Files {
			manifest := files.Image(t, "linux/amd64", layer)
			config := tt.Config(t, "linux/amd64", layer)
			files[tt.Path(tt.Files{}.Blob("", config).Digest())] = []byte("{}")
			return files.Layout(t, manifest)
		}, []string{"configuration", "digest mismatch"}},
		{"missing configuration", func(t *testing.T, files tt.Files) tt.Files {
			manifest := files.Image(t, "linux/amd64", layer)
			delete(files, tt.Path(tt.Files{}.Blob("", tt.Config(t, "linux/amd64", layer)).Digest()))
			return files.Layout(t, manifest)
		}, []string{"configuration", "missing"}},
		{"index that lists itself", func(t *testing.T, files tt.Files) tt.Files {
			self := tt.Descriptor{"mediaType": registry.MediaTypeIndex, "digest": zeros, "size": 3}
			files[tt.Path(zeros)] = tt.JSON(t, map[string]any{"schemaVersion": 2, "mediaType": registry.MediaTypeIndex, "manifests": []any{self}})
			return files.Layout(t, self)
		}, []string{zeros, "digest mismatch"}},
		{"indexes one in the other", func(t *testing.T, files tt.Files) tt.Files {
			inner := files.Index(t, files.Image(t, "linux/amd64", layer))
			for range 5 {
				inner = files.Index(t, inner)
			}
			return files.Layout(t, inner)
		}, []string{"nested deeper than 4"}},
		{"index of very many", func(t *testing.T, files tt.Files) tt.Files {
			one := files.Image(t, "linux/amd64", layer).For("linux/amd64")
			var many []tt.Descriptor
			for range 1001 {
				many = append(many, one)
			}
			return files.Layout(t, files.Index(t, many...))
		}, []string{"more than 1000"}},
		{"an index that is an image as well", func(t *testing.T, files tt.Files) tt.Files {
			return files.Layout(t, files.Blob(registry.MediaTypeIndex, []byte(`{"schemaVersion":2,"manifests":[],"layers":[]}`)))
		}, []string{"layers has no place"}},
		{"a digest that climbs", func(t *testing.T, files tt.Files) tt.Files {
			return files.Layout(t, tt.Descriptor{"mediaType": registry.MediaTypeImage, "digest": "sha256:../../../../etc/passwd", "size": 3})
		}, []string{"digest"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := test.make(t, tt.Files{"x": nil})
			for _, text := range []string{"oci-dir:" + files.Dir(t), "oci-archive:" + tt.Write(t, "a.tar", files.Tar(t)), "oci-archive:" + tt.Write(t, "a.tgz", lt.Gzip(t, files.Tar(t)))} {
				_, err := open(t, text, "linux/amd64")
				if err == nil {
					t.Fatalf("%s was opened", text)
				}
				for _, want := range test.says {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("got %v, want %q", err, want)
					}
				}
			}
		})
	}
}

// A layer that is not there is told when it is read, so that the others can be.
func TestMissingLayer(t *testing.T) {
	base, upper := layerOf(t, "a", "a"), layerOf(t, "b", "b")
	files := tt.Files{}
	files.Layout(t, files.Image(t, "linux/amd64", base, upper))
	delete(files, tt.Path(upper.Digest()))
	for _, text := range []string{"oci-dir:" + files.Dir(t), "oci-archive:" + tt.Write(t, "a.tar", files.Tar(t))} {
		images, err := open(t, text, "")
		if err != nil {
			t.Fatal(err)
		}
		content, err := images[0].Layer(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		content.Close()
		if _, err := images[0].Layer(t.Context(), 1); !errors.Is(err, target.ErrMissing) || !strings.Contains(fmt.Sprint(err), upper.Digest()) {
			t.Errorf("got %v", err)
		}
	}
}

// What is no file would block, or never end.
func TestLayoutOfDevices(t *testing.T) {
	files := tt.Files{}
	base := layerOf(t, "a", "a")
	dir := files.Layout(t, files.Image(t, "linux/amd64", base)).Dir(t)
	path := filepath.Join(dir, filepath.FromSlash(tt.Path(base.Digest())))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", path); err != nil {
		t.Skip(err)
	}
	images, err := open(t, "oci-dir:"+dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := images[0].Layer(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}
