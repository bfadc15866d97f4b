package image_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
)

func TestParse(t *testing.T) {
	const layer = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:aa","size":3}`
	tests := []struct {
		name    string
		content string
		ok      bool
		layers  []image.Layer
		fails   bool
	}{
		{"oci image", `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:cc"},"layers":[` + layer + `]}`, true,
			[]image.Layer{{Digest: "sha256:aa", Size: 3, MediaType: "application/vnd.oci.image.layer.v1.tar+gzip"}}, false},
		{"docker schema 2 with a foreign layer", `{"config":{"mediaType":"application/vnd.docker.container.image.v1+json"},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"sha256:ff","urls":["https://example.org/l"]}]}`, true,
			[]image.Layer{{Digest: "sha256:ff", MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Foreign: true}}, false},
		{"empty image", `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json"},"layers":[]}`, true, nil, false},
		{"attestation", `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json"},"layers":[{"mediaType":"application/vnd.in-toto+json","digest":"sha256:aa"}]}`, false, nil, false},
		{"artifact", `{"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json"},"layers":[` + layer + `]}`, false, nil, false},
		{"index", `{"manifests":[]}`, false, nil, false},
		{"layer of an unknown kind stays a layer", `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json"},"layers":[{"mediaType":"application/x-tar","digest":"sha256:aa"}]}`, true,
			[]image.Layer{{Digest: "sha256:aa", MediaType: "application/x-tar"}}, false},
		{"not JSON", `<html>`, false, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			img, ok, err := image.Parse("sha256:00", "m", []byte(test.content))
			if (err != nil) != test.fails {
				t.Fatalf("error %v", err)
			}
			if ok != test.ok {
				t.Errorf("ok = %v, want %v", ok, test.ok)
			}
			if diff := cmp.Diff(test.layers, img.Layers); ok && diff != "" {
				t.Errorf("layers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDescribeSkipsEmptyLayers(t *testing.T) {
	img := image.Image{Layers: make([]image.Layer, 2)}
	err := img.Describe([]byte(`{"os":"linux","architecture":"arm64","variant":"v8","history":[
		{"created_by":"ADD a"},{"created_by":"ENV x","empty_layer":true},{"created_by":"RUN b"},{"created_by":"RUN too many"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := []string{img.Layers[0].CreatedBy, img.Layers[1].CreatedBy, img.OS, img.Architecture, img.Variant}; !cmp.Equal(got, []string{"ADD a", "RUN b", "linux", "arm64", "v8"}) {
		t.Errorf("got %q", got)
	}
	if err := img.Describe([]byte(`[]`)); err == nil {
		t.Error("a configuration that is no object is no error")
	}
}

func TestBaseLayers(t *testing.T) {
	for history, want := range map[string]int{
		`{"created_by":"ADD a"},{"created_by":"CMD [\"sh\"]","empty_layer":true},{"created_by":"RUN b"}`:                                                       1,
		`{"created_by":"ADD a"},{"created_by":"/bin/sh -c #(nop)  CMD [\"sh\"]","empty_layer":true},{"created_by":"RUN b"},{"created_by":"RUN c"}`:             1,
		`{"created_by":"ADD a"},{"created_by":"RUN b"},{"created_by":"CMD [\"app\"]","empty_layer":true}`:                                                      0,
		`{"created_by":"ADD a"},{"created_by":"CMD x","empty_layer":true},{"created_by":"RUN b"},{"created_by":"CMD y","empty_layer":true},{"created_by":"c"}`: 2,
		`{"created_by":"RUN echo CMD"},{"created_by":"RUN b"}`:                                                                                                 0,
	} {
		img := image.Image{Layers: make([]image.Layer, 3)}
		if err := img.Describe([]byte(`{"history":[` + history + `]}`)); err != nil {
			t.Fatal(err)
		}
		if img.BaseLayers != want {
			t.Errorf("%s: %d layers of the base, want %d", history, img.BaseLayers, want)
		}
	}
}

func TestChains(t *testing.T) {
	of := func(digests ...string) []string {
		var img image.Image
		for _, d := range digests {
			img.Layers = append(img.Layers, image.Layer{Digest: d})
		}
		return img.Chains()
	}
	long, short, other := of("a", "b", "c"), of("a", "b"), of("b", "a")
	if len(long) != 3 || !cmp.Equal(long[:2], short) || short[1] == other[1] || short[0] == short[1] {
		t.Errorf("got %q, %q, %q", long, short, other)
	}
}

func TestCoverage(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	fresh := image.Data{Updated: now.Add(-time.Hour), StaleAfter: 2 * time.Hour}
	done := image.Image{State: image.Done, Distribution: "debian:12", Packages: 3, Types: map[string]int{"deb": 3}}
	with := func(change func(*image.Image)) image.Image {
		img := done
		change(&img)
		return img
	}
	tests := []struct {
		name   string
		img    image.Image
		data   image.Data
		want   image.Verdict
		reason string
	}{
		{"current", done, fresh, image.Known, ""},
		{"pending", with(func(i *image.Image) { i.State = image.Pending }), fresh, image.Unjudged, "not done yet"},
		{"layer unreadable", with(func(i *image.Image) { i.State, i.Error = image.Failed, "layer sha256:aa: truncated" }), fresh, image.Unjudged, "truncated"},
		{"nothing found", image.Image{State: image.Done}, fresh, image.Unjudged, "no package database"},
		{"database removed", with(func(i *image.Image) { i.Packages, i.Types = 0, nil }), fresh, image.Unjudged, "no package database"},
		{"release file removed", with(func(i *image.Image) { i.Distribution = "" }), fresh, image.Unjudged, "distribution is not known"},
		{"no feed", done, image.Data{}, image.Unjudged, "no feed has data on debian:12"},
		{"stale feed", done, image.Data{Updated: now.Add(-3 * time.Hour), StaleAfter: 2 * time.Hour}, image.Partial, "last confirmed at 2026-01-01T21:00:00Z"},
		{"a language that a feed speaks of", with(func(i *image.Image) { i.Types = map[string]int{"deb": 3, "golang": 2} }), fresh, image.Known, ""},
		{"a language that no feed speaks of", with(func(i *image.Image) { i.Types = map[string]int{"deb": 3, "npm": 2} }), fresh, image.Partial, "2 packages of type npm are not judged"},
		{"only a program", image.Image{State: image.Done, Packages: 2, Types: map[string]int{"golang": 2}}, fresh, image.Known, ""},
		{"a system without its packages", with(func(i *image.Image) { i.Types = map[string]int{"golang": 3} }), fresh, image.Unjudged, "no package database of debian:12"},
		{"warning", with(func(i *image.Image) {
			i.Warnings = []inventory.Warning{{Path: "var/lib/dpkg/status", Message: "cut short"}}
		}), fresh, image.Partial, "var/lib/dpkg/status: cut short"},
		{"a warning does not soften unknown", with(func(i *image.Image) {
			i.Distribution = ""
			i.Warnings = []inventory.Warning{{Message: "cut short"}}
		}), fresh, image.Unjudged, "distribution is not known"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.img.Coverage(map[string]image.Data{"debian:12": test.data, "golang": fresh}, now)
			if got.Verdict != test.want {
				t.Errorf("verdict %q, want %q", got.Verdict, test.want)
			}
			if !strings.Contains(strings.Join(got.Reasons, "; "), test.reason) || (test.reason == "") != (len(got.Reasons) == 0) {
				t.Errorf("reasons %q, want %q", got.Reasons, test.reason)
			}
		})
	}
}
