package registry_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
)

var (
	digestA = "sha256:" + strings.Repeat("a", 64)
	digestB = "sha512:" + strings.Repeat("b", 128)
	config  = `{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + digestA + `","size":2}`
	layer   = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"` + digestB + `","size":3}`
)

func image(more string) string {
	return `{"schemaVersion":2,"mediaType":"` + registry.MediaTypeImage + `","config":` + config + `,"layers":[` + layer + `]` + more + `}`
}

func index(entries, more string) string {
	return `{"schemaVersion":2,"mediaType":"` + registry.MediaTypeIndex + `","manifests":[` + entries + `]` + more + `}`
}

func TestParse(t *testing.T) {
	wantConfig := registry.Reference{Kind: registry.KindConfig, MediaType: "application/vnd.oci.image.config.v1+json", Digest: digestA, Size: 2}
	wantLayer := registry.Reference{Kind: registry.KindLayer, MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", Digest: digestB, Size: 3}
	foreign := `{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"` + digestA + `","size":9,"urls":["https://example.com/"]}`
	child := `{"mediaType":"` + registry.MediaTypeImage + `","digest":"` + digestA + `","size":7,"platform":{"os":"linux","architecture":"amd64"}}`
	data := `{"mediaType":"text/plain","digest":"` + blob.SHA256.Of([]byte("hi")) + `","size":2,"data":"` + base64.StdEncoding.EncodeToString([]byte("hi")) + `"}`
	for _, tt := range []struct {
		name, contentType, content string
		want                       registry.Manifest
	}{
		{"image", registry.MediaTypeImage, image(""), registry.Manifest{
			MediaType: registry.MediaTypeImage, ArtifactType: "application/vnd.oci.image.config.v1+json", References: []registry.Reference{wantConfig, wantLayer},
		}},
		{"content type with a parameter", registry.MediaTypeImage + "; charset=utf-8", image(""), registry.Manifest{
			MediaType: registry.MediaTypeImage, ArtifactType: "application/vnd.oci.image.config.v1+json", References: []registry.Reference{wantConfig, wantLayer},
		}},
		{"no content type", "", image(""), registry.Manifest{
			MediaType: registry.MediaTypeImage, ArtifactType: "application/vnd.oci.image.config.v1+json", References: []registry.Reference{wantConfig, wantLayer},
		}},
		{"no mediaType", registry.MediaTypeImage, `{"schemaVersion":2,"config":` + config + `,"layers":null}`, registry.Manifest{
			MediaType: registry.MediaTypeImage, ArtifactType: "application/vnd.oci.image.config.v1+json", References: []registry.Reference{wantConfig},
		}},
		{
			"artifact with a subject, annotations and own fields", registry.MediaTypeImage,
			image(`,"artifactType":"x/y","subject":{"mediaType":"a/b","digest":"` + digestB + `","size":1},"annotations":{"Layers":"1","layers":"2"},"x":{"y":[{"config":1}]}`),
			registry.Manifest{
				MediaType: registry.MediaTypeImage, ArtifactType: "x/y", Subject: digestB, Annotations: map[string]string{"Layers": "1", "layers": "2"},
				References: []registry.Reference{wantConfig, wantLayer},
			},
		},
		{
			"docker with a foreign layer", registry.MediaTypeDockerImage,
			`{"schemaVersion":2,"mediaType":"` + registry.MediaTypeDockerImage + `","config":` + config + `,"layers":[` + foreign + `]}`,
			registry.Manifest{
				MediaType: registry.MediaTypeDockerImage, ArtifactType: "application/vnd.oci.image.config.v1+json",
				References: []registry.Reference{wantConfig, {
					Kind: registry.KindLayer, MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest: digestA, Size: 9, Optional: true,
				}},
			},
		},
		{"index of a manifest and a blob", registry.MediaTypeIndex, index(child+","+data, ""), registry.Manifest{
			MediaType: registry.MediaTypeIndex,
			References: []registry.Reference{
				{Kind: registry.KindManifest, MediaType: registry.MediaTypeImage, Digest: digestA, Size: 7},
				{Kind: registry.KindBlob, MediaType: "text/plain", Digest: blob.SHA256.Of([]byte("hi")), Size: 2},
			},
		}},
		{"empty list", registry.MediaTypeDockerList, `{"schemaVersion":2,"mediaType":"` + registry.MediaTypeDockerList + `","manifests":[]}`, registry.Manifest{
			MediaType: registry.MediaTypeDockerList,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := registry.Parse(tt.contentType, []byte(tt.content))
			if err != nil {
				t.Fatalf("%s: %v", tt.content, err)
			}
			tt.want.Content = []byte(tt.content)
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	nested := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	many := strings.Repeat(layer+",", 10_000) + layer
	for _, tt := range []struct{ name, contentType, content, want string }{
		{"empty", registry.MediaTypeImage, "", "it is not JSON"},
		{"no object", registry.MediaTypeImage, `[]`, "it is not an object"},
		{"null", registry.MediaTypeImage, `null`, "it is not an object"},
		{"cut", registry.MediaTypeImage, image("")[:100], "it is not JSON"},
		{"two values", registry.MediaTypeImage, image("") + "{}", "something follows"},
		{"not UTF-8", registry.MediaTypeImage, image(",\"x\":\"\xff\""), "not UTF-8"},
		{"byte order mark", registry.MediaTypeImage, "\ufeff" + image(""), "it is not JSON"},
		{"too deep", registry.MediaTypeImage, image(`,"x":` + nested), "nests deeper"},
		{"too large", registry.MediaTypeImage, image(`,"x":"` + strings.Repeat("x", registry.MaxManifest) + `"`), "more than 4194304 bytes"},
		{"duplicate key", registry.MediaTypeImage, image(`,"layers":[]`), `key "layers" occurs twice`},
		{"duplicate key, escaped", registry.MediaTypeImage, image(`,"l\u0061yers":[]`), `key "layers" occurs twice`},
		{"duplicate key, nested", registry.MediaTypeImage, image(`,"x":[{"y":{"z":1,"z":2}}]`), `key "z" occurs twice`},
		{"key of another case", registry.MediaTypeImage, image(`,"Layers":[]`), `"Layers" can be taken for "layers"`},
		{"key with a long s", registry.MediaTypeImage, image(`,"layerſ":[]`), `can be taken for "layers"`},
		{"descriptor key of another case", registry.MediaTypeImage, strings.Replace(image(""), `"size":3`, `"size":3,"Digest":"x"`, 1), `layers[0]: key "Digest" can be taken for "digest"`},
		{"image with manifests", registry.MediaTypeImage, image(`,"manifests":[]`), "manifests has no place"},
		{"index with layers", registry.MediaTypeIndex, index("", `,"layers":[]`), "layers has no place"},
		{"index with a config", registry.MediaTypeIndex, index("", `,"config":`+config), "config has no place"},
		{"image pushed as index", registry.MediaTypeIndex, image(""), "but mediaType is"},
		{"index without mediaType pushed as image", registry.MediaTypeImage, `{"schemaVersion":2,"manifests":[]}`, "manifests has no place"},
		{"schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1,"fsLayers":[]}`, "is none of"},
		{"schema 1 as an image", registry.MediaTypeImage, image(`,"fsLayers":[]`), "fsLayers has no place"},
		{"no media type at all", "", `{"schemaVersion":2,"config":` + config + `,"layers":[]}`, "neither the Content-Type nor mediaType"},
		{"unknown media type", "application/json", `{"schemaVersion":2}`, "is none of"},
		{"Content-Type malformed", "a/b/c; =", `{"schemaVersion":2}`, "Content-Type"},
		{"docker without mediaType", registry.MediaTypeDockerImage, `{"schemaVersion":2,"config":` + config + `,"layers":[]}`, "mediaType: want"},
		{"mediaType no string", registry.MediaTypeImage, `{"schemaVersion":2,"mediaType":1}`, "mediaType: want a string"},
		{"schemaVersion missing", registry.MediaTypeImage, `{"config":` + config + `}`, "schemaVersion: want 2"},
		{"schemaVersion 1", registry.MediaTypeImage, `{"schemaVersion":1,"config":` + config + `}`, "schemaVersion: want 2"},
		{"schemaVersion string", registry.MediaTypeImage, `{"schemaVersion":"2","config":` + config + `}`, "schemaVersion: want 2"},
		{"config missing", registry.MediaTypeImage, `{"schemaVersion":2,"layers":[]}`, "config: it is missing"},
		{"config null", registry.MediaTypeImage, `{"schemaVersion":2,"config":null,"layers":[]}`, "config: it is missing"},
		{"config a string", registry.MediaTypeImage, `{"schemaVersion":2,"config":"x"}`, "config: it is not an object"},
		{"layers an object", registry.MediaTypeImage, `{"schemaVersion":2,"config":` + config + `,"layers":{}}`, "layers: want a list"},
		{"layer null", registry.MediaTypeImage, `{"schemaVersion":2,"config":` + config + `,"layers":[null]}`, "layers[0]: it is not an object"},
		{"too many layers", registry.MediaTypeImage, `{"schemaVersion":2,"config":` + config + `,"layers":[` + many + `]}`, "more than 10000"},
		{"digest malformed", registry.MediaTypeImage, strings.Replace(image(""), digestB, "sha256:../../x", 1), "layers[0]: digest"},
		{"digest of an unknown algorithm", registry.MediaTypeImage, strings.Replace(image(""), digestB, "md5:"+strings.Repeat("a", 32), 1), "layers[0]: digest"},
		{"digest missing", registry.MediaTypeImage, strings.Replace(image(""), `"digest":"`+digestB+`",`, "", 1), "layers[0]: digest"},
		{"descriptor without media type", registry.MediaTypeImage, strings.Replace(image(""), `"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",`, "", 1), "layers[0]: mediaType"},
		{"size negative", registry.MediaTypeImage, strings.Replace(image(""), `"size":3`, `"size":-3`, 1), "layers[0]: size"},
		{"size a fraction", registry.MediaTypeImage, strings.Replace(image(""), `"size":3`, `"size":3.5`, 1), "layers[0]: size"},
		{"size too large", registry.MediaTypeImage, strings.Replace(image(""), `"size":3`, `"size":99999999999999999999`, 1), "layers[0]: size"},
		{"size missing", registry.MediaTypeImage, strings.Replace(image(""), `,"size":3`, ``, 1), "layers[0]: size"},
		{"urls a string", registry.MediaTypeImage, strings.Replace(image(""), `"size":3`, `"size":3,"urls":"x"`, 1), "layers[0]: urls"},
		{"data that lies", registry.MediaTypeImage, strings.Replace(image(""), `"size":3`, `"size":3,"data":"YWFh"`, 1), "layers[0]: data"},
		{"data no base64", registry.MediaTypeImage, strings.Replace(image(""), `"size":3`, `"size":3,"data":"?"`, 1), "layers[0]: data"},
		{"annotation no string", registry.MediaTypeImage, image(`,"annotations":{"a":1}`), "annotations: want"},
		{"artifactType no string", registry.MediaTypeImage, image(`,"artifactType":1`), "artifactType: want"},
		{"subject malformed", registry.MediaTypeImage, image(`,"subject":{"mediaType":"a/b","digest":"x","size":1}`), "subject: digest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := registry.Parse(tt.contentType, []byte(tt.content))
			if !errors.Is(err, registry.ErrManifestInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want ErrManifestInvalid with %q", err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, content := range []string{image(""), index("", ""), image(`,"subject":` + layer), image(`,"x":{"a":[1,2.5,true,null,"\u0061"]}`)} {
		f.Add(registry.MediaTypeImage, content)
		f.Add("", content)
	}
	f.Add("", image(`,"artifactType":"application/spdx+json","subject":`+layer))
	f.Add("", index(`{"mediaType":"`+registry.MediaTypeImage+`","digest":"`+digestA+`","size":1,"annotations":{"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"`+digestB+`"}}`, ""))
	f.Fuzz(func(t *testing.T, contentType, content string) {
		m, err := registry.Parse(contentType, []byte(content))
		if err != nil {
			return
		}
		if string(m.Content) != content {
			t.Error("the content changed")
		}
		if m.IsIndex() && strings.Contains(fmt.Sprint(m.References), "{layer ") {
			t.Errorf("an index has layers: %v", m.References)
		}
		if documents, err := registry.Documents(m.Content); err != nil || len(documents) > len(m.References) || m.Subject != "" && len(m.Bills) > len(documents) {
			t.Errorf("bills %v of %v, %v", m.Bills, documents, err)
		}
		for _, r := range m.References {
			if _, _, err := blob.ParseDigest(r.Digest); err != nil || r.Size < 0 {
				t.Errorf("reference %v: %v", r, err)
			}
		}
	})
}
