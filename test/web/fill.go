package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// push pushes an edition of the sample image.
func (h *harbour) push(ctx context.Context, repository, tag string, edition int) (string, error) {
	layers, err := image(edition)
	if err != nil {
		return "", err
	}
	return h.registry().Push(ctx, repository, tag, layers...)
}

// fill makes what a month of work leaves: images of several editions, feeds that
// changed, decisions that hold, expire and have expired. It answers with the
// digests by name.
func (h *harbour) fill(ctx context.Context) (map[string]string, error) {
	digests := make(map[string]string)
	push := func(name, repository, tag string, edition int) error {
		digest, err := h.push(ctx, repository, tag, edition)
		digests[name] = digest
		return err
	}
	assess := func(vulnerability, kind, scope, value, comment string, days int) error {
		body := map[string]any{"vulnerability": vulnerability, "type": kind, "scope": map[string]string{"kind": scope, "value": value}, "comment": comment}
		if days > 0 {
			body["expires_at"] = h.clock.Now().AddDate(0, 0, days).UTC()
		}
		return h.call(ctx, http.MethodPost, "/assessments", body, nil)
	}
	day := func(n int) error { h.clock.Advance(time.Duration(n) * 24 * time.Hour); return nil }
	feeds := func(stage int) error {
		if err := writeFeeds(h.feeds, stage); err != nil {
			return err
		}
		return h.updateFeeds(ctx)
	}
	steps := []func() error{
		func() error { return feeds(1) },
		func() error {
			return h.call(ctx, http.MethodPost, "/registries", map[string]any{"name": "partners", "description": "What partners may pull", "anonymous_pull": true}, nil)
		},
		func() error {
			return h.call(ctx, http.MethodPatch, "/registries/main", map[string]any{"attach_sbom": "cyclonedx"}, nil)
		},
		func() error {
			return h.call(ctx, http.MethodPost, "/users", map[string]any{"name": "grace", "password": "harbour-pilot"}, nil)
		},
		func() error {
			return h.call(ctx, http.MethodPatch, "/extensions/clair-v1", map[string]any{"enabled": true}, nil)
		},
		func() error {
			return h.call(ctx, http.MethodPost, "/vulnerability-sources", map[string]any{"name": "clair", "extension": "clair-v1", "url": "http://127.0.0.1:6060/"}, nil)
		},
		func() error {
			return h.call(ctx, http.MethodPost, "/connectors", map[string]any{"name": "docker-hub", "url": "https://registry-1.docker.io", "username": "acme", "password": "a-token",
				"allowed": []string{"library/*"}, "denied": []string{"library/busybox"}}, nil)
		},
		func() error {
			return h.call(ctx, http.MethodPut, "/registries/main/connectors", map[string]any{"connectors": []string{"docker-hub"}}, nil)
		},
		func() error { return h.call(ctx, http.MethodPost, "/api-keys", map[string]any{"name": "ci"}, nil) },
		func() error {
			return h.call(ctx, http.MethodPost, "/groups", map[string]any{"name": "shop", "description": "Who builds the shop", "claim": "shop-developers"}, nil)
		},
		func() error {
			return h.call(ctx, http.MethodPost, "/roles", map[string]any{"role": "assess", "to": map[string]any{"kind": "user", "name": "grace"}}, nil)
		},
		func() error {
			return h.call(ctx, http.MethodPost, "/registries/main/roles", map[string]any{"role": "publish", "to": map[string]any{"kind": "group", "name": "shop"}}, nil)
		},
		func() error {
			return h.call(ctx, http.MethodPost, "/robots", map[string]any{"name": "ci", "registry": "main", "roles": []map[string]any{{"role": "publish", "registry": "main"}}}, nil)
		},
		func() error {
			return h.call(ctx, http.MethodPatch, "/sign-in-provider", map[string]any{"enabled": true, "title": "Harbour ID", "issuer": "https://login.example.com", "client_id": "pratique"}, nil)
		},
		func() error { return push("base", "main/base/debian", "12.5", 0) },
		func() error { return push("first", "main/shop/checkout", "1.3.0", 1) },
		func() error { return day(4) },
		func() error { return push("search", "main/shop/search", "2.0.1", 2) },
		func() error {
			return assess("CVE-2023-45853", "Ignore", "everywhere", "", "MiniZip is not built in Debian's zlib.", 0)
		},
		func() error { return day(5) },
		func() error { return feeds(2) },
		func() error {
			return assess("CVE-2023-4911", "Block", "registry", "main", "Local root; the fix has been there for long.", 60)
		},
		func() error { return day(6) },
		func() error { return push("middle", "main/shop/checkout", "1.4.0", 2) },
		func() error {
			return assess("CVE-2023-38545", "Caution", "repository", "main/shop/search", "No SOCKS proxy is used.", 8)
		},
		func() error { return day(5) },
		func() error { return feeds(3) },
		func() error {
			return assess("CVE-2024-35195", "Caution", "everywhere", "", "Sessions are not reused with verify=False.", 3)
		},
		func() error { return push("copy", "partners/checkout", "1.4.0", 2) },
		func() error { return day(6) },
		func() error { return push("last", "main/shop/checkout", "1.5.0", 3) },
		func() error { return push("tools", "main/tools/report", "latest", 1) },
		func() error {
			return assess("CVE-2023-50447", "Caution", "registry", "main", "Only images of our own are opened; upgrade with 1.6.", 5)
		},
		func() error { return day(4) },
		func() error { return h.updateFeeds(ctx) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return nil, fmt.Errorf("step %d: %w", i, err)
		}
	}
	return digests, nil
}

// updateFeeds has the feeds read and waits for it.
func (h *harbour) updateFeeds(ctx context.Context) error {
	var job struct {
		ID    int64  `json:"id"`
		State string `json:"state"`
		Error string `json:"error"`
	}
	if err := h.call(ctx, http.MethodPost, "/feeds/update", nil, &job); err != nil {
		return err
	}
	for tick := time.NewTicker(30 * time.Millisecond); ; {
		if err := h.call(ctx, http.MethodGet, fmt.Sprintf("/jobs/%d", job.ID), nil, &job); err != nil {
			return err
		}
		switch job.State {
		case "done":
			return nil
		case "failed":
			return fmt.Errorf("the feed update failed: %s", job.Error)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// call makes a REST request and reads its answer.
func (h *harbour) call(ctx context.Context, method, path string, body, answer any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, h.url+"/api/v1"+path, content)
	if err != nil {
		return err
	}
	req.SetBasicAuth("admin", password)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	if answer == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, answer)
}
