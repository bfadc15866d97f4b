package clairv4

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// vendorType is the media type of one of Clair's objects.
func vendorType(object string) string { return "application/vnd.clair." + object + ".v1+json" }

// acceptable is a member of an Accept field.
type acceptable struct {
	kind, subtype string
	q             float64
}

// maxAccept bounds the members that are looked at.
const maxAccept = 64

// parseAccept lists what a client accepts, the preferred first; nil where it
// does not say.
func parseAccept(fields []string) ([]acceptable, error) {
	var list []acceptable
	for _, field := range fields {
		for part := range strings.SplitSeq(field, ",") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			if len(list) == maxAccept {
				return nil, failed(http.StatusBadRequest, "malformed request: more than %d media types are accepted", maxAccept)
			}
			kind, parameters, err := mime.ParseMediaType(part)
			if err != nil {
				return nil, failed(http.StatusBadRequest, "malformed request: %v", err)
			}
			a := acceptable{q: 1}
			var ok bool
			if a.kind, a.subtype, ok = strings.Cut(kind, "/"); !ok {
				return nil, failed(http.StatusBadRequest, "malformed request: mime: %q is no media type", kind)
			}
			if q, given := parameters["q"]; given {
				if a.q, err = strconv.ParseFloat(q, 64); err != nil {
					a.q = 0
				}
			}
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(a, b acceptable) int {
		switch {
		case a.q > b.q:
			return -1
		case a.q < b.q:
			return 1
		}
		return 0
	})
	return list, nil
}

func (a acceptable) matches(mediaType string) bool {
	kind, subtype, _ := strings.Cut(mediaType, "/")
	return (a.kind == "*" || a.kind == kind) && (a.subtype == "*" || a.subtype == subtype)
}

// negotiate picks the media type of an answer, or fails with 415 as Clair does.
func negotiate(r *http.Request, offers ...string) (string, error) {
	accepted, err := parseAccept(r.Header["Accept"])
	if err != nil {
		return "", err
	}
	if len(accepted) == 0 {
		return offers[0], nil
	}
	for _, a := range accepted {
		for _, offer := range offers {
			if a.q > 0 && a.matches(offer) {
				return offer, nil
			}
		}
	}
	return "", failed(http.StatusUnsupportedMediaType, "unable to negotiate common media type for %v", offers)
}

// unmodified reports whether the client has what is named by the validator. As in
// Clair, fields are compared as they are: no lists, no "*".
func unmodified(r *http.Request, validator string) bool {
	return slices.Contains(r.Header["If-None-Match"], validator)
}

// encodings are those that answers may have, by preference.
var encodings = []struct {
	name string
	open func(io.Writer) (io.WriteCloser, error)
}{
	{"zstd", func(w io.Writer) (io.WriteCloser, error) {
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	}},
	{"gzip", func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestSpeed) }},
	{"deflate", func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriterLevel(w, zlib.BestSpeed) }},
}

// encoding picks the coding of an answer: "" is none.
func encoding(r *http.Request) string {
	weights := make(map[string]float64)
	for _, field := range r.Header["Accept-Encoding"] {
		for part := range strings.SplitSeq(field, ",") {
			name, parameters, _ := strings.Cut(strings.TrimSpace(part), ";")
			q := 1.0
			if text, ok := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q="); ok {
				q, _ = strconv.ParseFloat(text, 64) // 0 where malformed
			}
			weights[strings.ToLower(strings.TrimSpace(name))] = q
		}
	}
	best, most := "", weights["identity"]
	for _, e := range encodings {
		if q := weights[e.name]; q > most || q > 0 && best == "" && q >= most {
			best, most = e.name, q
		}
	}
	return best
}

// smallBody is what is not worth compressing, in bytes.
const smallBody = 512

// write sends an answer.
func write(w http.ResponseWriter, r *http.Request, a answer) error {
	header := w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	content := a.text
	if a.body != nil {
		var err error
		if content, err = json.Marshal(a.body); err != nil {
			return errors.Join(fmt.Errorf("encode: %w", err), write(w, r, answer{
				status: http.StatusInternalServerError, header: http.Header{"Content-Type": {"application/json"}},
				text: []byte(`{"code":"internal-error","message":"the answer cannot be written"}`),
			}))
		}
		content = append(content, '\n')
	}
	if len(content) == 0 {
		w.WriteHeader(a.status)
		return nil
	}
	header.Set("Vary", "Accept-Encoding")
	if coding := encoding(r); coding != "" && len(content) > smallBody && header.Get("Content-Encoding") == "" {
		packed, err := pack(content, coding)
		if err != nil {
			return err
		}
		header.Set("Content-Encoding", coding)
		content = packed
	}
	header.Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(a.status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(content)
	return err
}

func pack(content []byte, coding string) ([]byte, error) {
	i := slices.IndexFunc(encodings, func(e struct {
		name string
		open func(io.Writer) (io.WriteCloser, error)
	}) bool {
		return e.name == coding
	})
	var out bytes.Buffer
	z, err := encodings[i].open(&out)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if _, err = z.Write(content); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}
