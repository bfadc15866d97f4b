package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// format reads and writes JSON (RFC 8259).
func format() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(false)
			return e.Encode(v)
		},
		Unmarshal: decode,
	}
}

// decode reads JSON and refuses text that no database keeps. The framework
// decodes into an any first, to validate it.
func decode(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return plain(err)
	}
	if whole, ok := into.(*any); ok {
		if !utf8.Valid(data) { // what is not would be replaced silently
			return errors.New("is not UTF-8 text")
		}
		return checkText("body", *whole)
	}
	return nil
}

// plain words an error of encoding/json without Go's type names.
func plain(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("is not JSON at byte %d: %s", syntax.Offset, syntax)
	case errors.As(err, &kind):
		return fmt.Errorf("%s: unexpected %s", kind.Field, kind.Value)
	}
	return err
}

// checkText looks for null characters, which PostgreSQL does not store.
func checkText(path string, v any) error {
	switch v := v.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			return fmt.Errorf("%s contains a null character", path)
		}
	case []any:
		for i, item := range v {
			if err := checkText(fmt.Sprintf("%s[%d]", path, i), item); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, item := range v {
			if strings.ContainsRune(name, 0) {
				return fmt.Errorf("%s has a name with a null character", path)
			}
			if err := checkText(path+"."+name, item); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkURL looks for what cannot be text in the path and the query.
func checkURL(u *url.URL) error {
	if !isText(u.Path) {
		return errors.New("the path is not UTF-8 text")
	}
	// The mux would redirect to another resource: a registry ".." to what is
	// beside the registries.
	if path := u.Path + "/"; strings.Contains(path, "/../") || strings.Contains(path, "/./") {
		return errors.New("the path has segments of dots alone")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the query is malformed")
	}
	for name, values := range query {
		if !isText(name) {
			return errors.New("the query has a name that is not UTF-8 text")
		}
		for _, value := range values {
			if !isText(value) {
				return fmt.Errorf("query parameter %q is not UTF-8 text", name)
			}
		}
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// Optional is a member of a request that may be absent, null or a value, where
// the three mean different things.
type Optional[T any] struct {
	Value T
	// Sent says that the member was there; Null that it was null.
	Sent, Null bool
}

// UnmarshalJSON is called only where the member is there.
func (o *Optional[T]) UnmarshalJSON(data []byte) error {
	o.Sent = true
	if bytes.Equal(data, []byte("null")) {
		o.Null = true
		return nil
	}
	return json.Unmarshal(data, &o.Value)
}

// Schema is that of the value, or null.
func (o Optional[T]) Schema(r huma.Registry) *huma.Schema {
	schema := *huma.SchemaFromType(r, typeOf[T]())
	schema.Nullable = true
	return &schema
}

// trustedHeaders are on every answer: it is data for one client.
func trustedHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}
