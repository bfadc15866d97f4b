package audit

import "time"

// Filter narrows a list of changes; the zero value, but for Limit, is all, the
// newest first.
type Filter struct {
	Actor string
	// Action is that of the change, or ends with a dot: all of a kind of thing.
	Action string
	// Object is a part of what was changed, in any case.
	Object string
	// Since and Before bound its time: from Since on, until before Before.
	Since, Before time.Time
	// Oldest puts the oldest first.
	Oldest bool
	// After continues a list after the entry with that id.
	After int64
	// Limit is the most entries to return.
	Limit int
}
