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
	blanks     int
	broken     error // of the content
	err        error // of the reader
}

var (
	errTooLarge = errors.New("too large")
	errBlank    = fmt.Errorf("there is nothing but blanks for %d bytes", maxBlanks)
)

// maxBlanks bounds space between tokens: json.Decoder looks at all of it again
// each time it reads on.
const maxBlanks = 64 << 10

func (s *input) Read(p []byte) (int, error) {
	if s.broken != nil {
		return 0, s.broken
	}
	// One byte more tells whether the document ends exactly where it may.
	n, err := s.r.Read(p[:min(int64(len(p)), s.left+1)])
	if s.left -= int64(n); s.left < 0 {
		s.broken = errTooLarge
		return 0, s.broken
	}
	for _, c := range p[:n] {
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			s.blanks = 0
		} else if s.blanks++; s.blanks > maxBlanks {
			s.broken = errBlank
			return 0, s.broken
		}
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

// skip passes over one value. Far enough inside it is read as one piece, which
// costs a fraction of its tokens; what is above is too large for that.
func (d *decoder) skip() error {
	const shallow = 2
	if d.depth > shallow {
		if err := d.json.Decode(&ignored{}); err != nil {
			return d.fail(err)
		}
		return nil
	}
	token, err := d.token()
	if err != nil {
		return err
	}
	return d.rest(token)
}

// ignored takes any value.
type ignored struct{}

func (*ignored) UnmarshalJSON([]byte) error { return nil }

// rest passes over what follows the first token of a value.
func (d *decoder) rest(token json.Token) error {
	if token != json.Delim('{') && token != json.Delim('[') {
		return nil
	}
	for d.json.More() {
		if token == json.Delim('{') {
			if _, err := d.token(); err != nil {
				return err
			}
		}
		if err := d.skip(); err != nil {
			return err
		}
	}
	_, err := d.token()
	return err
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
