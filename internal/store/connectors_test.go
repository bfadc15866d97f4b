package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/internal/upstream"
)

func TestConnectors(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		for _, name := range []string{"a", "b"} {
			made, err := s.CreateConnector(ctx, upstream.Connector{Name: name, URL: "https://" + name + ".example.com", Sealed: []byte{1}, Timeout: time.Second, Concurrency: 1, TagAge: time.Minute, Allowed: []string{"x/*"}})
			if err != nil || made.Version != 1 || made.TagAge != time.Minute || len(made.Allowed) != 1 || len(made.Sealed) != 1 {
				t.Fatalf("%+v, %v", made, err)
			}
		}
		if _, err := s.CreateConnector(ctx, upstream.Connector{Name: "a"}); !errors.Is(err, upstream.ErrExists) {
			t.Errorf("a name twice: %v", err)
		}
		if err := s.AttachConnectors(ctx, "main", []string{"b", "a"}); err != nil {
			t.Fatal(err)
		}
		if err := s.AttachConnectors(ctx, "main", []string{"a", "none"}); !errors.Is(err, upstream.ErrNotFound) {
			t.Errorf("a connector that does not exist: %v", err)
		}
		if list, err := s.AttachedConnectors(ctx, "main"); err != nil || len(list) != 2 || list[0].Name != "b" {
			t.Errorf("attached: %+v, %v", list, err)
		}
		if _, err := s.AttachedConnectors(ctx, "none"); !errors.Is(err, upstream.ErrNotFound) {
			t.Errorf("a registry that does not exist: %v", err)
		}
		a, err := s.Connector(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		a.URL = "https://other.example.com"
		if changed, err := s.ChangeConnector(ctx, a); err != nil || changed.Version != 2 || changed.URL != a.URL {
			t.Errorf("%+v, %v", changed, err)
		}
		if _, err := s.ChangeConnector(ctx, a); !errors.Is(err, upstream.ErrChanged) {
			t.Errorf("an old version: %v", err)
		}
		if err := s.DeleteConnector(ctx, "b", 7); !errors.Is(err, upstream.ErrChanged) {
			t.Errorf("another version: %v", err)
		}
		if err := s.DeleteConnector(ctx, "b", 1); err != nil {
			t.Fatal(err)
		}
		if list, err := s.AttachedConnectors(ctx, "main"); err != nil || len(list) != 1 {
			t.Errorf("attached: %+v, %v", list, err)
		}
	})
}

// TestCachedAndPushed: what is pushed is never replaced by what upstream has.
func TestCachedAndPushed(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		manifest := func(text string) *registry.Manifest {
			return &registry.Manifest{Digest: "sha256:" + text, MediaType: registry.MediaTypeIndex, Content: []byte(text),
				References: []registry.Reference{{Kind: registry.KindBlob, Digest: "sha256:blob-" + text, Size: 1}}}
		}
		if err := s.CacheManifest(ctx, r.ID, manifest("one"), "1", "a"); err != nil {
			t.Fatal(err)
		}
		got, err := s.CachedTag(ctx, r.ID, "1")
		if err != nil || got.Local || got.Digest != "sha256:one" || got.Connector != "a" || !got.CheckedAt.Equal(clock.Now()) {
			t.Errorf("%+v, %v", got, err)
		}
		if m, err := s.Wanted(ctx, r.ID, "sha256:blob-one"); err != nil || m.Digest != "sha256:one" {
			t.Errorf("%+v, %v", m, err)
		}
		if _, err := s.Wanted(ctx, r.ID, "sha256:none"); !errors.Is(err, registry.ErrBlobUnknown) {
			t.Error(err)
		}
		if stale, err := s.Unpulled(ctx, clock.Now().Add(time.Second), 10); err != nil || len(stale) != 1 {
			t.Errorf("%+v, %v", stale, err)
		}
		pushed := manifest("one")
		pushed.References = nil
		if err := s.PutManifest(ctx, r.ID, pushed, []string{"1"}); err != nil {
			t.Fatal(err)
		}
		if got, err := s.CachedTag(ctx, r.ID, "1"); err != nil || !got.Local {
			t.Errorf("%+v, %v", got, err)
		}
		if stale, err := s.Unpulled(ctx, clock.Now().Add(time.Second), 10); err != nil || len(stale) != 0 {
			t.Errorf("what was pushed would go: %+v, %v", stale, err)
		}
		if err := s.CacheManifest(ctx, r.ID, manifest("two"), "1", "a"); err != nil {
			t.Fatal(err)
		}
		if got, err := s.CachedTag(ctx, r.ID, "1"); err != nil || got.Digest != "sha256:one" {
			t.Errorf("a pushed tag moved: %+v, %v", got, err)
		}
	})
}
