package guide_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pratique/pratique/test/program"
)

// TestWebhooksPage runs the commands of docs/webhooks.md, and checks the signature as
// the page says.
func TestWebhooksPage(t *testing.T) {
	needs(t, "bash", "curl", "jq")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	served := serve(t, new(program.Clock), "--feeds", "alpine")
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	var signed atomic.Int32
	tickets := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
		if got, want := r.Header.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
			t.Errorf("signature %q, want %q", got, want)
		}
		signed.Add(1)
	}))
	t.Cleanup(tickets.Close)
	sh := bash(t, ctx, t.TempDir())
	here := strings.NewReplacer("http://localhost:8624", served.URL, "PASSWORD", password,
		"https://tickets.example.com/hook", tickets.URL, "https://hooks.slack.com/services/T0/B0/x", tickets.URL+"/slack")
	want := map[string][]string{
		"Be told":                           {""},
		"Who is told of what":               {`"name":"tickets","kind":"webhook"`, `"events":["finding.new","pull.blocked","image.pushed"],"min_severity":"unknown","enabled":true,"signed":true`},
		"Try it, and look at what was told": {`[1,"test","delivered",200]`},
	}
	guided{file: "webhooks.md", here: here, want: want, never: []string{`"status":4`, "MfKQ9r8"}}.run(t, sh)
	if signed.Load() == 0 {
		t.Error("nothing was told")
	}
}
