package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	"github.com/pratique/pratique/internal/oci/registry"
)

// Exception lets pulls through that policy would refuse, until it expires.
// What it leaves empty does not restrict it.
type Exception struct {
	ID int64
	// Registry is the name of one.
	Registry string
	// Repository, Tag and User are patterns: * stands for any text, ? for one
	// character. Repository is without the registry. Tag is that of the image or
	// of an index that holds it. User is who pulls: a person or a robot.
	Repository, Tag, User string
	// Digest is that of an image, or of an index that holds it.
	Digest    string
	Comment   string
	Author    string
	CreatedAt time.Time
	// ExpiresAt is the first instant at which it does not hold.
	ExpiresAt time.Time
	// EndedAt is zero while it holds; EndedBy is assess.System where it expired
	// or went with its registry.
	EndedAt time.Time
	EndedBy string
}

// Live reports whether it holds at t.
func (e Exception) Live(t time.Time) bool { return e.EndedAt.IsZero() && e.ExpiresAt.After(t) }

// String is what people read in a warning. Who pulls need not know why, nor who
// granted it.
func (e Exception) String() string {
	return fmt.Sprintf("exception %d until %s", e.ID, e.ExpiresAt.UTC().Format(time.RFC3339))
}

// Names are the names by which an image can be pulled from a repository: its
// own and those of the indexes that hold it.
type Names struct {
	Tags, Digests []string
}

// covers reports whether an exception holds for an image of that registry and
// repository, whoever pulls it. The names are asked for only where they matter.
func (e Exception) covers(registry, repository string, names func() (Names, error)) (bool, error) {
	if e.Registry != "" && e.Registry != registry || !matches(e.Repository, repository) {
		return false, nil
	}
	if e.Tag == "" && e.Digest == "" {
		return true, nil
	}
	n, err := names()
	if err != nil {
		return false, err
	}
	return (e.Digest == "" || slices.Contains(n.Digests, e.Digest)) &&
		(e.Tag == "" || slices.ContainsFunc(n.Tags, func(tag string) bool { return matches(e.Tag, tag) })), nil
}

// forUser reports whether it holds for who pulls, "" for anyone.
func (e Exception) forUser(name string) bool {
	return e.User == "" || name != "" && matches(e.User, name)
}

// matches reports whether text is of a pattern; the empty pattern is any text.
// Slashes are characters like others. The pattern was checked.
func matches(pattern, text string) bool {
	return pattern == "" || registry.MatchName(pattern, text)
}

// Bounds of exceptions.
const (
	maxPattern = 256
	maxComment = 10_000
)

// check returns an *assess.FieldError where the exception cannot be one.
func (e Exception) check(now time.Time) error {
	for _, p := range []struct{ field, pattern, letters string }{
		{"repository", e.Repository, "abcdefghijklmnopqrstuvwxyz0123456789._-/*?"},
		{"tag", e.Tag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*?"},
		{"user", e.User, ""},
	} {
		switch {
		case len(p.pattern) > maxPattern:
			return invalid(p.field, "has more than %d bytes", maxPattern)
		case p.letters == "" && strings.ContainsAny(p.pattern, "[]\\\x00\r\n"):
			return invalid(p.field, "%q is no pattern: * stands for any text, ? for one character, and brackets, backslashes and line breaks are not allowed", p.pattern)
		case p.letters != "" && strings.Trim(p.pattern, p.letters) != "":
			return invalid(p.field, "%q can match no name: there are no %q in it; * stands for any text, ? for one character", p.pattern, first(p.pattern, p.letters))
		}
	}
	switch {
	case strings.HasPrefix(e.Repository, "/") || strings.HasSuffix(e.Repository, "/"):
		return invalid("repository", "%q can match no name: none begins or ends with a slash", e.Repository)
	case e.Digest != "" && digest.Digest(e.Digest).Validate() != nil:
		return invalid("digest", "%q is not a digest: %v", e.Digest, digest.Digest(e.Digest).Validate())
	case strings.TrimSpace(e.Comment) == "":
		return invalid("comment", "is wanted: say why pulls are let through")
	case strings.ContainsRune(e.Comment, 0):
		return invalid("comment", "must not contain null characters")
	case utf8.RuneCountInString(e.Comment) > maxComment:
		return invalid("comment", "is longer than %d characters", maxComment)
	case e.ExpiresAt.IsZero():
		return invalid("expires_at", "is wanted")
	case !e.ExpiresAt.After(now):
		return invalid("expires_at", "%s is not in the future", e.ExpiresAt.Format(time.RFC3339Nano))
	case e.ExpiresAt.After(now.Add(MaxHours * time.Hour)):
		return invalid("expires_at", "%s is more than ten years ahead", e.ExpiresAt.Format(time.RFC3339Nano))
	}
	return nil
}

// first is the first character of a text that is not among the letters.
func first(text, letters string) string {
	i := strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune(letters, r) })
	if i < 0 {
		return ""
	}
	r, _ := utf8.DecodeRuneInString(text[i:])
	return string(r)
}
