package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/oci/registry"
)

var (
	digestC = "sha256:" + strings.Repeat("c", 64)
	digestD = "sha256:" + strings.Repeat("d", 64)
)

func part(mediaType, digest, annotations string) string {
	if annotations != "" {
		annotations = `,"annotations":{` + annotations + `}`
	}
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":3%s}`, mediaType, digest, annotations)
}

func TestBills(t *testing.T) {
	const (
		octets  = "application/octet-stream"
		inToto  = "application/vnd.in-toto+json"
		spdx    = "application/spdx+json"
		empty   = "application/vnd.oci.empty.v1+json"
		subject = `"subject":`
	)
	of := subject + part(registry.MediaTypeImage, digestC, "")
	artifact := func(config, more string, layers ...string) string {
		return `{"schemaVersion":2,"mediaType":"` + registry.MediaTypeImage + `","config":` + part(config, digestA, "") + `,"layers":[` + strings.Join(layers, ",") + `]` + more + `}`
	}
	layerOf := func(mediaType string) registry.Reference {
		return registry.Reference{Kind: registry.KindLayer, MediaType: mediaType, Digest: digestD, Size: 3}
	}
	self := []registry.Bill{{Subject: digestC}}
	for _, tt := range []struct {
		name, content string
		bills         []registry.Bill
		documents     []registry.Reference
	}{
		{"artifact type", artifact(empty, `,"artifactType":"`+spdx+`",`+of, part(octets, digestD, "")), self, []registry.Reference{layerOf(octets)}},
		{"artifact type with a parameter", artifact(empty, `,"artifactType":"application/vnd.cyclonedx+json; version=1.6",`+of, part(octets, digestD, "")), self, []registry.Reference{layerOf(octets)}},
		{"layer", artifact(empty, `,"artifactType":"x/y",`+of, part("x/z", digestA, ""), part("text/spdx+json", digestD, "")), self, []registry.Reference{layerOf("text/spdx+json")}},
		{"configuration", artifact("application/vnd.syft+json", ","+of, part(empty, digestD, "")), self,
			[]registry.Reference{{Kind: registry.KindConfig, MediaType: "application/vnd.syft+json", Digest: digestA, Size: 3}}},
		{"statement of a bill", artifact(empty, ","+of, part(inToto, digestD, `"in-toto.io/predicate-type":"https://spdx.dev/Document"`)), self, []registry.Reference{layerOf(inToto)}},
		{"statement of something else", artifact(empty, ","+of, part(inToto, digestD, `"in-toto.io/predicate-type":"https://slsa.dev/provenance/v1"`)), nil, nil},
		{"envelope", artifact(empty, ","+of, part("application/vnd.dsse.envelope.v1+json", digestD, `"predicateType":"https://cyclonedx.org/bom/v1.6"`)), self,
			[]registry.Reference{layerOf("application/vnd.dsse.envelope.v1+json")}},
		{"bundle", artifact(empty, `,"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json","annotations":{"dev.sigstore.bundle.predicateType":"https://spdx.dev/Document/v2.3"},`+of,
			part("application/vnd.dev.sigstore.bundle.v0.3+json", digestD, "")), self, []registry.Reference{layerOf("application/vnd.dev.sigstore.bundle.v0.3+json")}},
		{"signature", artifact(empty, `,"artifactType":"application/vnd.dev.cosign.artifact.sig.v1+json",`+of, part(octets, digestD, "")), nil, nil},
		{"no subject", artifact(empty, `,"artifactType":"`+spdx+`"`, part(octets, digestD, "")), nil, []registry.Reference{layerOf(octets)}},
		{"our own", artifact(empty, `,"artifactType":"`+spdx+`","annotations":{"`+registry.AnnotationAttached+`":"SPDX 2.3"},`+of, part(spdx, digestD, "")), nil, []registry.Reference{layerOf(spdx)}},
		{"image", image(""), nil, nil},
		{"index", index(strings.Join([]string{
			part(registry.MediaTypeImage, digestA, ""),
			part(registry.MediaTypeImage, digestD, `"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"`+digestA+`"`),
			part(registry.MediaTypeImage, digestD, `"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"`+digestA+`"`),
			part(registry.MediaTypeImage, digestC, `"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"nothing"`),
			part(registry.MediaTypeImage, digestC, `"vnd.docker.reference.type":"other","vnd.docker.reference.digest":"`+digestA+`"`),
			part(registry.MediaTypeImage, digestC, `"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"`+digestC+`"`),
		}, ","), ""), []registry.Bill{{Subject: digestA, Manifest: digestD}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := registry.Parse("", []byte(tt.content))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.bills, m.Bills); diff != "" {
				t.Errorf("bills (-want +got):\n%s", diff)
			}
			documents, err := registry.Documents([]byte(tt.content))
			if diff := cmp.Diff(tt.documents, documents); err != nil || diff != "" {
				t.Errorf("documents: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}
