package attach_test

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/sbom"
	"github.com/pratique/pratique/internal/sbom/attach"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// harbour is a registry that holds one image.
type harbour struct {
	t          *testing.T
	store      *store.Store
	blobs      blob.Store
	attacher   *attach.Attacher
	repository registry.Repository
	image      string
}

func newHarbour(t *testing.T, s *store.Store) harbour {
	t.Helper()
	blobs, err := blob.NewDir(t.TempDir(), blob.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	h := harbour{t: t, store: s, blobs: blobs, attacher: attach.New(s, blobs, attach.Options{Host: registryHost, Version: "1"})}
	if _, err := s.CreateRegistry(t.Context(), registry.Registry{Name: "main"}); err != nil {
		t.Fatal(err)
	}
	if h.repository, err = s.EnsureRepository(t.Context(), "main", "team/app"); err != nil {
		t.Fatal(err)
	}
	m := &registry.Manifest{Digest: blob.SHA256.Of([]byte("image")), MediaType: registry.MediaTypeImage, Content: []byte("image")}
	if err := s.PutManifest(t.Context(), h.repository.ID, m, nil); err != nil {
		t.Fatal(err)
	}
	h.image = m.Digest
	if err := s.SaveImage(t.Context(), image.Image{Digest: h.image, MediaType: m.MediaType, Architecture: "amd64"}); err != nil {
		t.Fatal(err)
	}
	return h
}

// analyse gives the image an inventory of one package.
func (h harbour) analyse(name string) {
	h.t.Helper()
	id, err := h.store.SaveInventory(h.t.Context(), name, inventory.Image{
		Distribution: inventory.Distribution{ID: "debian", Version: "12"},
		Packages: []inventory.Installed{{
			Package: inventory.Package{Type: "deb", Distribution: "debian:12", Name: name, Version: "1", SourceName: name, SourceVersion: "1"},
			Path:    "var/lib/dpkg/status", Line: 3, Detector: "dpkg",
		}},
	}, match.Package)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.store.SettleImage(h.t.Context(), h.image, image.Done, "", id); err != nil {
		h.t.Fatal(err)
	}
}

func (h harbour) set(format registry.BillFormat) {
	h.t.Helper()
	if _, err := h.store.UpdateRegistry(h.t.Context(), "main", registry.Change{AttachSBOM: &format}); err != nil {
		h.t.Fatal(err)
	}
}

// attached reads the bills that the image's referrers hold.
func (h harbour) attached() (types []string, packages []string) {
	h.t.Helper()
	list, _, err := h.store.Referrers(h.t.Context(), h.repository.ID, h.image, "", "", 10, 1<<20)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range list {
		types = append(types, r.ArtifactType)
		if r.Annotations[registry.AnnotationAttached] == "" {
			h.t.Errorf("%s is not marked: %v", r.Digest, r.Annotations)
		}
		m, err := h.store.Manifest(h.t.Context(), h.repository.ID, r.Digest)
		if err != nil {
			h.t.Fatal(err)
		}
		var manifest ocispec.Manifest
		if err := json.Unmarshal(m.Content, &manifest); err != nil {
			h.t.Fatal(err)
		}
		if manifest.Subject.Digest.String() != h.image || manifest.Subject.Size != int64(len("image")) || manifest.Config.MediaType != ocispec.MediaTypeEmptyJSON || len(manifest.Layers) != 1 {
			h.t.Errorf("got %s", m.Content)
		}
		layer := manifest.Layers[0]
		if size, err := h.store.RepositoryBlob(h.t.Context(), h.repository.ID, layer.Digest.String()); err != nil || size != layer.Size || layer.MediaType != r.ArtifactType {
			h.t.Errorf("%+v: stored are %d bytes, %v", layer, size, err)
		}
		content, _, err := h.blobs.Open(h.t.Context(), layer.Digest.String())
		if err != nil {
			h.t.Fatal(err)
		}
		text, err := io.ReadAll(content)
		if err != nil {
			h.t.Fatal(err)
		}
		if want := "pkg:oci/app@" + h.image + "?arch=amd64&repository_url=registry.example.com%2Fmain%2Fteam%2Fapp"; !strings.Contains(strings.ReplaceAll(string(text), `\u0026`, "&"), want) {
			h.t.Errorf("the bill does not name %s", want)
		}
		document, err := sbom.Read(strings.NewReader(string(text)), sbom.Limits{})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, p := range document.Packages {
			packages = append(packages, document.Format+" "+p.Name)
		}
	}
	return types, packages
}

func (h harbour) want(what string, wantType, wantPackage string) {
	h.t.Helper()
	types, packages := h.attached()
	if strings.Join(types, " ") != wantType || strings.Join(packages, " ") != wantPackage {
		h.t.Errorf("%s: got %v of %v, want %s of %s", what, types, packages, wantType, wantPackage)
	}
}

func TestImage(t *testing.T) {
	storetest.Each(t, store.Options{Now: func() time.Time { return noon }}, func(t *testing.T, s *store.Store) {
		h := newHarbour(t, s)
		run := func() {
			t.Helper()
			if err := h.attacher.Image(t.Context(), h.image); err != nil {
				t.Fatal(err)
			}
		}
		h.set(registry.CycloneDX)
		run()
		h.want("not analysed yet", "", "")
		h.analyse("bash")
		run()
		run()
		h.want("attached", sbom.CycloneDXType, "CycloneDX 1.6 bash")
		h.analyse("zsh")
		run()
		h.want("analysed again", sbom.CycloneDXType, "CycloneDX 1.6 zsh")
		h.set(registry.SPDX)
		if n, err := h.attacher.All(t.Context(), "main", func(int) {}); n != 1 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		h.want("in another format", sbom.SPDXType, "SPDX 2.3 zsh")
		if n, err := h.attacher.All(t.Context(), "", func(int) {}); n != 0 || err != nil {
			t.Errorf("nothing is left to do: got %d, %v", n, err)
		}
		h.set(registry.NoBill)
		run()
		h.want("no more", "", "")
	})
}

// Replicas do the same work at once; one bill is the result.
func TestReplicas(t *testing.T) {
	storetest.Each(t, store.Options{Now: func() time.Time { return noon }}, func(t *testing.T, s *store.Store) {
		h := newHarbour(t, s)
		h.analyse("bash")
		h.set(registry.CycloneDX)
		var wg sync.WaitGroup
		for _, version := range []string{"1", "1", "2", "3"} { // of a program that is being replaced, too
			replica := attach.New(s, h.blobs, attach.Options{Host: registryHost, Version: version})
			wg.Go(func() {
				if err := replica.Image(context.Background(), h.image); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		h.want("attached", sbom.CycloneDXType, "CycloneDX 1.6 bash")
	})
}

func registryHost(context.Context) string { return "registry.example.com" }
