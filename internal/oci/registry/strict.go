package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep a manifest's JSON may nest.
const maxDepth = 64

// checkJSON accepts one JSON value that every parser reads alike: valid UTF-8,
// no key twice in one object, nothing after the value.
func checkJSON(content []byte) error {
	if !utf8.Valid(content) {
		return errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	var open []map[string]struct{} // the keys of each open object; nil for an array
	key := false                   // whether a key of the innermost object comes next
	for {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("it is not JSON: %w", eof(err))
		}
		switch v := t.(type) {
		case json.Delim:
			switch v {
			case '{', '[':
				if len(open) == maxDepth {
					return fmt.Errorf("it nests deeper than %d", maxDepth)
				}
				if v == '{' {
					open = append(open, make(map[string]struct{}))
				} else {
					open = append(open, nil)
				}
			case '}', ']':
				open = open[:len(open)-1]
			}
			key = len(open) > 0 && open[len(open)-1] != nil
		case string:
			if key {
				keys := open[len(open)-1]
				if _, twice := keys[v]; twice {
					return fmt.Errorf("key %q occurs twice in one object", clip(v))
				}
				keys[v] = struct{}{}
				key = false
				continue
			}
			key = len(open) > 0 && open[len(open)-1] != nil
		default:
			key = len(open) > 0 && open[len(open)-1] != nil
		}
		if len(open) == 0 {
			break
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fields are an object's members; those that are null are left out.
type fields map[string]json.RawMessage

// object reads an object whose content checkJSON accepted. Parsers that mind
// no case would read "Layers" as layers: such keys are refused.
func object(raw json.RawMessage, known ...string) (fields, error) {
	var f fields
	if err := json.Unmarshal(raw, &f); err != nil || f == nil {
		return nil, errors.New("it is not an object")
	}
	for key, value := range f {
		for _, name := range known {
			if key != name && strings.EqualFold(key, name) {
				return nil, fmt.Errorf("key %q can be taken for %q", key, name)
			}
		}
		if string(value) == "null" {
			delete(f, key)
		}
	}
	return f, nil
}

// field reads one member; where it is absent, ok is false.
func field[T any](f fields, name, want string) (v T, ok bool, err error) {
	raw, ok := f[name]
	if !ok {
		return v, false, nil
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, false, fmt.Errorf("%s: want %s", name, want)
	}
	return v, true, nil
}

// clip keeps what a client sent from filling messages.
func clip(s string) string {
	const most = 150
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
