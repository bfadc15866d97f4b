package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pratique/pratique/test/sample"
)

// knownRounds is how often what is known is asked for.
const knownRounds = 200

// measureKnown asks Pratique for what it knows: the index of an image that its own
// registry holds, which Clair would have to fetch, and a layer of the v1 API that
// was sent before. The targets are nothing fetched, and 2 ms.
func measureKnown(ctx context.Context, o options, s *scannerUnderTest, registry string, layers *layerServer, base string) error {
	image, err := thousandPackages(o)
	if err != nil {
		return err
	}
	plain, err := sample.AlpineBase("3.10.3", sample.AlpinePackage{Name: "musl", Version: "1.1.22-r0", Origin: "musl"}, sample.AlpinePackage{Name: "busybox", Version: "1.30.1-r0", Origin: "busybox"})
	if err != nil {
		return err
	}
	pushed, err := sample.NewLayer("COPY app /app", sample.File{Path: "app/of-our-own-registry", Content: "1"})
	if err != nil {
		return err
	}
	t := newTable("Clair: what is known already", "what", "packages", "p50", "p99", "fetched")
	row := func(what, packages, fetched string, do func() error) error {
		var took []time.Duration
		for range knownRounds {
			began := time.Now()
			if err := do(); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		t.row(what, packages, best(took[len(took)/2]).ms(), best(took[len(took)*99/100]).ms(), fetched)
		return nil
	}
	mine := append(slices.Clone(image), pushed)
	digest, err := sample.Registry{URL: registry, User: "admin", Password: clairPassword}.Push(ctx, "main/app", "1", mine...)
	if err != nil {
		return err
	}
	var digests []string
	for _, l := range mine {
		digests = append(digests, l.Digest())
	}
	// Nothing answers there: what had to be fetched would fail.
	const nowhere = "http://127.0.0.1:1"
	if err := row("v4 index report of an image that our registry holds", fmt.Sprint(clairPackages), "nothing", func() error { return s.post(ctx, nowhere, digest, digests...) }); err != nil {
		return err
	}
	for _, l := range []struct {
		layer    sample.Layer
		packages int
	}{{plain, 2}, {image[1], clairPackages}} {
		name := layers.add(l.layer.Content)
		body, err := json.Marshal(map[string]any{"Layer": map[string]any{"Name": "known " + name, "Path": base + "/" + name, "Format": "Docker"}})
		if err != nil {
			return err
		}
		if l.packages == clairPackages { // it has no release file: it stands on the base
			below := layers.add(image[0].Content)
			lower, err := json.Marshal(map[string]any{"Layer": map[string]any{"Name": "known " + below, "Path": base + "/" + below, "Format": "Docker"}})
			if err != nil {
				return err
			}
			if err := s.call(ctx, http.MethodPost, "/v1/layers", lower, http.StatusCreated, nil); err != nil {
				return err
			}
			if body, err = json.Marshal(map[string]any{"Layer": map[string]any{"Name": "known " + name, "Path": base + "/" + name, "Format": "Docker", "ParentName": "known " + below}}); err != nil {
				return err
			}
		}
		post := func() error { return s.call(ctx, http.MethodPost, "/v1/layers", body, http.StatusCreated, nil) }
		if err := post(); err != nil { // now it is known
			return err
		}
		if err := row("v1 POST and GET of a known layer, with vulnerabilities", fmt.Sprint(l.packages), "nothing", func() error {
			if err := post(); err != nil {
				return err
			}
			return s.call(ctx, http.MethodGet, "/v1/layers/known%20"+name+"?features&vulnerabilities", nil, http.StatusOK, nil)
		}); err != nil {
			return err
		}
	}
	return nil
}
