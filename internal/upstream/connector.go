// Package upstream pulls through: what a registry does not hold is asked of the
// connectors that are attached to it, kept, and served like what was pushed.
//
// It must not know the protocol that our own clients speak, nor what blocks a pull.
package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/egress"
	"github.com/pratique/pratique/internal/oci/registry"
)

// What callers branch on.
var (
	// ErrNotFound is a connector, or a registry, that does not exist.
	ErrNotFound = errors.New("no such connector or registry")
	// ErrExists is a name that is taken.
	ErrExists = errors.New("a connector of that name exists")
	// ErrChanged is a connector that changed since it was read.
	ErrChanged = errors.New("the connector has changed since")
	// ErrUnknown is what no upstream has, too.
	ErrUnknown = errors.New("upstream has no such thing")
)

// FieldError is a value that cannot be.
type FieldError struct{ Field, Reason string }

func (e *FieldError) Error() string { return e.Field + " " + e.Reason }

// Failure is an upstream that could not be asked, or did not answer as it should.
type Failure struct {
	Connector, Reason string
	// Status is the HTTP status, 0 where there was none.
	Status int
	// RetryAfter is what it asks for, 0 where it does not.
	RetryAfter time.Duration
	Err        error
}

func (f *Failure) Error() string { return "upstream " + f.Connector + ": " + f.Reason }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Connector is an upstream registry.
type Connector struct {
	ID       int64
	Name     string
	URL      string
	Username string
	// Sealed is the password, encrypted; nil where there is none.
	Sealed      []byte
	CA          string // PEM
	SkipVerify  bool
	Timeout     time.Duration // of an answer's header
	Concurrency int
	// TagAge is for how long a tag is not asked for again.
	TagAge time.Duration
	// Allowed and Denied are patterns of repositories; none allowed is all.
	Allowed, Denied []string
	// TrustedHosts may be called though they are in a private network, as the
	// host of the URL may.
	TrustedHosts         []string
	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// The defaults and bounds of a connector.
const (
	DefaultTimeout     = 30 * time.Second
	MinTimeout         = time.Second
	MaxTimeout         = 10 * time.Minute
	DefaultConcurrency = 4
	MaxConcurrency     = 32
	DefaultTagAge      = 5 * time.Minute
	MaxTagAge          = 30 * 24 * time.Hour
	maxPatterns        = 50
	maxPattern         = 255
)

var nameGrammar = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)

// check makes the connector one that can be kept.
func (c *Connector) check() error {
	if len(c.Name) > 64 || !nameGrammar.MatchString(c.Name) {
		return &FieldError{"name", "must be lower-case letters and digits, at most 64, separated by one of . _ -"}
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return &FieldError{"url", "must be an http or https URL, such as https://registry-1.docker.io"}
	case u.User != nil:
		return &FieldError{"url", "must not hold credentials: give username and password"}
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || strings.Trim(u.Path, "/") != "":
		return &FieldError{"url", "must be scheme and host alone"}
	}
	c.URL = u.Scheme + "://" + u.Host
	switch {
	case len(c.Username) > 255 || strings.ContainsFunc(c.Username, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' }):
		return &FieldError{"username", "must have at most 255 bytes, no colon and no control characters"}
	case c.Sealed != nil && c.Username == "":
		return &FieldError{"username", "is needed with a password"}
	case c.Timeout < MinTimeout || c.Timeout > MaxTimeout:
		return &FieldError{"timeout_seconds", fmt.Sprintf("must be between %d and %d", int(MinTimeout.Seconds()), int(MaxTimeout.Seconds()))}
	case c.Concurrency < 1 || c.Concurrency > MaxConcurrency:
		return &FieldError{"concurrency", fmt.Sprintf("must be between 1 and %d", MaxConcurrency)}
	case c.TagAge < 0 || c.TagAge > MaxTagAge:
		return &FieldError{"tag_seconds", fmt.Sprintf("must be between 0 and %d", int(MaxTagAge.Seconds()))}
	}
	for field, list := range map[string][]string{"allowed": c.Allowed, "denied": c.Denied, "trusted_hosts": c.TrustedHosts} {
		if len(list) > maxPatterns {
			return &FieldError{field, fmt.Sprintf("must have at most %d entries", maxPatterns)}
		}
		for _, p := range list {
			if p == "" || len(p) > maxPattern || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' }) {
				return &FieldError{field, fmt.Sprintf("has %.40q, which is empty, too long, or has a space or a control character", p)}
			}
		}
	}
	if len(c.CA) > 64<<10 {
		return &FieldError{"ca_certificates", "must have at most 65536 bytes"}
	}
	if err := egress.CheckCertificates(c.CA); err != nil {
		return &FieldError{"ca_certificates", err.Error()}
	}
	return nil
}

// Admits reports whether the connector is asked for a repository: what is denied
// is not, whatever is allowed.
func (c Connector) Admits(repository string) bool {
	for _, p := range c.Denied {
		if registry.MatchName(p, repository) {
			return false
		}
	}
	for _, p := range c.Allowed {
		if registry.MatchName(p, repository) {
			return true
		}
	}
	return len(c.Allowed) == 0
}

// Stale is a manifest from upstream that nobody pulls.
type Stale struct {
	RepositoryID int64
	Digest       string
}
