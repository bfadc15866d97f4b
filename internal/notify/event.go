// Package notify tells people and programs what happened: by webhook, Slack,
// Teams and e-mail. What happens is written down first and told afterwards, at
// least once, so that nothing is lost when the program ends in between.
//
// It must not know SQL, nor how things happen.
package notify

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/advisory"
)

// Type says what kind of thing happened.
type Type string

// The types of events.
const (
	// NewFindings is one vulnerability that stored images turned out to have.
	NewFindings Type = "finding.new"
	// AssessmentExpired and AssessmentExpiring are about one assessment.
	AssessmentExpired  Type = "assessment.expired"
	AssessmentExpiring Type = "assessment.expiring"
	// PullBlocked is an image that policy did not serve.
	PullBlocked Type = "pull.blocked"
	// FeedFailing is a feed that could not be fetched, FeedStale one that was not
	// for too long.
	FeedFailing Type = "feed.failing"
	FeedStale   Type = "feed.stale"
	// JobFailed is a job that is not tried again.
	JobFailed Type = "job.failed"
	// ImagePushed and ImageAnalysed are about one image.
	ImagePushed   Type = "image.pushed"
	ImageAnalysed Type = "image.analysed"
	// ImagePromoted is an image that was copied from one registry to another.
	ImagePromoted Type = "image.promoted"
	// Test is what an administrator sends to see whether it arrives.
	Test Type = "test"
)

// Types lists those that receivers choose from.
func Types() []Type {
	return []Type{NewFindings, AssessmentExpired, AssessmentExpiring, PullBlocked, FeedFailing, FeedStale, JobFailed, ImagePushed, ImageAnalysed, ImagePromoted}
}

// Event is something that happened.
type Event struct {
	ID   int64     `json:"id"`
	Type Type      `json:"type"`
	At   time.Time `json:"at"`
	// Title says it in a line, Text in a few; both are plain text.
	Title string `json:"title"`
	Text  string `json:"text,omitempty"`
	// Path is the page about it, "/vulnerabilities/CVE-2021-44228".
	Path string `json:"path,omitempty"`
	// Registries that it is about; none where it is about no registry.
	Registries []string `json:"registries,omitempty"`
	// Severity is that of the vulnerability that it is about; zero for none.
	Severity advisory.Severity `json:"severity"`
	// Exploited says that the vulnerability is known to be exploited.
	Exploited bool `json:"exploited,omitempty"`
	// Data is what programs read; its members are those of the REST interface.
	Data json.RawMessage `json:"data,omitempty"`
}

// wants reports whether a receiver is to be told of an event.
func (r Receiver) wants(e Event) bool {
	if e.Type == Test || !r.Enabled || len(r.Events) > 0 && !slices.Contains(r.Events, e.Type) {
		return false
	}
	if len(r.Registries) > 0 && len(e.Registries) > 0 && !slices.ContainsFunc(e.Registries, func(name string) bool {
		return slices.Contains(r.Registries, name)
	}) {
		return false
	}
	if e.Type == NewFindings || e.Severity != 0 {
		return e.Severity >= r.MinSeverity && (e.Exploited || !r.ExploitedOnly)
	}
	return true // it is about no vulnerability
}
