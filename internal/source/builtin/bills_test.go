package builtin_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/source/builtin"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/test/sample"
)

// harbour is a fixture with a repository.
type harbour struct {
	fixture
	t          *testing.T
	repository int64
}

func newHarbour(t *testing.T, s *store.Store) harbour {
	t.Helper()
	if _, err := s.CreateRegistry(t.Context(), registry.Registry{Name: "main"}); err != nil {
		t.Fatal(err)
	}
	r, err := s.EnsureRepository(t.Context(), "main", "app")
	if err != nil {
		t.Fatal(err)
	}
	return harbour{newFixture(t, s, builtin.Options{Settle: time.Minute}), t, r.ID}
}

// put stores a manifest as the registry does, and has it looked at.
func (h harbour) put(digest string, content []byte, bills ...registry.Bill) {
	h.t.Helper()
	m := &registry.Manifest{Digest: digest, MediaType: registry.MediaTypeImage, Content: content, Bills: bills}
	if err := h.store.PutManifest(h.t.Context(), h.repository, m, nil); err != nil {
		h.t.Fatal(err)
	}
	if err := h.ManifestStored(h.t.Context(), digest, m.MediaType, content); err != nil {
		h.t.Fatal(err)
	}
}

// bill stores an artifact that holds documents, and returns its digest.
func (h harbour) bill(subject string, documents ...string) string {
	h.t.Helper()
	content, bills := h.artifact(subject, documents...)
	digest := blob.SHA256.Of(content)
	h.put(digest, content, bills...)
	return digest
}

func (h harbour) artifact(subject string, documents ...string) ([]byte, []registry.Bill) {
	var layers []string
	for _, text := range documents {
		digest := blob.SHA256.Of([]byte(text))
		h.blobs.put(digest, []byte(text))
		layers = append(layers, fmt.Sprintf(`{"mediaType":"application/vnd.cyclonedx+json","digest":%q,"size":%d}`, digest, len(text)))
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":"application/vnd.cyclonedx+json",
		"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[%s],
		"subject":{"mediaType":%q,"digest":%q,"size":1}}`,
		registry.MediaTypeImage, blob.SHA256.Of([]byte("{}")), strings.Join(layers, ","), registry.MediaTypeImage, subject), []registry.Bill{{Subject: subject}}
}

// image stores an image of the layers, and returns its digest and content.
func (h harbour) image(layers ...sample.Layer) (string, []byte) {
	h.t.Helper()
	content := h.content(layers...)
	digest := blob.SHA256.Of(content)
	h.put(digest, content)
	return digest, content
}

// content is a manifest that a registry would take.
func (h harbour) content(layers ...sample.Layer) []byte {
	h.t.Helper()
	text := string(h.manifest(h.t, layers...))
	config := blob.SHA256.Of([]byte("config"))
	h.blobs.put(config, []byte("{}"))
	text = strings.Replace(text, "sha256:config", config, 1)
	return []byte(`{"schemaVersion":2,` + strings.ReplaceAll(text[1:], `"digest"`, `"size":1,"digest"`))
}

func (h harbour) remove(digest string, content []byte) {
	h.t.Helper()
	if _, err := h.store.DeleteManifest(h.t.Context(), h.repository, digest, registry.Deletion{}); err != nil {
		h.t.Fatal(err)
	}
	if err := h.ManifestDeleted(h.t.Context(), digest, registry.MediaTypeImage, content); err != nil {
		h.t.Fatal(err)
	}
}

// components is a CycloneDX bill of components, each a package URL.
func components(purls ...string) string {
	var list []string
	for i, purl := range purls {
		list = append(list, fmt.Sprintf(`{"type":"library","bom-ref":"c%d","name":"x","purl":%q}`, i, purl))
	}
	return `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[` + strings.Join(list, ",") + `]}`
}

// packages shows what is known of an image.
func (h harbour) packages(digest string) (list []string) {
	h.t.Helper()
	packages, err := h.store.ImagePackages(h.t.Context(), digest)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, p := range packages {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s %s", p.Type, p.Name, p.Version, p.Distribution, p.Detector, p.Evidence)))
		if p.Detector == "sbom" && (!strings.HasPrefix(p.Path, "referrer:sha256:") || p.LayerDigest != "") {
			h.t.Errorf("%s is at %s of layer %q", p.Name, p.Path, p.LayerDigest)
		}
	}
	return list
}

func (h harbour) want(what, digest string, want ...string) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.packages(digest)); diff != "" {
		h.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const musl = "apk musl 1.1.18-r3 alpine:v3.7 apk"

func TestBillsAddPackages(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		h := newHarbour(t, s)
		content := h.content(h.layer(t, alpineFiles("1.1.18-r3")...))
		img := blob.SHA256.Of(content)
		early := h.bill(img, components("pkg:npm/early@1"))
		h.put(img, content)
		h.want("a bill that was there before the image", img, "npm early 1  sbom component c0", musl)

		text := components("pkg:apk/alpine/musl@1.1.18-r3?arch=x86_64&distro=alpine-3.7.3", "pkg:apk/alpine/zlib@1.2.11-r1", "pkg:npm/early@1", "pkg:npm/left-pad@1.3.0")
		late, bills := h.artifact(img, text)
		digest := blob.SHA256.Of(late)
		h.put(digest, late, bills...)
		h.want("what is known already is not listed twice", img, "npm early 1  sbom component c0", "npm left-pad 1.3.0  sbom component c3", musl,
			"apk zlib 1.2.11-r1 alpine:v3.7 sbom component c1")
		got, err := s.ImageByDigest(t.Context(), img)
		if err != nil || got.State != image.Done || got.Packages != 4 {
			t.Errorf("got %+v, %v", got, err)
		}
		if want := img + " " + digest + "+"; h.queue.images[len(h.queue.images)-1] != want {
			t.Errorf("queued %v, want %s", h.queue.images, want)
		}

		h.remove(digest, late)
		h.want("a bill was deleted", img, "npm early 1  sbom component c0", musl)
		earlyContent, _ := h.artifact(img, components("pkg:npm/early@1"))
		h.remove(early, earlyContent)
		h.want("both were", img, musl)
		h.put(digest, late, bills...)
		h.remove(img, content)
		h.want("the bill's repository no longer has the image", img, musl)
	})
}

// A bill, wherever it comes from, makes an image no better known than its layers do.
func TestBillsProveNothing(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	h := newHarbour(t, s)
	img, _ := h.image(h.layer(t, sample.File{Path: "etc/os-release", Content: "ID=alpine\nVERSION_ID=3.7.3\n"}))
	h.bill(img, components("pkg:apk/alpine/musl@1.1.18-r3"))
	got, err := s.ImageByDigest(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	h.want("what the bill states", img, "apk musl 1.1.18-r3 alpine:v3.7 sbom component c0")
	if coverage := got.Coverage(map[string]image.Data{"alpine:v3.7": {Updated: time.Now()}}, time.Now()); coverage.Verdict != image.Unjudged {
		t.Errorf("got %+v", coverage)
	}
}

func TestUnreadableBills(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	h := newHarbour(t, s)
	img, _ := h.image(h.layer(t, alpineFiles("1.1.18-r3")...))
	broken := h.bill(img, "no bill", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"nameless"}]}`)
	content, bills := h.artifact(img, "gone")
	delete(h.blobs.content, blob.SHA256.Of([]byte("gone")))
	gone := blob.SHA256.Of(content)
	h.put(gone, content, bills...)
	strange := h.bill(img, components("pkg:deb/debian/apt@1", "pkg:apk/alpine/x@not-a-version?distro=alpine-3.7", "pkg:generic/y@1"))

	got, err := s.ImageByDigest(t.Context(), img)
	if err != nil || got.State != image.Done {
		t.Fatalf("got %+v, %v", got, err)
	}
	var warnings []string
	for _, w := range got.Warnings {
		warnings = append(warnings, w.Path+" "+w.Code+": "+w.Message)
	}
	want := []string{
		"referrer:" + broken + " unreadable: not a readable software bill of materials: byte 0: invalid character 'o' in literal null (expecting 'u')",
		"referrer:" + broken + ` unsupported: component "nameless" was left out: it has no package URL`,
		"referrer:" + gone + " unreadable: its content is not stored",
		"referrer:" + strange + " no-distribution: the distribution of 1 packages cannot be told",
		"referrer:" + strange + ` undetermined: x not-a-version cannot be judged`,
	}
	for i := range warnings { // the ordering's own words
		if before, _, cut := strings.Cut(warnings[i], "cannot be judged:"); cut {
			warnings[i] = before + "cannot be judged"
		}
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestManyBills(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	h := newHarbour(t, s)
	content := h.content(h.layer(t, alpineFiles("1.1.18-r3")...))
	img := blob.SHA256.Of(content)
	for i := range 22 {
		h.bill(img, components(fmt.Sprintf("pkg:npm/p%02d@1", i)))
	}
	h.put(img, content)
	got, err := s.ImageByDigest(t.Context(), img)
	if err != nil || got.Packages != 21 || !strings.Contains(fmt.Sprint(got.Warnings), "only the first 20 manifests with bills are read") {
		t.Errorf("got %d packages, %v, %v", got.Packages, got.Warnings, err)
	}
}

// BuildKit's attestations are named by the index that lists them beside the image.
func TestAttestations(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	h := newHarbour(t, s)
	img, _ := h.image(h.layer(t, alpineFiles("1.1.18-r3")...))
	statement := `{"predicateType":"https://cyclonedx.org/bom","predicate":` + components("pkg:npm/left-pad@1.3.0") + `}`
	envelope := `{"payload":"` + base64.StdEncoding.EncodeToString([]byte(statement)) + `"}`
	layer := blob.SHA256.Of([]byte(envelope))
	h.blobs.put(layer, []byte(envelope))
	attestation := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},
		"layers":[{"mediaType":"application/vnd.in-toto+json","digest":%q,"size":%d,"annotations":{"in-toto.io/predicate-type":"https://cyclonedx.org/bom"}}]}`,
		registry.MediaTypeImage, blob.SHA256.Of([]byte("{}")), layer, len(envelope))
	holder := blob.SHA256.Of(attestation)
	h.put(holder, attestation)
	h.want("before the index", img, musl)
	h.put(blob.SHA256.Of([]byte("index")), []byte(`{"schemaVersion":2,"manifests":[]}`), registry.Bill{Subject: img, Manifest: holder})
	h.want("after it", img, "npm left-pad 1.3.0  sbom component c0", musl)
}

// What a crash left between a push and its consequences is done at the next start.
func TestResumeReadsBills(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	h := newHarbour(t, s)
	img, _ := h.image(h.layer(t, alpineFiles("1.1.18-r3")...))
	content, bills := h.artifact(img, components("pkg:npm/left-pad@1.3.0"))
	m := &registry.Manifest{Digest: blob.SHA256.Of(content), MediaType: registry.MediaTypeImage, Content: content, Bills: bills}
	if err := s.PutManifest(t.Context(), h.repository, m, nil); err != nil {
		t.Fatal(err)
	}
	h.want("nobody was told", img, musl)
	if err := h.Resume(context.Background()); err != nil {
		t.Fatal(err)
	}
	h.want("resumed", img, "npm left-pad 1.3.0  sbom component c0", musl)
	if err := h.SettleImage(t.Context(), blob.SHA256.Of([]byte("unknown"))); err != nil {
		t.Errorf("an image that is gone: %v", err)
	}
}
