package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// What can be wrong; every error of this package but a context's matches one.
var (
	// ErrForbiddenURL is a URL of another scheme, with credentials in it, or malformed.
	ErrForbiddenURL = errors.New("forbidden URL")
	// ErrForbiddenAddress is an address that must not be called.
	ErrForbiddenAddress = errors.New("forbidden address")
	// ErrForbiddenHeader is a request header that cannot be sent as it is.
	ErrForbiddenHeader = errors.New("forbidden header")
	// ErrRedirect is a redirect that leads nowhere.
	ErrRedirect = errors.New("unusable redirect")
	// ErrUnreachable is a server that cannot be spoken with.
	ErrUnreachable = errors.New("unreachable")
	// ErrTimeout is a server that took too long.
	ErrTimeout = errors.New("timed out")
	// ErrStatus is an answer other than 2xx; Error.Status holds it.
	ErrStatus = errors.New("status")
	// ErrTooLarge is a body above the limit.
	ErrTooLarge = errors.New("too large")
)

// Error is a failed request.
type Error struct {
	// URL is what was asked for, without credentials, query and fragment.
	URL string
	// Method is "" for GET.
	Method string
	// Status is the HTTP status, 0 where there was no answer.
	Status int
	// Err is the reason. It holds nothing that the other side said.
	Err error
}

func (e *Error) Error() string {
	verb := "get"
	if e.Method != "" {
		verb = strings.ToLower(e.Method)
	}
	return verb + " " + e.URL + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// maxURL is in bytes; longer ones are in no use.
const maxURL = 8 << 10

func (c *Client) parse(rawURL string) (*url.URL, error) {
	if len(rawURL) > maxURL {
		return nil, &Error{URL: "(a long URL)", Err: fmt.Errorf("%w: longer than %d bytes", ErrForbiddenURL, maxURL)}
	}
	u, err := url.Parse(rawURL)
	if err != nil { // its text quotes the URL
		return nil, &Error{URL: "(a malformed URL)", Err: fmt.Errorf("%w: it is malformed", ErrForbiddenURL)}
	}
	if err := c.checkURL(u); err != nil {
		return nil, &Error{URL: display(u), Err: err}
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

func (c *Client) checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: only http and https are fetched", ErrForbiddenURL)
	case u.Opaque != "" || u.Hostname() == "":
		return fmt.Errorf("%w: it has no host", ErrForbiddenURL)
	case u.User != nil:
		return fmt.Errorf("%w: it holds credentials, which belong into a header", ErrForbiddenURL)
	}
	// An address is judged before connecting too: some systems turn the
	// unspecified address into loopback before the check of dial.
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return c.policy.check(u.Hostname(), a)
	}
	if numeric(u.Hostname()) {
		return fmt.Errorf("%w: %s is not an address in its usual form, such as 192.0.2.1", ErrForbiddenAddress, u.Hostname())
	}
	return nil
}

// numeric reports whether a host ends in a number, as no name does: some resolvers
// take 2852039166 or 0xa9fea9fe for 169.254.169.254
// (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func numeric(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	digits := "0123456789"
	if rest, hex := strings.CutPrefix(last, "0x"); hex {
		last, digits = rest+"0", digits+"abcdef"
	}
	return last != "" && strings.Trim(last, digits) == ""
}

// display is a URL for people and logs: without anything that may be secret.
func display(u *url.URL) string {
	switch {
	case u.Scheme == "":
		return "(something without a scheme)"
	case u.Opaque != "" || u.Host == "":
		return u.Scheme + ":(…)"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return shown.String()
}

// sameOrigin reports whether what was meant for a may be sent to b: the same
// scheme, host and port, or the step from http to https at the usual ports.
func sameOrigin(a, b *url.URL) bool {
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	if a.Scheme == b.Scheme {
		return port(a) == port(b)
	}
	return a.Scheme == "http" && b.Scheme == "https" && port(a) == "80" && port(b) == "443"
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}
