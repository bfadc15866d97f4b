package egress

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Request is one to a service that was configured by someone.
type Request struct {
	// Method is GET where "".
	Method, URL string
	// Header is as for Get.
	Header http.Header
	// Body may be nil.
	Body []byte
}

// Answer is an answer of any status.
type Answer struct {
	Status int
	Response
}

// Check reports why a URL can never be called, before it is: it is no absolute
// http or https URL, or names an address that must not be called. A name may
// still turn out to stand for such an address when it is called.
func (c *Client) Check(rawURL string) error {
	_, err := c.parse(rawURL)
	return err
}

// Send makes a request and returns the answer, whatever its status is. Redirects
// are not followed: what is in the header and the body is for this place alone.
// Errors are as those of Get.
func (c *Client) Send(ctx context.Context, r Request) (*Answer, error) {
	target, err := c.parse(r.URL)
	if err != nil {
		return nil, err
	}
	fail := func(err error) error { return &Error{URL: display(target), Method: r.Method, Err: err} }
	sent, closing, err := cleanHeader(r.Header)
	if err != nil {
		return nil, fail(err)
	}
	run, cancel := context.WithCancelCause(ctx)
	total := time.AfterFunc(c.opts.TotalTimeout, func() {
		cancel(fmt.Errorf("%w: it took longer than %v", ErrTimeout, c.opts.TotalTimeout))
	})
	stop := func() {
		total.Stop()
		cancel(nil)
	}
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	request, err := http.NewRequestWithContext(run, r.Method, target.String(), body)
	if err != nil {
		stop()
		return nil, fail(fmt.Errorf("%w: it cannot be requested", ErrForbiddenURL))
	}
	request.Header, request.Close = sent, closing
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		err = reason(run, err)
		stop()
		return nil, fail(err)
	}
	if response.ContentLength > c.opts.MaxSize {
		response.Body.Close()
		stop()
		return nil, fail(fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, response.ContentLength, c.opts.MaxSize))
	}
	return &Answer{response.StatusCode, Response{
		Header: response.Header, Size: response.ContentLength,
		Body: newBody(run, cancel, total, response.Body, display(target), c.opts),
	}}, nil
}
