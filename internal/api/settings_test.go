package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/pratique/pratique/internal/api"
)

func TestSettings(t *testing.T) {
	h := newHarbour(t)
	read := func(response response) map[string]api.Setting {
		t.Helper()
		if response.status != http.StatusOK {
			t.Fatalf("%d: %s", response.status, response.body)
		}
		all := make(map[string]api.Setting)
		var list api.List[api.Setting]
		if err := json.Unmarshal(response.body, &list); err != nil {
			t.Fatal(err)
		}
		for _, s := range list.Items {
			all[s.Name] = s
		}
		return all
	}
	all := read(h.send(t, http.MethodGet, "/settings", nil, admin))
	if s := all["base_url"]; s.Title != "Web.BaseUrl" || !s.Editable || s.Value != "" {
		t.Errorf("base URL: %+v", s)
	}
	if s := all["feeds"]; s.Value != "alpine,nvd" || s.Editable || s.Section != "Feeds" {
		t.Errorf("feeds: %+v", s)
	}
	if s := all["nvd-api-key"]; s.Value != "" || !s.Secret {
		t.Errorf("a secret: %+v", s)
	}
	all = read(h.send(t, http.MethodPatch, "/settings", `{"base_url": "https://registry.example.com"}`, admin))
	if s := all["base_url"]; s.Value != "https://registry.example.com" || s.ChangedBy != admin || s.ChangedAt == nil {
		t.Errorf("changed: %+v", s)
	}
	for _, tt := range []struct {
		name, body, who string
		status          int
		says            string
	}{
		{"not an administrator", `{"base_url": ""}`, user, http.StatusForbidden, "only administrators"},
		{"a path", `{"base_url": "https://a.example/b"}`, admin, http.StatusUnprocessableEntity, "without a path"},
		{"not a URL", `{"base_url": "ftp://a.example"}`, admin, http.StatusUnprocessableEntity, "starts with https:// or http://"},
		{"fixed", `{"given": "x"}`, admin, http.StatusConflict, "is given at the start"},
		{"unknown", `{"nix": "x"}`, admin, http.StatusNotFound, "there is no such setting"},
		{"of the start", `{"listen": ":1"}`, admin, http.StatusNotFound, "there is no such setting"},
		{"none", `{}`, admin, http.StatusUnprocessableEntity, "name a setting"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := h.send(t, http.MethodPatch, "/settings", tt.body, tt.who)
			if got.status != tt.status || !bytes.Contains(got.body, []byte(tt.says)) {
				t.Errorf("%d: %s", got.status, got.body)
			}
		})
	}
	if s := read(h.send(t, http.MethodGet, "/settings", nil, admin))["base_url"]; s.Value != "https://registry.example.com" {
		t.Errorf("after refusals: %+v", s)
	}
}
