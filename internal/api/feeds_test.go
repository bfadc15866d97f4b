package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// TestFeedsTellTheirAge: and which of them are too old, and why.
func TestFeedsTellTheirAge(t *testing.T) {
	h := newHarbour(t)
	h.feeds.statuses = []feed.Status{
		{Name: "alpine", LastSuccess: h.clock.Now().Add(-90 * time.Second)},
		{Name: "debian", LastSuccess: h.clock.Now().Add(-15 * time.Hour), Error: "no route"},
		{Name: "suse"},
	}
	h.feeds.stale = map[string]string{"debian": "it was last read yesterday"}
	answer := h.send(t, http.MethodGet, "/feeds", nil, user)
	var got struct {
		Items []struct {
			Name        string `json:"name"`
			AgeSeconds  *int64 `json:"age_seconds"`
			Stale       *bool  `json:"stale"`
			StaleReason string `json:"stale_reason"`
		} `json:"items"`
	}
	if err := json.Unmarshal(answer.body, &got); err != nil || answer.status != http.StatusOK {
		t.Fatalf("%d %s: %v", answer.status, answer.body, err)
	}
	want := []string{`{"name":"alpine","age_seconds":90,"stale":false,"stale_reason":""}`,
		`{"name":"debian","age_seconds":54000,"stale":true,"stale_reason":"it was last read yesterday"}`,
		`{"name":"suse","age_seconds":null,"stale":false,"stale_reason":""}`}
	var lines []string
	for _, item := range got.Items {
		text, err := json.Marshal(item)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(text))
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
