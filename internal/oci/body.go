package oci

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// bodyPatience is how long a client may take to send the next bytes of a body.
const bodyPatience = 2 * time.Minute

// body is the request's body with a deadline that moves on as bytes come.
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
	start, err := strconv.ParseInt(first, 10, 64)
	if err != nil || start < 0 {
		return 0, 0, false
	}
	end, err = strconv.ParseInt(last, 10, 64)
	return start, end, err == nil && end >= start
}
