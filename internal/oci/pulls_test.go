package oci_test

import (
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSeveralRanges(t *testing.T) {
	h := lite(t)
	at := "/v2/main/app/blobs/" + h.push("main/app", "0123456789")
	a := h.do("GET", at, nil, "Range", "bytes=0-1,-2")
	mediaType, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if a.status != http.StatusPartialContent || err != nil || mediaType != "multipart/byteranges" {
		t.Fatalf("%d %v, %v", a.status, a.header, err)
	}
	var parts []string
	for r := multipart.NewReader(strings.NewReader(string(a.body)), params["boundary"]); ; {
		part, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part.Header.Get("Content-Range")+"="+string(text))
	}
	if want := []string{"bytes 0-1/10=01", "bytes 8-9/10=89"}; !slices.Equal(parts, want) {
		t.Errorf("got %v, want %v", parts, want)
	}
	// Ranges that come to more than the blob are answered with the blob.
	if a := h.do("GET", at, nil, "Range", "bytes="+strings.Repeat("0-,", 1000)+"0-"); a.status != http.StatusOK || string(a.body) != "0123456789" {
		t.Errorf("a thousand ranges: %d, %d bytes", a.status, len(a.body))
	}
	if a := h.do("GET", at, nil, "Range", "bytes=0-1", "If-Range", `"another"`); a.status != http.StatusOK || string(a.body) != "0123456789" {
		t.Errorf("a range of another blob: %d %q", a.status, a.body)
	}
	empty := "/v2/main/app/blobs/" + h.push("main/app", "")
	if a := h.do("GET", empty, nil); a.status != http.StatusOK || a.header.Get("Content-Length") != "0" {
		t.Errorf("an empty blob: %d %v", a.status, a.header)
	}
}

// TestDeletedBlob: a deleted blob is gone in its repository, by whatever way
// it is asked for, stays in others, and can be pushed again.
func TestDeletedBlob(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		m := h.manifest("main/app", nil, "layer")
		h.push("main/fork", "layer")
		digest := sum("layer")
		at := "/v2/main/app/blobs/" + digest
		h.want("pull", h.do("GET", at, nil), http.StatusOK, "")
		h.want("delete", h.do("DELETE", at, nil), http.StatusAccepted, "")
		for _, header := range [][]string{nil, {"Range", "bytes=0-1"}, {"If-None-Match", `"` + digest + `"`}, {"If-None-Match", "*"}} {
			h.want("deleted", h.do("GET", at, nil, header...), http.StatusNotFound, "BLOB_UNKNOWN")
			if a := h.do("HEAD", at, nil, header...); a.status != http.StatusNotFound {
				t.Errorf("HEAD %v: %d", header, a.status)
			}
		}
		h.want("a manifest of it", h.tag("main/app", "1", m), http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
		h.want("mount it from where it was deleted", h.do("POST", "/v2/main/new/blobs/uploads/?mount="+digest+"&from=main/app", nil), http.StatusAccepted, "")
		h.want("elsewhere", h.do("GET", "/v2/main/fork/blobs/"+digest, nil), http.StatusOK, "")
		h.want("mount it back", h.do("POST", "/v2/main/app/blobs/uploads/?mount="+digest+"&from=main/fork", nil), http.StatusCreated, "")
		h.want("pull", h.do("GET", at, nil), http.StatusOK, "")
		h.want("a manifest of it", h.tag("main/app", "1", m), http.StatusCreated, "")
	})
}

// TestBlobLostFromDisk: the database knows a blob that the disk does not hold.
// A push mends it.
func TestBlobLostFromDisk(t *testing.T) {
	h := lite(t)
	digest := h.push("main/app", "content")
	hex := strings.TrimPrefix(digest, "sha256:")
	if err := os.Remove(filepath.Join(h.root, "blobs", "sha256", hex[:2], hex)); err != nil {
		t.Fatal(err)
	}
	h.want("lost", h.do("GET", "/v2/main/app/blobs/"+digest, nil), http.StatusNotFound, "BLOB_UNKNOWN")
	h.push("main/app", "content")
	h.want("mended", h.do("GET", "/v2/main/app/blobs/"+digest, nil), http.StatusOK, "")
}

func TestConditionalPull(t *testing.T) {
	h := lite(t)
	m := h.manifest("main/app", nil)
	etag := `"` + sum(string(m)) + `"`
	h.want("push", h.tag("main/app", "1", m), http.StatusCreated, "")
	for match, status := range map[string]int{
		etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, "": 200, sum(string(m)): 200,
	} {
		a := h.do("GET", "/v2/main/app/manifests/1", nil, "If-None-Match", match)
		if a.status != status || a.header.Get("ETag") != etag || (len(a.body) > 0) != (status == 200) {
			t.Errorf("If-None-Match %s: %d %v, want %d", match, a.status, a.header, status)
		}
	}
	h.want("none", h.do("GET", "/v2/main/app/manifests/2", nil, "If-None-Match", "*"), http.StatusNotFound, "MANIFEST_UNKNOWN")
}

// TestLastChunkOutOfOrder: the request that ends an upload may carry a chunk,
// whose place is checked as any other's; the upload stays as it was.
func TestLastChunkOutOfOrder(t *testing.T) {
	h := lite(t)
	at := h.begin("main/app")
	h.want("first chunk", h.do("PATCH", at, strings.NewReader("hello "), "Content-Range", "0-5"), http.StatusAccepted, "")
	end := with(at, "digest", sum("hello world"))
	for _, place := range []string{"0-4", "7-11", "5-9", "6-99", "6", "-6-10", "+6-10"} {
		a := h.do("PUT", end, strings.NewReader("world"), "Content-Range", place)
		h.want(place, a, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")
		if strings.Count(place, "-") == 1 && place[0] != '+' && place != "6-99" && (a.header.Get("Range") != "0-5" || a.header.Get("Location") != at) {
			t.Errorf("%s: header %v", place, a.header)
		}
	}
	h.want("in order", h.do("PUT", end, strings.NewReader("world"), "Content-Range", "bytes 6-10/*"), http.StatusCreated, "")
}
