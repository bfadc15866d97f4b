package oci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/internal/usage"
)

// scanner has the pull token of a vulnerability source.
type scanner struct{ oci.Authorizer }

func (s scanner) Authorize(r *http.Request, wants ...auth.Access) (auth.Principal, error) {
	p, err := s.Authorizer.Authorize(r, wants...)
	if p.Name == "scanner" {
		p.Source = "clair"
	}
	return p, err
}

// closed is a gate that blocks one image.
type closed struct{ digest string }

func (c closed) Check(_ context.Context, pull policy.Pull) (policy.Verdict, error) {
	if pull.Place.Digest == c.digest {
		return policy.Verdict{}, &policy.BlockedError{Place: pull.Place}
	}
	return policy.Verdict{}, nil
}

// TestPullsAreCounted: what was answered with a manifest is a pull, and nothing else.
func TestPullsAreCounted(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		counter := usage.New(h.store, usage.Options{})
		h.usage, h.authorizer = counter, scanner{h.authorizer}
		h.rights = rights{"scanner main/app pull", "bob main/app pull"}
		image := h.manifest("main/app", nil, "layer")
		blocked := h.manifest("main/app", nil, "bad")
		h.gate = closed{blob.SHA256.Of(blocked)}
		h.restart()
		digest := blob.SHA256.Of(image)
		h.want("push", h.tag("main/app", "1", image), http.StatusCreated, "")
		h.want("push what is blocked", h.tag("main/app", "bad", blocked), http.StatusCreated, "")
		index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []descriptor{{manifestType, digest, len(image)}}})
		if err != nil {
			t.Fatal(err)
		}
		h.want("push an index", h.do("PUT", "/v2/main/app/manifests/all", bytes.NewReader(index), "Content-Type", indexType), http.StatusCreated, "")
		repository, err := h.store.Repository(t.Context(), "main", "app")
		if err != nil {
			t.Fatal(err)
		}
		get := func(method, reference string, status int, header ...string) {
			t.Helper()
			if a := h.do(method, "/v2/main/app/manifests/"+reference, nil, header...); a.status != status {
				t.Errorf("%s %s: %d %s", method, reference, a.status, a.body)
			}
		}
		pulls := func(what string, want string) {
			t.Helper()
			counter.Write(t.Context())
			tags, err := h.store.TagPulls(t.Context(), repository.ID, []string{"1", "bad", "all"})
			if err != nil {
				t.Fatal(err)
			}
			all, err := h.store.RepositoryPulls(t.Context(), []int64{repository.ID})
			if err != nil {
				t.Fatal(err)
			}
			of := func(digest string) int64 {
				u, _, err := h.store.ImageUsage(t.Context(), digest, nil)
				if err != nil {
					t.Fatal(err)
				}
				return u.Pulls
			}
			got := fmt.Sprintf("tags %d %d, image %d, index %d, repository %d", tags["1"].Pulls, tags["all"].Pulls, of(digest), of(blob.SHA256.Of(index)), all[repository.ID].Pulls)
			if got != want || tags["bad"].Pulls != 0 || of(blob.SHA256.Of(blocked)) != 0 {
				t.Errorf("%s: %s, want %s; blocked: %d and %d", what, got, want, tags["bad"].Pulls, of(blob.SHA256.Of(blocked)))
			}
		}
		pulls("a push is no pull", "tags 0 0, image 0, index 0, repository 0")
		get("HEAD", "1", http.StatusOK)
		get("GET", "1", http.StatusNotModified, "If-None-Match", `"`+digest+`"`)
		get("GET", "bad", http.StatusForbidden)
		get("HEAD", "bad", http.StatusForbidden)
		get("GET", blob.SHA256.Of(blocked), http.StatusForbidden)
		get("GET", "none", http.StatusNotFound)
		h.user = "scanner"
		get("GET", "1", http.StatusOK)
		get("GET", digest, http.StatusOK)
		get("GET", "bad", http.StatusOK)
		h.user = "eve"
		get("GET", "1", http.StatusForbidden)
		h.user = ""
		pulls("neither are these", "tags 0 0, image 0, index 0, repository 0")
		h.user = "bob" // who did not ask for the tag
		get("GET", "1", http.StatusOK)
		pulls("by tag", "tags 1 0, image 1, index 0, repository 1")
		get("GET", digest, http.StatusOK)
		pulls("by digest", "tags 1 0, image 2, index 0, repository 2")
		get("GET", "all", http.StatusOK)
		get("GET", digest, http.StatusOK)
		pulls("an index and then an image of it", "tags 1 1, image 3, index 1, repository 3")
		get("HEAD", "all", http.StatusOK)
		get("GET", blob.SHA256.Of(index), http.StatusOK)
		get("GET", digest, http.StatusOK)
		pulls("as Docker and containerd do", "tags 1 2, image 4, index 2, repository 4")
		get("HEAD", "1", http.StatusOK, "User-Agent", "one")
		get("GET", digest, http.StatusOK, "User-Agent", "another")
		pulls("another client", "tags 1 2, image 5, index 2, repository 5")
	})
}

// BenchmarkPull is how long a manifest takes whose pull is counted, or not, while it
// is written every few seconds.
func BenchmarkPull(b *testing.B) {
	for _, counted := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "counted"}[counted], func(b *testing.B) {
			h := newHarbour(b, storetest.SQLite(b, store.Options{}))
			var tags []string
			for i := range 100 {
				tags = append(tags, fmt.Sprint("t", i))
				h.want("push", h.tag("main/app", tags[i], h.manifest("main/app", nil, fmt.Sprint("layer", i))), http.StatusCreated, "")
			}
			options := oci.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
			if counted {
				counter := usage.New(h.store, usage.Options{})
				ctx, stop := context.WithCancel(b.Context())
				ended := make(chan error, 1)
				go func() { ended <- counter.Run(ctx) }()
				b.Cleanup(func() { stop(); <-ended })
				options.Usage = counter
			}
			blobs, err := blob.NewDir(h.root, h.disk)
			if err != nil {
				b.Fatal(err)
			}
			handler := oci.New(h.store, blobs, h.authorizer, h.gate, observer{}, options)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), "GET", "/v2/main/app/manifests/"+tags[i%len(tags)], nil))
					if w.Code != http.StatusOK {
						b.Fatal(w.Code)
					}
				}
			})
		})
	}
}
