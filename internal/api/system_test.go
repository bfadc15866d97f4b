package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/api"
)

// someFacts are those of a server whose feed is old.
type someFacts struct{}

func (someFacts) Facts(context.Context) (api.Facts, error) {
	free := int64(5 << 30)
	return api.Facts{Engine: "sqlite", DatabaseBytes: 4096, FreeBytes: &free, Replica: "one", Alarms: []string{"feed debian is stale"},
		StartedAt: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}, nil
}

func TestSystem(t *testing.T) {
	h := newHarbour(t)
	got := h.send(t, http.MethodGet, "/system", nil, admin)
	want := `{"version":"1.2.3","replica":"one","started_at":"2026-11-01T08:00:00Z","database":{"engine":"sqlite","bytes":4096},"storage":{"free_bytes":5368709120},"alarms":["feed debian is stale"]}`
	if body := strings.TrimSpace(string(got.body)); got.status != http.StatusOK || body != want {
		t.Errorf("got %d, %s\nwant %s", got.status, body, want)
	}
	if got := h.send(t, http.MethodGet, "/system", nil, user); got.status != http.StatusForbidden {
		t.Errorf("a user: %d, %s", got.status, got.body)
	}
}
