// Package audit is what is remembered of changes: who did what, when.
package audit

import (
	"encoding/json"
	"time"
)

// Entry is a change that someone made.
type Entry struct {
	ID     int64
	At     time.Time
	Actor  string
	Action string
	Object string
	// Detail is JSON, without secrets.
	Detail json.RawMessage
}
