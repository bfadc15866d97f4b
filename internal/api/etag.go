package api

import (
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// tagged is the answer with one thing that can be edited.
type tagged[T any] struct {
	ETag string `header:"ETag" doc:"Give it as If-Match with a change, which is then made only where nobody else changed it meanwhile."`
	Body T
}

// etag is the entity tag of a version (RFC 9110, section 8.8.3).
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// Conditional makes a change depend on what the client saw.
type Conditional struct {
	IfMatch string `header:"If-Match" maxLength:"100" doc:"The ETag of what the change is to be made on; 412 where that changed. Absent or *: whatever it is."`
}

// version is the one that the client saw; 0 where it does not say.
func (c Conditional) version() (int64, error) {
	text := strings.TrimSpace(c.IfMatch)
	if text == "" || text == "*" {
		return 0, nil
	}
	if unquoted, ok := strings.CutPrefix(text, `"`); ok {
		if number, ok := strings.CutSuffix(unquoted, `"`); ok {
			if version, err := strconv.ParseInt(number, 10, 64); err == nil && version > 0 {
				return version, nil
			}
		}
	}
	// A tag that none of ours is matches nothing.
	return 0, huma.Error412PreconditionFailed("If-Match is not the ETag of this resource")
}
