package target_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/layer"
	lt "github.com/pratique/pratique/internal/layer/layertest"
	"github.com/pratique/pratique/internal/target"
	tt "github.com/pratique/pratique/internal/target/targettest"
)

// sameContents compares layers with what the archive is to give of them.
func sameContents(t *testing.T, img *target.Image, want ...[]byte) {
	t.Helper()
	got := contents(t, img)
	if len(got) != len(want) {
		t.Fatalf("%d layers, want %d", len(got), len(want))
	}
	for n := range want {
		if !bytes.Equal(got[n], want[n]) {
			t.Errorf("layer %d has other content", n)
		}
	}
}

func TestDockerArchive(t *testing.T) {
	base, upper := layerOf(t, "a", "base"), layerOf(t, "b", "upper")
	plainBase, plainUpper := tt.PlainLayer("COPY a", base.Plain), tt.PlainLayer("COPY b", upper.Plain)
	for _, test := range []struct {
		name string
		make func(files tt.Files)
		// selection, and the name that the image has then
		selection, called string
		want              []string // the digests
		content           [][]byte
	}{
		{"as docker saves", func(files tt.Files) {
			files.DockerManifest(t, files.Docker(t, []string{"app:1"}, plainBase, plainUpper))
		}, "", "app:1", []string{base.DiffID(), upper.DiffID()}, [][]byte{base.Plain, upper.Plain}},
		{"layers that are compressed", func(files tt.Files) {
			files.DockerManifest(t, files.Docker(t, []string{"app:1"}, base, upper))
		}, "", "app:1", []string{base.DiffID(), upper.DiffID()}, [][]byte{base.Plain, upper.Plain}},
		{"a layout as well, with containerd's blobs", func(files tt.Files) {
			files.Layout(t, files.Image(t, "linux/amd64", base, upper).Named("app:1"))
			files.DockerManifest(t, map[string]any{
				"Config":   tt.Path(files.Blob("", tt.Config(t, "linux/amd64", base, upper)).Digest()),
				"RepoTags": []string{"app:1"}, "Layers": []string{tt.Path(base.Digest()), tt.Path(upper.Digest())},
			})
		}, "", "app:1", []string{base.Digest(), upper.Digest()}, [][]byte{base.Content, upper.Content}},
		{"links, as podman and skopeo write them", func(files tt.Files) {
			one := files.Docker(t, nil, plainBase, plainUpper)
			files["v1/layer.tar"] = []byte(tt.Link + "../" + one["Layers"].([]string)[1])
			one["Layers"] = []string{one["Layers"].([]string)[0], "v1/layer.tar"}
			files.DockerManifest(t, one)
		}, "", "", []string{base.DiffID(), upper.DiffID()}, [][]byte{base.Plain, upper.Plain}},
		{"by name of several", func(files tt.Files) {
			files.DockerManifest(t, files.Docker(t, []string{"a:1"}, plainBase), files.Docker(t, []string{"localhost/b:2", "docker.io/library/c:latest"}, plainUpper))
		}, ":c", "c", []string{upper.DiffID()}, [][]byte{upper.Plain}},
		{"by number of several", func(files tt.Files) {
			files.DockerManifest(t, files.Docker(t, []string{"a:1"}, plainBase), files.Docker(t, []string{"b:2"}, plainUpper))
		}, ":@1", "b:2", []string{upper.DiffID()}, [][]byte{upper.Plain}},
		{"the same layer twice", func(files tt.Files) {
			files.DockerManifest(t, files.Docker(t, []string{"app:1"}, plainBase, plainBase))
		}, "", "app:1", []string{base.DiffID(), base.DiffID()}, [][]byte{base.Plain, base.Plain}},
		{"docker before 1.10", func(files tt.Files) {
			top := files.Legacy(t, plainBase, plainUpper)
			files["repositories"] = tt.JSON(t, map[string]any{"app": map[string]string{"1": top, "latest": top}})
		}, "", "app:1", []string{"", ""}, [][]byte{base.Plain, upper.Plain}},
		{"docker before 1.10, by name", func(files tt.Files) {
			top := files.Legacy(t, plainBase, plainUpper)
			files["repositories"] = tt.JSON(t, map[string]any{"app": map[string]string{"1": strings.Repeat("0", 63) + "1", "2": top}})
		}, ":app:1", "app:1", []string{""}, [][]byte{base.Plain}},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := tt.Files{}
			test.make(files)
			archive := files.Tar(t)
			for _, path := range []string{tt.Write(t, "a.tar", archive), tt.Write(t, "a.tar.gz", lt.Gzip(t, archive)), tt.Write(t, "a.tar.zst", lt.Zstd(t, archive))} {
				images, err := open(t, "docker-archive:"+path+test.selection, "")
				if err != nil {
					t.Fatal(err)
				}
				img := images[0]
				called := test.called
				if called == "" {
					called = path
				}
				if img.Name != called {
					t.Errorf("it is called %q, want %q", img.Name, called)
				}
				if img.Platform().String() != "linux/amd64" || !strings.Contains(img.Layers[0].CreatedBy, "COPY ") {
					t.Errorf("got %+v", img)
				}
				for n, want := range test.want {
					if img.Layers[n].Digest != want {
						t.Errorf("layer %d: got %s, want %s", n, img.Layers[n].Digest, want)
					}
				}
				sameContents(t, img, test.content...)
			}
		})
	}
}

// The members of a compressed archive are read in the order in which they lie
// there, whatever the order of the layers; another order works, too.
func TestCompressedArchiveIsReadInOrder(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	var layers []tt.Layer
	var want [][]byte
	for range 4 {
		noise := make([]byte, 3<<20) // more than is kept in memory
		if _, err := random.Read(noise); err != nil {
			t.Fatal(err)
		}
		l := tt.PlainLayer("COPY x", lt.Tar(t, lt.File("x", string(noise))))
		layers, want = append(layers, l), append(want, l.Plain)
	}
	files := tt.Files{}
	files.DockerManifest(t, files.Docker(t, []string{"app:1"}, layers...))
	images, err := open(t, "docker-archive:"+tt.Write(t, "a.tgz", lt.Gzip(t, files.Tar(t))), "")
	if err != nil {
		t.Fatal(err)
	}
	img := images[0]
	if !img.OneByOne() {
		t.Error("it can be read side by side")
	}
	digest := ""
	for _, n := range img.Order() {
		if img.Layers[n].Digest < digest { // the archive is in order of names
			t.Errorf("order %v", img.Order())
		}
		digest = img.Layers[n].Digest
	}
	sameContents(t, img, want...)
	for n := range img.Layers { // in the order of the image, parts only
		content, err := img.Layer(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 1<<20)
		if _, err := io.ReadFull(content, got); err != nil || !bytes.Equal(got, want[n][:1<<20]) {
			t.Errorf("layer %d: other content, %v", n, err)
		}
		content.Close()
	}
	held, err := img.Layer(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := img.Layer(ended, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a second layer is open: %v", err)
	}
	held.Close()
}

func TestArchiveRefuses(t *testing.T) {
	layer := tt.PlainLayer("COPY a", lt.Tar(t, lt.File("a", "a")))
	other := tt.PlainLayer("COPY b", lt.Tar(t, lt.File("b", "b")))
	docker := func(change func(files tt.Files, one map[string]any)) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			files := tt.Files{}
			one := files.Docker(t, []string{"app:1"}, layer)
			change(files, one)
			return files.DockerManifest(t, one).Tar(t)
		}
	}
	legacy := func(change func(files tt.Files)) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			files := tt.Files{}
			files["repositories"] = tt.JSON(t, map[string]any{"app": map[string]string{"1": files.Legacy(t, layer, other)}})
			change(files)
			return files.Tar(t)
		}
	}
	one, two := strings.Repeat("0", 63)+"1", strings.Repeat("0", 63)+"2"
	for _, test := range []struct {
		name      string
		content   func(t *testing.T) []byte
		selection string
		says      string
	}{
		{"empty", func(*testing.T) []byte { return nil }, "", "neither manifest.json nor index.json"},
		{"no archive", func(*testing.T) []byte { return bytes.Repeat([]byte("hello"), 500) }, "", "tar"},
		{"cut off", func(t *testing.T) []byte {
			whole := docker(func(tt.Files, map[string]any) {})(t)
			return whole[:len(whole)/2]
		}, "", "unexpected EOF"},
		{"gzip that is cut off", func(t *testing.T) []byte {
			whole := lt.Gzip(t, docker(func(tt.Files, map[string]any) {})(t))
			return whole[:len(whole)/2]
		}, "", "gzip"},
		{"manifest that is no JSON", func(t *testing.T) []byte { return tt.Files{"manifest.json": []byte("{")}.Tar(t) }, "", "manifest.json"},
		{"no image", func(t *testing.T) []byte { return tt.Files{"manifest.json": []byte("[]")}.Tar(t) }, "", "lists none"},
		{"large manifest", func(t *testing.T) []byte {
			return tt.Files{"manifest.json": bytes.Repeat([]byte(" "), 17<<20)}.Tar(t)
		}, "", "16777216"},
		{"manifest twice", func(t *testing.T) []byte {
			first := tt.Files{"manifest.json": []byte("[]")}.Tar(t)
			return append(first[:len(first)-1024], docker(func(tt.Files, map[string]any) {})(t)...)
		}, "", `"manifest.json" is in the archive twice`},
		{"no such image", docker(func(tt.Files, map[string]any) {}), ":app:2", `"app:2"; there is app:1`},
		{"no such number", docker(func(tt.Files, map[string]any) {}), ":@1", "@1 of 1"},
		{"missing configuration", docker(func(files tt.Files, one map[string]any) { delete(files, one["Config"].(string)) }), "", "missing"},
		{"configuration of another digest", docker(func(files tt.Files, one map[string]any) { files[one["Config"].(string)] = []byte("{}") }), "", "digest mismatch"},
		{"more layers than the configuration has", docker(func(_ tt.Files, one map[string]any) { one["Layers"] = append(one["Layers"].([]string), "x") }), "", "it has 1 layers, and manifest.json 2"},
		{"configuration that is a folder", docker(func(_ tt.Files, one map[string]any) { one["Config"] = "../.." }), "", "missing"},
		{"links in a circle", docker(func(files tt.Files, one map[string]any) {
			files["a"], files["b"] = []byte(tt.Link+"b"), []byte(tt.Link+"a")
			one["Config"] = "a"
		}), "", "leads nowhere"},
		{"link out of the archive", docker(func(files tt.Files, one map[string]any) {
			files["a"] = []byte(tt.Link + "../../../../etc/passwd")
			one["Config"] = "a"
		}), "", "missing"},
		{"sparse", func(t *testing.T) []byte {
			return lt.Tar(t, lt.PAX("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "manifest.json", "GNU.sparse.realsize", "4"), lt.File("manifest.json", "1\n0\n512\n"+strings.Repeat("\x00", 512)))
		}, "", "sparse"},
		{"a layout of another image", docker(func(files tt.Files, _ map[string]any) { files.Layout(t, files.Image(t, "linux/amd64", other)) }), "", "different images"},
		{"digest of no kind", docker(func(files tt.Files, one map[string]any) {
			files["c.json"] = []byte(`{"rootfs":{"diff_ids":["md5:x"]}}`)
			one["Config"] = "c.json"
		}), "", "digest"},
		{"its own ancestor", legacy(func(files tt.Files) { files[one+"/json"] = tt.JSON(t, map[string]any{"parent": two}) }), "", "its own ancestor"},
		{"missing ancestor", legacy(func(files tt.Files) { delete(files, one+"/json") }), "", "missing"},
		{"ancestor elsewhere", legacy(func(files tt.Files) { files[two+"/json"] = tt.JSON(t, map[string]any{"parent": "../x"}) }), "", "not the name of a folder"},
		{"repositories that are no JSON", legacy(func(files tt.Files) { files["repositories"] = []byte("[]") }), "", "repositories"},
		{"several of docker before 1.10", legacy(func(files tt.Files) {
			files["repositories"] = tt.JSON(t, map[string]any{"app": map[string]string{"1": one, "2": two}})
		}), "", "there are app:1, app:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := open(t, "docker-archive:"+tt.Write(t, "a.tar", test.content(t))+test.selection, "")
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
	t.Run("not a file", func(t *testing.T) {
		if _, err := open(t, "docker-archive:"+t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "regular file") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("docker's archive as a layout", func(t *testing.T) {
		path := tt.Write(t, "a.tar", docker(func(tt.Files, map[string]any) {})(t))
		if _, err := open(t, "oci-archive:"+path, ""); err == nil || !strings.Contains(err.Error(), "docker-archive:"+path) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another platform", func(t *testing.T) {
		path := tt.Write(t, "a.tar", docker(func(tt.Files, map[string]any) {})(t))
		if _, err := open(t, "docker-archive:"+path, "linux/arm64"); !errors.Is(err, target.ErrNoImage) {
			t.Errorf("got %v", err)
		}
	})
}

func TestArchiveOfVeryManyMembers(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for range 50_001 {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, "docker-archive:"+tt.Write(t, "a.tar", b.Bytes()), ""); err == nil || !strings.Contains(err.Error(), "more than 50000 members") {
		t.Errorf("got %v", err)
	}
}

// A bomb ends at the limits of the layer pass.
func TestArchiveBomb(t *testing.T) {
	files := tt.Files{"manifest.json": []byte("[]"), "zeros": make([]byte, 32<<20)}
	name, err := target.Parse("docker-archive:" + tt.Write(t, "a.tgz", lt.Gzip(t, files.Tar(t))))
	if err != nil {
		t.Fatal(err)
	}
	for _, limits := range []layer.Options{{RatioFrom: 1 << 20}, {Bytes: 16 << 20}} {
		if _, err := target.Open(t.Context(), name, target.Options{Limits: limits}); !errors.Is(err, layer.ErrLimit) {
			t.Errorf("%+v: got %v", limits, err)
		}
	}
}
