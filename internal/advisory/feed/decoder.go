package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrShape is wrapped by errors that say that one value has another type than
// wanted. The value was passed over; reading may go on after it.
var ErrShape = errors.New("unexpected type")

// Decoder reads a JSON document (RFC 8259) in one pass, without keeping it.
// Errors that do not wrap ErrShape are final and name the byte.
type Decoder struct {
	json *json.Decoder
	in   *meter
}

// maxValue bounds one value that is kept whole in memory, in bytes.
const maxValue = 16 << 20

// NewDecoder returns a decoder of r.
func NewDecoder(r io.Reader) *Decoder {
	in := &meter{r: r, limit: maxValue}
	return &Decoder{json: json.NewDecoder(in), in: in}
}

// Object reads an object and calls member with each name; member must read the value.
func (d *Decoder) Object(member func(name string) error) error {
	if err := d.open('{'); err != nil {
		return err
	}
	for d.more() {
		token, err := d.token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return d.fail(fmt.Errorf("%v is no name", token))
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := d.token()
	return err
}

// Array reads an array and calls element for each of its values; element must read it.
func (d *Decoder) Array(element func() error) error {
	if err := d.open('['); err != nil {
		return err
	}
	for d.more() {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := d.token()
	return err
}

// Value reads one value whole. Where a part of it has the wrong type the error
// wraps ErrShape, and all other parts are read.
func (d *Decoder) Value(v any) error {
	d.advance()
	err := shapeOf(d.json.Decode(v))
	if err == nil || errors.Is(err, ErrShape) {
		return err
	}
	return d.fail(err)
}

// Raw reads one value whole, as it is written.
func (d *Decoder) Raw() (json.RawMessage, error) {
	var raw json.RawMessage
	err := d.Value(&raw)
	return raw, err
}

// Unmarshal reads a value that Raw returned, as Value does.
func Unmarshal(raw []byte, v any) error { return shapeOf(json.Unmarshal(raw, v)) }

// shapeOf says what has the wrong type.
func shapeOf(err error) error {
	var shape *json.UnmarshalTypeError
	if !errors.As(err, &shape) {
		return err
	}
	place := ""
	if shape.Field != "" {
		place = " for " + shape.Field
	}
	return fmt.Errorf("%w: %s%s", ErrShape, shape.Value, place)
}

// Skip passes over one value.
func (d *Decoder) Skip() error {
	token, err := d.token()
	if err != nil {
		return err
	}
	return d.rest(token)
}

// End reports whatever follows the document.
func (d *Decoder) End() error {
	d.advance()
	token, err := d.json.Token()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return d.fail(err)
	}
	return d.fail(fmt.Errorf("%v follows the document", token))
}

// Offset is the number of bytes that are read.
func (d *Decoder) Offset() int64 { return d.json.InputOffset() }

func (d *Decoder) open(want json.Delim) error {
	token, err := d.token()
	if err != nil {
		return err
	}
	if token == want {
		return nil
	}
	if err := d.rest(token); err != nil {
		return err
	}
	kind := map[json.Delim]string{'{': "an object", '[': "an array"}
	return fmt.Errorf("%w at byte %d: want %s", ErrShape, d.Offset(), kind[want])
}

// rest passes over what follows the first token of a value.
func (d *Decoder) rest(token json.Token) error {
	delim, ok := token.(json.Delim)
	if !ok || delim != '{' && delim != '[' {
		return nil
	}
	for depth := 1; depth > 0; {
		token, err := d.token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

func (d *Decoder) more() bool {
	d.advance()
	return d.json.More()
}

func (d *Decoder) token() (json.Token, error) {
	d.advance()
	token, err := d.json.Token()
	if err != nil {
		return nil, d.fail(err)
	}
	return token, nil
}

// advance allows the next value its share of memory.
func (d *Decoder) advance() { d.in.limit = d.json.InputOffset() + maxValue }

// fail says where; within a document its end is never expected.
func (d *Decoder) fail(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("byte %d: %w", d.json.InputOffset(), err)
}

// meter is a reader that ends where one value would take too much memory:
// json.Decoder keeps a value whole, however large.
type meter struct {
	r           io.Reader
	read, limit int64
}

func (m *meter) Read(p []byte) (int, error) {
	left := m.limit - m.read
	if left <= 0 {
		return 0, fmt.Errorf("one value is larger than %d bytes", maxValue)
	}
	n, err := m.r.Read(p[:min(int64(len(p)), left)])
	m.read += int64(n)
	return n, err
}
