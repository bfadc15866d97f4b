package notify

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The example of the specification, with its signature.
func TestSignAsTheSpecificationDoes(t *testing.T) {
	header := http.Header{}
	err := sign(header, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := header.Get("Webhook-Signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRenderKeepsMarkupOfOthersOut(t *testing.T) {
	e := Event{Title: "<!channel> *CVE* & <https://evil.example|here>", Text: "[a](https://evil.example)\n" + strings.Repeat("ä", 5000)}
	for _, kind := range []Kind{Slack, Teams} {
		body, err := render(kind, e, "https://registry.example/x")
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(body) || len(body) > 16<<10 || !json.Valid(body) || !strings.Contains(string(body), "https://registry.example/x") {
			t.Errorf("%s: %d bytes: %.300s", kind, len(body), body)
		}
		var message struct {
			Text   string
			Blocks []struct{ Text struct{ Type, Text string } }
		}
		if err := json.Unmarshal(body, &message); err != nil {
			t.Fatal(err)
		}
		if kind == Slack && (strings.ContainsAny(message.Text, "<>") || message.Blocks[1].Text.Type != "plain_text") {
			t.Errorf("%s: %s", kind, body)
		}
		if kind == Teams && strings.Contains(string(body), "[a](") {
			t.Errorf("%s: %s", kind, body)
		}
	}
}
