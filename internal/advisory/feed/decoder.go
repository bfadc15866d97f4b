package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrShape is wrapped by errors that say that one value has another type than
// wanted. The value was passed over; reading may go on after it.
var ErrShape = errors.New("unexpected type")

// Decoder reads a JSON document (RFC 8259) in one pass, without keeping it.
// Errors that do not wrap ErrShape are final and name the byte.
type Decoder struct {
	json *jsontext.Decoder
	in   *meter
}

// maxValue bounds one value that is kept whole in memory, in bytes.
const maxValue = 16 << 20

// NewDecoder returns a decoder of r.
func NewDecoder(r io.Reader) *Decoder {
	in := &meter{r: r, limit: maxValue}
	// What cannot be text is replaced: it is most likely in prose.
	return &Decoder{json: jsontext.NewDecoder(in, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)), in: in}
}

// Object reads an object and calls member with each name; member must read the value.
func (d *Decoder) Object(member func(name string) error) error {
	if err := d.open('{'); err != nil {
		return err
	}
	for d.more('}') {
		token, err := d.token()
		if err != nil {
			return err
		}
		if err := member(token.String()); err != nil {
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
	for d.more(']') {
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
	text, err := d.value()
	if err != nil {
		return err
	}
	if err = Unmarshal(text, v); err == nil || errors.Is(err, ErrShape) {
		return err
	}
	return d.fail(err)
}

// Raw reads one value whole, as it is written.
func (d *Decoder) Raw() (json.RawMessage, error) {
	text, err := d.value()
	return bytes.Clone(text), err
}

// value returns the text of a value, which the next call makes invalid.
func (d *Decoder) value() ([]byte, error) {
	d.advance()
	text, err := d.json.ReadValue()
	if err != nil {
		return nil, d.fail(err)
	}
	return text, nil
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

// Skip passes over one value, however long.
func (d *Decoder) Skip() error {
	token, err := d.token()
	if err != nil {
		return err
	}
	return d.rest(token.Kind())
}

// End reports whatever follows the document.
func (d *Decoder) End() error {
	d.advance()
	token, err := d.json.ReadToken()
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

func (d *Decoder) open(want jsontext.Kind) error {
	token, err := d.token()
	if err != nil {
		return err
	}
	kind := token.Kind()
	if kind == want {
		return nil
	}
	if err := d.rest(kind); err != nil {
		return err
	}
	return fmt.Errorf("%w at byte %d: want %s", ErrShape, d.Offset(), map[jsontext.Kind]string{'{': "an object", '[': "an array"}[want])
}

// rest passes over what follows the first token of a value.
func (d *Decoder) rest(first jsontext.Kind) error {
	if first != '{' && first != '[' {
		return nil
	}
	for depth := 1; depth > 0; {
		token, err := d.token()
		if err != nil {
			return err
		}
		switch token.Kind() {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
	}
	return nil
}

// more reports whether anything comes before the end; what is malformed is left to
// who reads it.
func (d *Decoder) more(end jsontext.Kind) bool {
	d.advance()
	return d.json.PeekKind() != end
}

func (d *Decoder) token() (jsontext.Token, error) {
	d.advance()
	token, err := d.json.ReadToken()
	if err != nil {
		return token, d.fail(err)
	}
	return token, nil
}

// advance allows the next value its share of memory.
func (d *Decoder) advance() { d.in.limit = d.json.InputOffset() + maxValue }

// fail says where; within a document its end is never expected.
func (d *Decoder) fail(err error) error {
	where := d.json.InputOffset()
	var malformed *jsontext.SyntacticError
	if errors.As(err, &malformed) {
		where, err = malformed.ByteOffset, malformed.Err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("byte %d: %w", where, err)
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
