package promote_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/promote"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// gate blocks what it is told to.
type gate struct {
	reasons []policy.Reason
	asked   []policy.Pull
}

func (g *gate) Verdict(_ context.Context, pull policy.Pull) (policy.Verdict, error) {
	g.asked = append(g.asked, pull)
	return policy.Verdict{Blocked: len(g.reasons) > 0, Reasons: g.reasons}, nil
}

// told are the digests of the manifests that came to a place.
type told []string

func (o *told) ManifestStored(_ context.Context, digest, _ string, _ []byte) error {
	*o = append(*o, digest)
	return nil
}

type harbour struct {
	t       *testing.T
	store   *store.Store
	gate    gate
	told    told
	service *promote.Service
	from    registry.Repository
}

func each(t *testing.T, test func(h *harbour)) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		h := &harbour{t: t, store: s}
		for _, name := range []string{"build", "release"} {
			if _, err := s.CreateRegistry(t.Context(), registry.Registry{Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if h.from, err = s.EnsureRepository(t.Context(), "build", "team/app"); err != nil {
			t.Fatal(err)
		}
		h.service = promote.New(s, &h.gate, &h.told)
		test(h)
	})
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

func (h *harbour) blob(content string) descriptor {
	h.t.Helper()
	d := descriptor{"application/octet-stream", blob.SHA256.Of([]byte(content)), len(content)}
	if err := h.store.LinkBlob(h.t.Context(), h.from.ID, d.Digest, int64(d.Size)); err != nil {
		h.t.Fatal(err)
	}
	return d
}

func (h *harbour) put(mediaType string, document map[string]any, tags ...string) descriptor {
	h.t.Helper()
	document["schemaVersion"], document["mediaType"] = 2, mediaType
	content, err := json.Marshal(document)
	if err != nil {
		h.t.Fatal(err)
	}
	m, err := registry.Parse(mediaType, content)
	if err != nil {
		h.t.Fatal(err)
	}
	m.Digest = blob.SHA256.Of(content)
	if err := h.store.PutManifest(h.t.Context(), h.from.ID, m, tags); err != nil {
		h.t.Fatal(err)
	}
	return descriptor{mediaType, m.Digest, len(content)}
}

func (h *harbour) image(layer string, tags ...string) descriptor {
	h.t.Helper()
	return h.put(registry.MediaTypeImage, map[string]any{"config": h.blob("config of " + layer), "layers": []descriptor{h.blob(layer)}}, tags...)
}

func (h *harbour) tagged(tag string) string {
	h.t.Helper()
	to, err := h.store.Repository(h.t.Context(), "release", "team/app")
	if err != nil {
		return ""
	}
	m, err := h.store.TaggedManifest(h.t.Context(), to.ID, tag)
	if err != nil {
		return ""
	}
	return m.Digest
}

func request() promote.Request {
	return promote.Request{From: promote.Place{Registry: "build", Repository: "team/app", Tag: "1"}, To: promote.Place{Registry: "release"}, Comment: "tested", By: "ann"}
}

// TestPromote: an index comes with its images, and with the signatures of each.
func TestPromote(t *testing.T) {
	each(t, func(h *harbour) {
		t, ctx := h.t, h.t.Context()
		one, two := h.image("one"), h.image("two")
		index := h.put(registry.MediaTypeIndex, map[string]any{"manifests": []descriptor{one, two}}, "1", "latest")
		empty := h.blob("{}")
		signature := h.put(registry.MediaTypeImage, map[string]any{"artifactType": "example/signature", "config": empty, "layers": []descriptor{empty}, "subject": two})
		attestation := h.put(registry.MediaTypeImage, map[string]any{"artifactType": "example/attestation", "config": empty, "layers": []descriptor{empty}, "subject": index})
		plan, err := h.service.Plan(ctx, request())
		if err != nil || plan.Digest != index.Digest || plan.Manifests != 5 || plan.Replaces != "" || plan.Verdict.Blocked {
			t.Fatalf("plan %+v, %v", plan, err)
		}
		if h.tagged("1") != "" || len(h.told) > 0 {
			t.Fatal("a plan changes something")
		}
		done, err := h.service.Promote(ctx, request())
		if err != nil {
			t.Fatal(err)
		}
		want := promote.Promotion{ID: done.ID, At: done.At, By: "ann", From: request().From, To: promote.Place{Registry: "release", Repository: "team/app", Tag: "1"},
			Digest: index.Digest, Comment: "tested", Manifests: 5}
		if done != want || done.At.IsZero() {
			t.Errorf("got %+v", done)
		}
		if h.tagged("1") != index.Digest || h.tagged("latest") != "" {
			t.Errorf("tags 1 %q, latest %q", h.tagged("1"), h.tagged("latest"))
		}
		to, err := h.store.Repository(ctx, "release", "team/app")
		if err != nil {
			t.Fatal(err)
		}
		for what, d := range map[string]descriptor{"first image": one, "second image": two, "signature": signature, "attestation": attestation} {
			if m, err := h.store.Manifest(ctx, to.ID, d.Digest); err != nil || m.PushedBy != "ann" {
				t.Errorf("%s: %+v, %v", what, m, err)
			}
		}
		if len(h.told) != 5 || h.told[4] != index.Digest {
			t.Errorf("told of %v", h.told)
		}
		again, err := h.service.Promote(ctx, request())
		if err != nil || again.ID == done.ID {
			t.Errorf("again: %+v, %v", again, err)
		}
		for _, q := range []struct {
			digest, registry string
			readable         []string
			before           int64
			want             int
		}{
			{"", "", nil, 0, 2}, {index.Digest, "", nil, 0, 2}, {one.Digest, "", nil, 0, 0}, {"", "build", nil, 0, 2}, {"", "release", nil, 0, 2}, {"", "other", nil, 0, 0}, {"", "", nil, again.ID, 1},
			{"", "", []string{"build", "release"}, 0, 2}, {"", "", []string{"build"}, 0, 0}, {"", "", []string{}, 0, 0},
		} {
			if list, err := h.store.Promotions(ctx, promote.Filter{Digest: q.digest, Registry: q.registry, Readable: q.readable}, q.before, 10); err != nil || len(list) != q.want {
				t.Errorf("%+v: %d, %v", q, len(list), err)
			}
		}
	})
}

func TestBlockedPromotion(t *testing.T) {
	each(t, func(h *harbour) {
		t, ctx := h.t, h.t.Context()
		img := h.image("one", "1")
		if err := h.store.SaveImage(ctx, storedImage(img.Digest)); err != nil {
			t.Fatal(err)
		}
		h.gate.reasons = []policy.Reason{{Kind: policy.AboutFinding, Message: "CVE-1 is assessed as Block"}}
		_, err := h.service.Promote(ctx, request())
		var blocked *policy.BlockedError
		if !errors.As(err, &blocked) || blocked.Registry != "release" || !strings.Contains(err.Error(), "CVE-1") || h.tagged("1") != "" {
			t.Errorf("got %v", err)
		}
		if len(h.gate.asked) != 1 || h.gate.asked[0].Registry != "release" || h.gate.asked[0].Repository != "team/app" || h.gate.asked[0].Digest != img.Digest || h.gate.asked[0].User != "ann" {
			t.Errorf("asked %+v", h.gate.asked)
		}
		h.gate.reasons = []policy.Reason{{Kind: policy.AboutSources, Message: "clair has not answered"}}
		if plan, err := h.service.Plan(ctx, request()); err != nil || plan.Verdict.Blocked || len(plan.Verdict.Warnings) != 1 {
			t.Errorf("%+v, %v", plan, err)
		}
		if _, err := h.service.Promote(ctx, request()); err != nil || h.tagged("1") != img.Digest {
			t.Errorf("a source that is asked only there keeps it out: %v", err)
		}
	})
}

func TestPromotionsThatCannotBe(t *testing.T) {
	each(t, func(h *harbour) {
		t, ctx := h.t, h.t.Context()
		img := h.image("one", "1")
		for _, tt := range []struct {
			what   string
			change func(*promote.Request)
			want   error
		}{
			{"no such registry", func(r *promote.Request) { r.From.Registry = "none" }, registry.ErrRegistryUnknown},
			{"no such repository", func(r *promote.Request) { r.From.Repository = "none" }, registry.ErrRepositoryUnknown},
			{"no such tag", func(r *promote.Request) { r.From.Tag = "none" }, registry.ErrManifestUnknown},
			{"no such digest", func(r *promote.Request) { r.From.Tag, r.Digest = "", blob.SHA256.Of(nil) }, registry.ErrManifestUnknown},
			{"nowhere to go", func(r *promote.Request) { r.To.Registry = "none" }, registry.ErrRegistryUnknown},
			{"a bad name", func(r *promote.Request) { r.To.Repository = "../etc" }, registry.ErrNameInvalid},
			{"a bad tag", func(r *promote.Request) { r.To.Tag = "a/b" }, registry.ErrNameInvalid},
			{"where it is", func(r *promote.Request) { r.To.Registry = "build" }, promote.ErrNowhere},
		} {
			r := request()
			tt.change(&r)
			if _, err := h.service.Promote(ctx, r); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
			}
		}
		if list, err := h.store.Promotions(ctx, promote.Filter{}, 0, 10); err != nil || len(list) > 0 {
			t.Errorf("%+v, %v", list, err)
		}
		r := request()
		r.To = promote.Place{Registry: "build", Tag: "stable"}
		if p, err := h.service.Promote(ctx, r); err != nil || p.Digest != img.Digest {
			t.Errorf("to another tag of the same repository: %v", err)
		}
		bytes := int64(1)
		if _, err := h.store.UpdateRegistry(ctx, "release", registry.Change{Quota: &bytes}); err != nil {
			t.Fatal(err)
		}
		var full *registry.QuotaError
		if _, err := h.service.Promote(ctx, request()); !errors.As(err, &full) || h.tagged("1") != "" {
			t.Errorf("beyond the quota: %v", err)
		}
	})
}

func storedImage(digest string) image.Image {
	return image.Image{Digest: digest, MediaType: registry.MediaTypeImage, Layers: []image.Layer{{Digest: blob.SHA256.Of([]byte("one"))}}}
}
