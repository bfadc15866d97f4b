package oci_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/pratique/pratique/internal/blob"
)

func TestUpload(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		at := h.begin("main/app")
		a := h.do("PATCH", at, strings.NewReader("hello "), "Content-Range", "0-5")
		h.want("first chunk", a, http.StatusAccepted, "")
		if a.header.Get("Range") != "0-5" || a.header.Get("Docker-Upload-UUID") == "" {
			t.Errorf("header %v", a.header)
		}
		a = h.do("PATCH", at, strings.NewReader("late"), "Content-Range", "10-13")
		h.want("chunk that leaves a gap", a, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")
		if a.header.Get("Range") != "0-5" || a.header.Get("Location") == "" {
			t.Errorf("header %v", a.header)
		}
		h.want("chunk that is not as long as it says", h.do("PATCH", at, strings.NewReader("x"), "Content-Range", "6-9"), http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")
		h.want("chunk with a strange range", h.do("PATCH", at, strings.NewReader("x"), "Content-Range", "six"), http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")

		h.restart()
		a = h.do("GET", at, nil)
		h.want("status after a restart", a, http.StatusNoContent, "")
		if a.header.Get("Range") != "0-5" {
			t.Errorf("range %q", a.header.Get("Range"))
		}
		h.want("second chunk", h.do("PATCH", at, strings.NewReader("wor"), "Content-Range", "6-8"), http.StatusAccepted, "")
		wrong := with(at, "digest", sum("something else"))
		h.want("wrong digest", h.do("PUT", wrong, strings.NewReader("ld")), http.StatusBadRequest, "DIGEST_INVALID")
		h.want("blob of the wrong digest", h.do("GET", "/v2/main/app/blobs/"+sum("something else"), nil), http.StatusNotFound, "BLOB_UNKNOWN")

		at = h.begin("main/app")
		a = h.do("PUT", with(at, "digest", sum("hello world")), strings.NewReader("hello world"))
		h.want("one PUT", a, http.StatusCreated, "")
		if a.header.Get("Location") != "/v2/main/app/blobs/"+sum("hello world") || a.header.Get("Docker-Content-Digest") != sum("hello world") {
			t.Errorf("header %v", a.header)
		}
		if a := h.do("GET", "/v2/main/app/blobs/"+sum("hello world"), nil); string(a.body) != "hello world" {
			t.Errorf("got %q", a.body)
		}
		h.want("an upload that has ended", h.do("GET", at, nil), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")

		at = h.begin("main/app")
		h.want("cancel", h.do("DELETE", at, nil), http.StatusNoContent, "")
		h.want("chunk of a cancelled upload", h.do("PATCH", at, strings.NewReader("x")), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")

		digest := blob.SHA512.Of([]byte("long"))
		at = h.do("POST", "/v2/main/app/blobs/uploads/?digest-algorithm=sha512", nil).header.Get("Location")
		h.want("sha512", h.do("PUT", with(at, "digest", digest), strings.NewReader("long")), http.StatusCreated, "")
		h.want("sha512 at once", h.do("POST", "/v2/main/two/blobs/uploads/?digest="+url.QueryEscape(digest), strings.NewReader("long")), http.StatusCreated, "")
		for _, bad := range []string{"", "sha256:", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:" + strings.Repeat("G", 64), "sha256:" + strings.Repeat("A", 64), "../../etc/passwd", strings.Repeat("a", 5000)} {
			h.want("digest "+bad[:min(len(bad), 20)], h.do("PUT", with(h.begin("main/app"), "digest", bad), strings.NewReader("x")), http.StatusBadRequest, "DIGEST_INVALID")
		}
		h.want("unknown algorithm", h.do("POST", "/v2/main/app/blobs/uploads/?digest-algorithm=md5", nil), http.StatusBadRequest, "DIGEST_INVALID")
	})
}

// An upload belongs to its repository: its id is worth nothing elsewhere.
func TestUploadIsOfItsRepository(t *testing.T) {
	h := lite(t)
	at := h.begin("main/app")
	h.begin("main/evil")
	id := at[strings.LastIndexByte(at, '/')+1:]
	h.rights = rights{"eve main/evil pull", "eve main/evil push"}
	h.user = "eve"
	for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
		query := ""
		if method == "PUT" {
			query = "?digest=" + sum("x")
		}
		h.want(method+" through another repository", h.do(method, "/v2/main/evil/blobs/uploads/"+id+query, strings.NewReader("x")), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		h.want(method+" without rights", h.do(method, at+query, strings.NewReader("x")), http.StatusForbidden, "DENIED")
	}
	h.user = ""
	h.want("the upload is still there", h.do("GET", at, nil), http.StatusNoContent, "")
	for _, id := range []string{"none", "..", "%2e%2e%2fx", strings.Repeat("a", 3000), "%00"} {
		if a := h.do("PATCH", "/v2/main/app/blobs/uploads/"+id, strings.NewReader("x")); a.status != http.StatusNotFound && a.status != http.StatusBadRequest {
			t.Errorf("upload %q: %d %s", id, a.status, a.body)
		}
	}
}

func TestMount(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		digest := h.push("main/secret", "secret")
		h.push("main/own", "own")
		mount := func(from string) answer {
			query := "?mount=" + digest
			if from != "" {
				query += "&from=" + url.QueryEscape(from)
			}
			return h.do("POST", "/v2/main/own/blobs/uploads/"+query, nil)
		}
		h.rights = rights{"eve main/own pull", "eve main/own push"}
		h.user = "eve"
		for _, from := range []string{"main/secret", "", "main/none", "none/none", "../main/secret", "main/own"} {
			a := mount(from)
			h.want("mount from "+from+" without rights", a, http.StatusAccepted, "")
			if a.header.Get("Location") == "" || a.header.Get("Docker-Content-Digest") != "" {
				t.Errorf("header %v", a.header)
			}
		}
		h.want("the blob is not there", h.do("GET", "/v2/main/own/blobs/"+digest, nil), http.StatusNotFound, "BLOB_UNKNOWN")
		// Nor by claiming that a manifest of one's own has it.
		claim := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"x/y","digest":%q,"size":6},"layers":[]}`, manifestType, digest)
		h.want("a manifest that claims it", h.tag("main/own", "1", []byte(claim)), http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")

		h.rights = append(h.rights, "eve main/secret pull")
		a := mount("main/secret")
		h.want("mount with rights", a, http.StatusCreated, "")
		if a.header.Get("Location") != "/v2/main/own/blobs/"+digest {
			t.Errorf("header %v", a.header)
		}
		if a := h.do("GET", "/v2/main/own/blobs/"+digest, nil); string(a.body) != "secret" {
			t.Errorf("got %d %q", a.status, a.body)
		}
		h.want("mount of a malformed digest", h.do("POST", "/v2/main/own/blobs/uploads/?mount=sha256:x&from=main/secret", nil), http.StatusBadRequest, "DIGEST_INVALID")
	})
}

func TestManyUploadTheSameBlob(t *testing.T) {
	h := lite(t)
	content := strings.Repeat("the same ", 100_000)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			a := h.do("POST", fmt.Sprintf("/v2/main/app%d/blobs/uploads/?digest=%s", i%3, sum(content)), strings.NewReader(content))
			h.want("push", a, http.StatusCreated, "")
		})
	}
	wait.Wait()
	if a := h.do("GET", "/v2/main/app0/blobs/"+sum(content), nil); string(a.body) != content {
		t.Errorf("%d, %d bytes", a.status, len(a.body))
	}
}

// A client that goes in the middle of a body leaves what came, to be continued.
func TestClientGoesInTheMiddle(t *testing.T) {
	h := lite(t)
	at := h.begin("main/app")
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhello", at); err != nil {
		t.Fatal(err)
	}
	// The server has the bytes when it has tried to read more.
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c)
	c.Close()
	a := h.do("GET", at, nil)
	h.want("status", a, http.StatusNoContent, "")
	if a.header.Get("Range") != "0-4" {
		t.Errorf("range %q", a.header.Get("Range"))
	}
	h.want("the rest", h.do("PUT", with(at, "digest", sum("hello world")), strings.NewReader(" world"), "Content-Range", "5-10"), http.StatusCreated, "")
}

// zeros is content that nobody holds.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// TestBlobsAreStreamed: the memory of the process does not grow with a blob.
func TestBlobsAreStreamed(t *testing.T) {
	h := lite(t)
	const size = 200 << 20
	hash := sha256.New()
	if _, err := io.CopyN(hash, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("sha256:%x", hash.Sum(nil))
	allocated := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	before := allocated()
	at := h.begin("main/big")
	h.want("upload", h.do("PATCH", at, io.LimitReader(zeros{}, size)), http.StatusAccepted, "")
	h.want("commit", h.do("PUT", with(at, "digest", digest), nil), http.StatusCreated, "")
	res, err := h.server.Client().Get(h.server.URL + "/v2/main/big/blobs/" + digest)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
		t.Errorf("pulled %d bytes, %v", n, err)
	}
	if grown := allocated() - before; grown > 16<<20 {
		t.Errorf("%d bytes were allocated for %d", grown, int64(size))
	}
}

func TestPull(t *testing.T) {
	h := lite(t)
	digest := h.push("main/app", "0123456789")
	at := "/v2/main/app/blobs/" + digest
	for _, test := range []struct {
		asked, want, contentRange string
		status                    int
	}{
		{"", "0123456789", "", 200},
		{"bytes=0-3", "0123", "bytes 0-3/10", 206},
		{"bytes=7-", "789", "bytes 7-9/10", 206},
		{"bytes=-2", "89", "bytes 8-9/10", 206},
		{"bytes=5-500", "56789", "bytes 5-9/10", 206},
		{"bytes=10-", "", "bytes */10", 416},
		{"bytes=500-600", "", "bytes */10", 416},
		{"bytes=9-1", "", "", 416},
		{"lines=1-2", "", "", 416},
	} {
		a := h.do("GET", at, nil, "Range", test.asked)
		if test.asked == "" {
			a = h.do("GET", at, nil)
		}
		if a.status != test.status || a.status < 300 && string(a.body) != test.want || test.contentRange != "" && a.header.Get("Content-Range") != test.contentRange {
			t.Errorf("%q: %d %q %v", test.asked, a.status, a.body, a.header)
		}
	}
	a := h.do("HEAD", at, nil)
	if a.status != http.StatusOK || a.header.Get("Content-Length") != "10" || a.header.Get("Docker-Content-Digest") != digest || len(a.body) > 0 {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	if a := h.do("GET", at, nil, "If-None-Match", `"`+digest+`"`); a.status != http.StatusNotModified {
		t.Errorf("If-None-Match: %d", a.status)
	}
	h.want("through another repository", h.do("GET", "/v2/main/other/blobs/"+digest, nil), http.StatusNotFound, "NAME_UNKNOWN")
	h.want("delete", h.do("DELETE", at, nil), http.StatusAccepted, "")
	h.want("deleted", h.do("GET", at, nil), http.StatusNotFound, "BLOB_UNKNOWN")
	h.want("deleted twice", h.do("DELETE", at, nil), http.StatusNotFound, "BLOB_UNKNOWN")
	if a := h.do("HEAD", at, nil); a.status != http.StatusNotFound || len(a.body) > 0 {
		t.Errorf("HEAD of what is deleted: %d", a.status)
	}
}
