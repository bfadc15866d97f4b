package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/api"
)

// TestIfMatch changes what two have read: the second one is told.
func TestIfMatch(t *testing.T) {
	h := newHarbour(t)
	if r := h.send(t, http.MethodPost, "/registries", `{"name": "main"}`, admin); r.status != http.StatusCreated {
		t.Fatalf("%d %s", r.status, r.body)
	}
	var users api.List[api.User]
	if err := json.Unmarshal(h.send(t, http.MethodGet, "/users", nil, admin).body, &users); err != nil || len(users.Items) != 2 {
		t.Fatalf("%+v, %v", users, err)
	}
	tags := make(map[string]string)
	for _, u := range users.Items {
		tags[u.Name] = u.ETag
	}
	tests := []struct {
		name, read, change     string
		mine, theirs, location string
	}{
		{"settings", "/settings", "/settings", `{"base_url": "https://a.example"}`, `{"base_url": "https://b.example"}`, "https://b.example"},
		{"a registry", "/registries/main", "/registries/main", `{"description": "mine"}`, `{"description": "theirs"}`, "theirs"},
		{"a registry's policy along with it", "/registries/main", "/registries/main",
			`{"description": "mine", "policy": {"grace_hours": 5}}`, `{"anonymous_pull": true}`, `"grace_hours":0`},
		{"a user", "", fmt.Sprintf("/users/%d", userID(users, user)), `{"password": "another password"}`, `{"password": "their password"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tag := tags[user]
			if tt.read != "" {
				r := h.send(t, http.MethodGet, tt.read, nil, admin)
				if tag = r.header.Get("ETag"); tag == "" || !strings.Contains(string(r.body), strings.Trim(tag, `"`)) {
					t.Fatalf("the ETag %s is not in %s", tag, r.body)
				}
			}
			if r := h.send(t, http.MethodPatch, tt.change, tt.theirs, admin, "If-Match", tag); r.status != http.StatusOK {
				t.Fatalf("theirs: %d %s", r.status, r.body)
			}
			r := h.send(t, http.MethodPatch, tt.change, tt.mine, admin, "If-Match", tag)
			if r.status != http.StatusPreconditionFailed || !strings.Contains(string(r.body), "meanwhile") {
				t.Errorf("mine: %d %s", r.status, r.body)
			}
			for _, bad := range []string{"x", `"`, `W/"x"`, `"a"b"`} {
				if r := h.send(t, http.MethodPatch, tt.change, tt.mine, admin, "If-Match", bad); r.status != http.StatusPreconditionFailed {
					t.Errorf("If-Match %s: %d %s", bad, r.status, r.body)
				}
			}
			if tt.read == "" {
				return
			}
			if r := h.send(t, http.MethodGet, tt.read, nil, admin); !strings.Contains(string(r.body), tt.location) {
				t.Errorf("it is not theirs: %s", r.body)
			}
		})
	}
}

func userID(users api.List[api.User], name string) int64 {
	for _, u := range users.Items {
		if u.Name == name {
			return u.ID
		}
	}
	return 0
}
