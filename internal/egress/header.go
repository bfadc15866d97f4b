package egress

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
)

// Bounds of the header that a caller may add.
const (
	maxHeaderFields = 64
	maxHeaderBytes  = 32 << 10
)

// ignored lists fields that belong to a connection (RFC 9110, 7.6.1), or that
// net/http writes itself.
var ignored = map[string]bool{
	"Accept-Encoding":     true,
	"Connection":          true,
	"Content-Length":      true,
	"Expect":              true,
	"Host":                true,
	"Keep-Alive":          true,
	"Proxy-Authenticate":  true,
	"Proxy-Authorization": true,
	"Proxy-Connection":    true,
	"Te":                  true,
	"Trailer":             true,
	"Transfer-Encoding":   true,
	"Upgrade":             true,
}

// baseHeader is what every request has.
func baseHeader() http.Header {
	return http.Header{"Accept-Encoding": {"identity"}, "User-Agent": {"pratique"}}
}

// cleanHeader is what is sent of a caller's header, and whether the connection
// is to be closed after the answer.
func cleanHeader(given http.Header) (sent http.Header, closing bool, err error) {
	sent = baseHeader()
	fields, bytes := 0, 0
	for name, values := range given {
		if !isToken(name) {
			return nil, false, fmt.Errorf("%w: its name is not valid", ErrForbiddenHeader)
		}
		key := textproto.CanonicalMIMEHeaderKey(name)
		for _, value := range values {
			fields++
			bytes += len(name) + len(value)
			if fields > maxHeaderFields || bytes > maxHeaderBytes {
				return nil, false, fmt.Errorf("%w: more than %d fields or %d bytes", ErrForbiddenHeader, maxHeaderFields, maxHeaderBytes)
			}
			if !isFieldValue(value) {
				return nil, false, fmt.Errorf("%w: the value of %s has control characters", ErrForbiddenHeader, key)
			}
			switch {
			case key == "Connection" && strings.EqualFold(strings.TrimSpace(value), "close"):
				closing = true
			case ignored[key]:
			case key == "User-Agent":
				sent.Set(key, value)
			default:
				sent.Add(key, value)
			}
		}
	}
	return sent, closing, nil
}

// isToken reports a valid field name (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// isFieldValue reports a valid field value (RFC 9110, 5.5).
func isFieldValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
