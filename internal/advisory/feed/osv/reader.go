package osv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// reader reads the JSON text of one record (RFC 8259) in one pass, without
// reflection: there are hundreds of thousands, most of whose bytes are not
// wanted. A value of another type than wanted is passed over and noted in
// problem; a null is no value.
type reader struct {
	text    []byte
	json    *jsontext.Decoder
	problem string
}

// reset makes it read another text.
func (r *reader) reset(text []byte) {
	r.text, r.problem = text, ""
	in := bytes.NewBuffer(text)
	// What cannot be text is replaced: it is most likely in prose. A name that
	// is there twice makes a record mean different things to different readers.
	options := jsontext.AllowInvalidUTF8(true)
	if r.json == nil {
		r.json = jsontext.NewDecoder(in, options)
	} else {
		r.json.Reset(in, options)
	}
}

var kinds = map[jsontext.Kind]string{'n': "null", 't': "a boolean", 'f': "a boolean", '0': "a number", '"': "a string", '{': "an object", '[': "an array"}

// is reports whether the next value is of a kind. It passes over one that is not.
func (r *reader) is(kind jsontext.Kind) (bool, error) {
	next := r.json.PeekKind()
	if next == kind {
		return true, nil
	}
	err := r.skip()
	if next != 'n' && err == nil {
		r.note(fmt.Sprintf("want %s, not %s", kinds[kind], kinds[next]))
	}
	return false, err
}

// note keeps what is wrong with the value that was read last, unless something
// before it was.
func (r *reader) note(problem string) {
	if r.problem == "" {
		r.problem = fmt.Sprintf("%s: %s", r.json.StackPointer(), problem)
	}
}

// object calls member with the name of each member; member must read the value.
func (r *reader) object(member func(name string) error) error {
	if ok, err := r.is('{'); !ok || err != nil {
		return err
	}
	if _, err := r.json.ReadToken(); err != nil {
		return err
	}
	for r.json.PeekKind() == '"' {
		name, err := r.json.ReadToken()
		if err != nil {
			return err
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := r.json.ReadToken()
	return err
}

// array calls element for each element; element must read it.
func (r *reader) array(element func() error) error {
	if ok, err := r.is('['); !ok || err != nil {
		return err
	}
	if _, err := r.json.ReadToken(); err != nil {
		return err
	}
	for kind := r.json.PeekKind(); kind != ']' && kind != 0; kind = r.json.PeekKind() {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := r.json.ReadToken()
	return err
}

// string reads a string; "" for what is none.
func (r *reader) string(s *string) error {
	if ok, err := r.is('"'); !ok || err != nil {
		return err
	}
	token, err := r.json.ReadToken()
	if err != nil {
		return err
	}
	*s = token.String()
	return nil
}

// strings adds the strings of an array to a list, at most so many; that there
// are more is a problem.
func (r *reader) strings(list *[]string, most int) error {
	return r.array(func() error {
		if len(*list) >= most {
			err := r.skip()
			r.note(fmt.Sprintf("more than %d elements", most))
			return err
		}
		var s string
		if err := r.string(&s); err != nil || s == "" {
			return err
		}
		*list = append(*list, s)
		return nil
	})
}

// raw passes over a value and returns its text.
func (r *reader) raw() ([]byte, error) {
	value, err := r.json.ReadValue()
	if err != nil {
		return nil, err
	}
	end := r.json.InputOffset()
	return r.text[end-int64(len(value)) : end], nil
}

func (r *reader) skip() error {
	_, err := r.json.ReadValue() // faster than SkipValue, which looks at each token
	return err
}

// time reads a date and time; one that is malformed is none, and no problem:
// nothing depends on it.
func (r *reader) time(t *time.Time) error {
	if r.json.PeekKind() != '"' {
		return r.skip()
	}
	var s string
	if err := r.string(&s); err != nil {
		return err
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05.999999999", time.DateOnly} {
		if parsed, err := time.Parse(layout, s); err == nil {
			*t = parsed
			return nil
		}
	}
	return nil
}

// end reports whatever follows the value.
func (r *reader) end() error {
	_, err := r.json.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return errors.New("something follows the record")
}
