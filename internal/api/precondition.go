package api

import (
	"strconv"
	"strings"
)

// etag is the entity tag of a revision (RFC 9110, section 8.8.3).
func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// ifMatch is the revision that a change is to be made to, by its If-Match
// (RFC 9110, section 13.1.1); 0 where any will do.
func ifMatch(header string) (int64, error) {
	header = strings.TrimSpace(header)
	if header == "" || header == "*" {
		return 0, nil
	}
	inner, quoted := strings.CutPrefix(header, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	revision, err := strconv.ParseInt(inner, 10, 64)
	if !quoted || !closed || err != nil || revision <= 0 {
		return 0, invalid("header.If-Match", "is no entity tag of this resource: give its etag as it was answered, with the quotes")
	}
	return revision, nil
}

// tagged is the answer with one thing that has revisions.
type tagged[T any] struct {
	ETag string `header:"ETag" doc:"Give it as If-Match to change what you saw, and not what another made of it meanwhile."`
	Body T
}
