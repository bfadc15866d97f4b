package api

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// List is a page of items in the order that the operation states.
type List[T any] struct {
	Items []T `json:"items" nullable:"false"`
	// NextPageToken continues the list; empty at its end.
	NextPageToken string `json:"next_page_token" doc:"Give it as page_token to continue the list; empty at its end."`
}

// listed is the answer of a list.
type listed[T any] struct {
	Body List[T]
}

// one is the answer with one thing.
type one[T any] struct {
	Body T
}

// Paging is what every list takes.
type Paging struct {
	PageSize  int    `query:"page_size" default:"100" minimum:"1" maximum:"1000" doc:"The most items to return."`
	PageToken string `query:"page_token" maxLength:"4096" doc:"The next_page_token of the page before; empty for the first."`
}

// cursor is the place of an item in a list. Its text is opaque to clients.
type cursor[K any] struct {
	// List names the list, so that a token of another one is not misread.
	List string `json:"l"`
	Key  K      `json:"k"`
}

// after reads the page token of a list; nil for the first page.
func after[K any](p Paging, list string) (*K, error) {
	if p.PageToken == "" {
		return nil, nil
	}
	var c cursor[K]
	text, err := base64.RawURLEncoding.DecodeString(p.PageToken)
	if err == nil {
		var whole any
		if err = decode(text, &whole); err == nil {
			err = json.Unmarshal(text, &c)
		}
	}
	if err != nil || c.List != list {
		return nil, invalid("query.page_token", "is no token of this list")
	}
	return &c.Key, nil
}

// token writes the page token that continues a list after a key.
func token[K any](list string, key K) string {
	text, err := json.Marshal(cursor[K]{list, key})
	if err != nil { // keys are strings and numbers
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// page cuts a list that was read with one item more than wanted, and turns
// its items into what is shown.
func page[S, T, K any](p Paging, list string, items []S, key func(S) K, show func(S) T) *listed[T] {
	out := &listed[T]{}
	if len(items) > p.PageSize {
		items = items[:p.PageSize]
		out.Body.NextPageToken = token(list, key(items[len(items)-1]))
	}
	out.Body.Items = make([]T, len(items))
	for i, item := range items {
		out.Body.Items[i] = show(item)
	}
	return out
}

// slicePage pages through a whole list in memory that is sorted by compare.
func slicePage[S, T, K any](p Paging, list string, items []S, key func(S) K, compare func(a, b K) int, show func(S) T) (*listed[T], error) {
	from, err := after[K](p, list)
	if err != nil {
		return nil, err
	}
	if from != nil {
		at, found := slices.BinarySearchFunc(items, *from, func(item S, k K) int { return compare(key(item), k) })
		if found {
			at++
		}
		items = items[at:]
	}
	return page(p, list, items[:min(len(items), p.PageSize+1)], key, show), nil
}

// invalid is a 422 that names the value by its place in the request.
func invalid(location, message string) error {
	return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: location, Message: message})
}

// orEmpty makes a JSON list of nil.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// orNil makes JSON leave out or null the zero time.
func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// orZero is what p points to, or the zero value.
func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
