package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The most of a text that Slack takes, and that Teams shows well, in bytes.
const (
	maxTitle = 150
	maxText  = 2900
)

// render writes the body for a kind of receiver. Link is the page about the
// event, "" where the server's address is not known.
func render(kind Kind, e Event, link string) ([]byte, error) {
	switch kind {
	case Slack:
		return json.Marshal(slackMessage(e, link))
	case Teams:
		return json.Marshal(teamsMessage(e, link))
	case Webhook:
		return json.Marshal(struct {
			Type      Type      `json:"type"`
			Timestamp time.Time `json:"timestamp"`
			Data      any       `json:"data"`
		}{e.Type, e.At.UTC(), struct {
			Event
			Link string `json:"link,omitempty"`
		}{e, link}})
	}
	return nil, fmt.Errorf("kind %q has no body", kind)
}

type object = map[string]any

// slackEscape leaves nothing that Slack would take for markup of its own
// (https://api.slack.com/reference/surfaces/formatting#escaping).
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func slackMessage(e Event, link string) object {
	title := slackEscape.Replace(cut(e.Title, maxTitle))
	blocks := []object{{"type": "section", "text": object{"type": "mrkdwn", "text": "*" + strings.ReplaceAll(title, "*", "") + "*"}}}
	if e.Text != "" {
		blocks = append(blocks, object{"type": "section", "text": object{"type": "plain_text", "text": cut(e.Text, maxText)}})
	}
	if link != "" {
		blocks = append(blocks, object{"type": "context", "elements": []object{{"type": "mrkdwn", "text": "<" + slackEscape.Replace(link) + "|Look at it>"}}})
	}
	return object{"text": title, "blocks": blocks}
}

func teamsMessage(e Event, link string) object {
	body := []object{{"type": "TextBlock", "text": cut(e.Title, maxTitle), "weight": "Bolder", "size": "Medium", "wrap": true}}
	for line := range strings.SplitSeq(cut(e.Text, maxText), "\n") {
		if line != "" {
			body = append(body, object{"type": "TextBlock", "text": teamsEscape.Replace(line), "wrap": true, "spacing": "Small"})
		}
	}
	card := object{"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": body}
	if link != "" {
		card["actions"] = []object{{"type": "Action.OpenUrl", "title": "Look at it", "url": link}}
	}
	return object{"type": "message", "attachments": []object{{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": card}}}
}

// teamsEscape keeps the Markdown of text blocks from links that others wrote.
var teamsEscape = strings.NewReplacer("[", "\\[", "]", "\\]", "*", "\\*", "_", "\\_")

// cut shortens a text to n bytes, at the end of a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const ellipsis = "…"
	n -= len(ellipsis)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + ellipsis
}
