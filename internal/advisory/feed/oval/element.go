package oval

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// raw is the value of an attribute as it is written, nil where there is none.
func (s *scanner) raw(name string) []byte {
	for i := range s.attrs {
		if string(s.attrs[i].name) == name {
			return s.attrs[i].value
		}
	}
	return nil
}

// attr is the value of an attribute, "" where there is none, at most limit bytes.
func (s *scanner) attr(name string, limit int) (string, error) {
	value, err := s.attrBytes(name)
	return cut(value, limit), err
}

// attrBytes is the value of an attribute, valid until the next call of next.
func (s *scanner) attrBytes(name string) ([]byte, error) {
	raw := s.raw(name)
	if bytes.IndexByte(raw, '&') < 0 {
		return raw, nil
	}
	value, err := unescape(nil, raw, true)
	if err != nil {
		return nil, s.fail(err)
	}
	return value, nil
}

// children goes through the elements of the element that was begun, to its end.
// child may read each, or leave it.
func (s *scanner) children(child func() error) error {
	depth := s.depth()
	for {
		kind, err := s.next()
		switch {
		case err != nil:
			return err
		case kind == endElement:
			return nil
		case kind == startElement:
			if err := child(); err != nil {
				return err
			}
			for s.depth() > depth {
				if _, err := s.next(); err != nil {
					return err
				}
			}
		}
	}
}

// content is the text of the element that was begun, without that of elements
// in it, and without space around it; what is beyond limit bytes is left out.
func (s *scanner) content(limit int) (string, error) {
	depth := s.depth()
	var text []byte
	for {
		kind, err := s.next()
		switch {
		case err != nil:
			return "", err
		case kind == endElement && s.depth() < depth:
			return cut(bytes.TrimSpace(text), limit), nil
		case kind != someText || s.depth() != depth:
			continue
		}
		piece := s.text
		if len(text) == 0 {
			piece = bytes.TrimLeft(piece, " \t\r\n")
		}
		// A bit more than is kept, for an entity is longer than what it means.
		size := min(len(piece), max(0, 8*limit-len(text)))
		if s.plain {
			text = append(text, piece[:size]...)
		} else if text, err = unescape(text, piece[:size], size == len(piece)); err != nil {
			return "", s.fail(err)
		}
	}
}

// unescape appends text with its entities replaced. Where text is not whole, an
// entity that is cut off at its end is left out.
func unescape(dst, text []byte, whole bool) ([]byte, error) {
	for {
		i := bytes.IndexByte(text, '&')
		if i < 0 {
			return append(dst, text...), nil
		}
		dst = append(dst, text[:i]...)
		text = text[i+1:]
		end := bytes.IndexByte(text[:min(len(text), 16)], ';')
		if end < 0 {
			if !whole && len(text) < 16 {
				return dst, nil
			}
			return dst, fmt.Errorf("an & that begins no entity: %q", cut(text, 16))
		}
		r, err := entity(string(text[:end]))
		if err != nil {
			return dst, err
		}
		dst = utf8.AppendRune(dst, r)
		text = text[end+1:]
	}
}

func entity(name string) (rune, error) {
	switch name {
	case "amp":
		return '&', nil
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "quot":
		return '"', nil
	case "apos":
		return '\'', nil
	}
	digits, base := "", 10
	if strings.HasPrefix(name, "#x") {
		digits, base = name[2:], 16
	} else if strings.HasPrefix(name, "#") {
		digits = name[1:]
	}
	code, err := strconv.ParseUint(digits, base, 32)
	if err != nil || code > utf8.MaxRune {
		return 0, fmt.Errorf("%w: &%s;", ErrEntities, cut([]byte(name), 20))
	}
	return rune(code), nil
}

// cut makes valid text of at most limit bytes.
func cut(b []byte, limit int) string {
	if len(b) > limit {
		b = b[:limit]
		for len(b) > 0 && !utf8.RuneStart(b[len(b)-1]) {
			b = b[:len(b)-1]
		}
		if n := len(b); n > 0 && b[n-1] >= utf8.RuneSelf {
			b = b[:n-1]
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
