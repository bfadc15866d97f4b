package clairapi

import "time"

// Artifact is an image as a client of the pluggable scanner API names it.
type Artifact struct {
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	Tag        string `json:"tag,omitempty"`
	MimeType   string `json:"mime_type,omitempty"`
}

// ScanState is how far a scan is.
type ScanState string

// The states.
const (
	ScanPending ScanState = "pending"
	ScanDone    ScanState = "done"
	ScanFailed  ScanState = "failed"
)

// Scan is a scan that a client of the pluggable scanner API asked for.
type Scan struct {
	// ID cannot be guessed.
	ID       string
	Artifact Artifact
	State    ScanState
	// Error is why it failed.
	Error   string
	Created time.Time
}
