package api

import (
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// tagged is the answer with one thing that has revisions.
type tagged[T any] struct {
	ETag string `header:"ETag" doc:"Give it as If-Match to change what you saw, and not what another made of it meanwhile."`
	Body T
}

func withTag[T any](body T, revision int64) *tagged[T] { return &tagged[T]{etag(revision), body} }

// etag is the entity tag of a revision (RFC 9110, section 8.8.3).
func etag(revision int64) string { return quoted(strconv.FormatInt(revision, 10)) }

func quoted(tag string) string { return `"` + tag + `"` }

// IfMatch is the precondition of a change (RFC 9110, section 13.1.1).
type IfMatch struct {
	IfMatch string `header:"If-Match" maxLength:"100" doc:"The ETag of what was read; absent where any will do. Where it has changed since, the answer is 412 and nothing changes."`
}

// tag is the entity tag of a thing without revisions, "" where any will do.
func (m IfMatch) tag() (string, error) {
	text := strings.TrimSpace(m.IfMatch)
	if text == "" || text == "*" {
		return "", nil
	}
	if len(text) < 3 || text != quoted(strings.Trim(text, `"`)) {
		return "", noETag()
	}
	return strings.Trim(text, `"`), nil
}

// version is the revision that a change is to be made to, 0 where any will do.
func (m IfMatch) version() (int64, error) {
	text := strings.TrimSpace(m.IfMatch)
	if text == "" || text == "*" {
		return 0, nil
	}
	revision, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
	if err != nil || revision < 1 || text != etag(revision) {
		return 0, noETag()
	}
	return revision, nil
}

func noETag() error {
	return huma.Error412PreconditionFailed("validation failed", &huma.ErrorDetail{Location: "header.If-Match",
		Message: "is no ETag of this resource: give it as it was answered, with the quotes"})
}
