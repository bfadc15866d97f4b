package oci

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// bodyPatience is how long a client may take to send the next bytes of a body.
const bodyPatience = 2 * time.Minute

// bodyError is a body that could not be read to its end: it was cut off, is
// malformed, or came too slowly.
type bodyError struct{ error }

func (e *bodyError) Unwrap() error { return e.error }

// body is the request's body with a deadline that moves on as bytes come. Its
// errors but io.EOF are *bodyError.
func body(w http.ResponseWriter, r *http.Request) io.Reader {
	return &patient{r.Body, http.NewResponseController(w), time.Time{}}
}

type patient struct {
	io.Reader
	controller *http.ResponseController
	extended   time.Time
}

func (p *patient) Read(b []byte) (int, error) {
	if now := time.Now(); now.Sub(p.extended) > time.Second {
		p.extended = now
		// A connection without deadlines, as HTTP/2 has none, is bounded otherwise.
		_ = p.controller.SetReadDeadline(now.Add(bodyPatience))
	}
	n, err := p.Reader.Read(b)
	if err != nil {
		_ = p.controller.SetReadDeadline(time.Time{})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = &bodyError{err}
	}
	return n, err
}

// parseRange reads START-END, which may be spelt as RFC 9110 does ("bytes 0-9/*").
func parseRange(text string) (start, end int64, ok bool) {
	text = strings.TrimPrefix(text, "bytes ")
	text, _, _ = strings.Cut(text, "/")
	first, last, found := strings.Cut(text, "-")
	if !found {
		return 0, 0, false
	}
	// 63 bits without a sign are an int64.
	from, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return 0, 0, false
	}
	to, err := strconv.ParseUint(last, 10, 63)
	return int64(from), int64(to), err == nil && to >= from
}
