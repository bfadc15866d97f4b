package retention

import "time"

// Settings are what a registry keeps, and how the last run ended.
type Settings struct {
	Rules Rules
	// TrashDays is for how long what is deleted can be restored; nil is as the
	// settings of the server say.
	TrashDays *int
	Revision  int64
	ChangedAt time.Time
	ChangedBy string
	// Held is the digest of a list that waits for somebody to confirm it, since
	// HeldAt; "" where none does.
	Held   string
	HeldAt time.Time
	// Confirmed is the digest of the list that may go, as ConfirmedBy said.
	Confirmed, ConfirmedBy string
	RanAt                  time.Time
	Outcome                string
}
