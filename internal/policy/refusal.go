package policy

import (
	"fmt"
	"strings"

	"github.com/pratique/pratique/internal/assess"
)

// BlockedError says that policy refuses to serve a manifest.
type BlockedError struct {
	// Place is what was asked for; its digest may be an index's.
	assess.Place
	// Reasons are what blocks, the gravest findings first.
	Reasons []Reason
	// Refusal is how it is to be answered.
	Refusal Refusal
}

// Error names the image and the first few reasons.
func (e *BlockedError) Error() string {
	const shown = 10
	var b strings.Builder
	fmt.Fprintf(&b, "image %s/%s@%s is blocked by policy: ", e.Registry, e.Repository, e.Digest)
	for i, r := range e.Reasons {
		if i == shown {
			fmt.Fprintf(&b, " and %d more", len(e.Reasons)-shown)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(r.Message)
	}
	return b.String()
}
