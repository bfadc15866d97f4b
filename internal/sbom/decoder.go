package sbom

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// decoder reads JSON token by token: what a bill may make it remember is what
// its reader keeps.
type decoder struct {
	json  *json.Decoder
	in    *input
	depth int
	most  int
}

// input is a reader with an end that remembers its own error: one of the
// content must be told from it.
type input struct {
	r          io.Reader
	left, most int64
	over       bool
	err        error
}

var errTooLarge = errors.New("too large")

func (s *input) Read(p []byte) (int, error) {
	if s.over {
		return 0, errTooLarge
	}
	// One byte more tells whether the document ends exactly where it may.
	n, err := s.r.Read(p[:min(int64(len(p)), s.left+1)])
	if s.left -= int64(n); s.left < 0 {
		s.over = true
		return 0, errTooLarge
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func newDecoder(r io.Reader, limits Limits) *decoder {
	in := &input{r: r, left: limits.Bytes, most: limits.Bytes}
	d := &decoder{json: json.NewDecoder(in), in: in, most: limits.Depth}
	d.json.UseNumber()
	return d
}

func (d *decoder) fail(err error) error {
	switch {
	case d.in.err != nil:
		return d.in.err
	case errors.Is(err, errTooLarge):
		return fmt.Errorf("%w: it has more than %d bytes", ErrFormat, d.in.most)
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: byte %d: %w", ErrFormat, d.json.InputOffset(), err)
}

func (d *decoder) token() (json.Token, error) {
	token, err := d.json.Token()
	if err != nil {
		return nil, d.fail(err)
	}
	switch token {
	case json.Delim('{'), json.Delim('['):
		if d.depth++; d.depth > d.most {
			return nil, d.fail(fmt.Errorf("it nests deeper than %d", d.most))
		}
	case json.Delim('}'), json.Delim(']'):
		d.depth--
	}
	return token, nil
}

// object calls member with each name of an object; member must read the value.
// null is an empty one.
func (d *decoder) object(member func(name string) error) error {
	return d.open('{', "an object", func() error {
		token, err := d.token()
		if err != nil {
			return err
		}
		return member(token.(string)) // the decoder lets nothing else be a name
	})
}

// list calls element for each value of a list; element must read it. null is
// an empty one.
func (d *decoder) list(element func() error) error { return d.open('[', "a list", element) }

func (d *decoder) open(want json.Delim, kind string, part func() error) error {
	token, err := d.token()
	if err != nil || token == nil {
		return err
	}
	if token != want {
		return d.fail(fmt.Errorf("want %s", kind))
	}
	for d.json.More() {
		if err := part(); err != nil {
			return err
		}
	}
	_, err = d.token()
	return err
}

// text reads a string, or a number as it is written; other values are "".
func (d *decoder) text(into *string) error {
	token, err := d.token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case string:
		*into = v
	case json.Number:
		*into = v.String()
	default:
		return d.rest(token)
	}
	return nil
}

// skip passes over one value.
func (d *decoder) skip() error {
	token, err := d.token()
	if err != nil {
		return err
	}
	return d.rest(token)
}

// rest passes over what follows the first token of a value.
func (d *decoder) rest(token json.Token) error {
	if token != json.Delim('{') && token != json.Delim('[') {
		return nil
	}
	for until := d.depth - 1; d.depth > until; {
		if _, err := d.token(); err != nil {
			return err
		}
	}
	return nil
}

// end reports whatever follows the document.
func (d *decoder) end() error {
	token, err := d.json.Token()
	switch {
	case errors.Is(err, io.EOF):
		return d.in.err
	case err != nil:
		return d.fail(err)
	}
	return d.fail(fmt.Errorf("%v follows the document", token))
}
