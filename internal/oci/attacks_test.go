package oci_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/blob"
)

// TestStrangeBytes: what no database takes for text is answered as what it is
// not, never as a failure of the server.
func TestStrangeBytes(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		digest := h.push("main/app", "content")
		h.want("push", h.tag("main/app", "1", h.manifest("main/app", nil)), http.StatusCreated, "")
		for _, strange := range []string{"%00", "a%00b", "%ff", "a%fe%ffb", "%ed%a0%80", "%0d%0aX", "%e2%80%ae", "'%3Bdrop%20table%20tags%3B--", "%25", "_", strings.Repeat("%41", 2000)} {
			for _, test := range []struct {
				method, path string
				status       []int
				code         []string
			}{
				{"GET", "main/app/manifests/" + strange, []int{404}, []string{"MANIFEST_UNKNOWN"}},
				{"HEAD", "main/app/manifests/" + strange, []int{404}, []string{""}},
				{"DELETE", "main/app/manifests/" + strange, []int{404}, []string{"MANIFEST_UNKNOWN"}},
				{"GET", "main/app/manifests/sha256:" + strange, []int{400}, []string{"DIGEST_INVALID"}},
				{"DELETE", "main/app/manifests/sha256:" + strange, []int{400}, []string{"DIGEST_INVALID"}},
				{"GET", "main/app/blobs/" + strange, []int{400}, []string{"DIGEST_INVALID"}},
				{"GET", "main/app/referrers/" + strange, []int{400}, []string{"DIGEST_INVALID"}},
				{"GET", "main/app/blobs/uploads/" + strange, []int{404}, []string{"BLOB_UPLOAD_UNKNOWN"}},
				{"PATCH", "main/app/blobs/uploads/" + strange, []int{404}, []string{"BLOB_UPLOAD_UNKNOWN"}},
				{"PUT", "main/app/blobs/uploads/" + strange + "?digest=" + digest, []int{404}, []string{"BLOB_UPLOAD_UNKNOWN"}},
				{"DELETE", "main/app/blobs/uploads/" + strange, []int{404}, []string{"BLOB_UPLOAD_UNKNOWN"}},
				{"POST", "main/app/blobs/uploads/?mount=" + digest + "&from=" + strange, []int{202}, []string{""}},
				{"POST", "main/app/blobs/uploads/?mount=" + digest + "&from=main/" + strange, []int{202}, []string{""}},
				{"POST", "main/app/blobs/uploads/?mount=" + strange, []int{400}, []string{"DIGEST_INVALID"}},
				{"POST", "main/app/blobs/uploads/?digest=" + strange, []int{400}, []string{"DIGEST_INVALID"}},
				{"GET", "main/app/tags/list?last=" + strange, []int{200, 400}, []string{"", "PAGINATION_NUMBER_INVALID"}},
				{"GET", "main/app/tags/list?n=" + strange, []int{400}, []string{"PAGINATION_NUMBER_INVALID"}},
				{"GET", "_catalog?last=" + strange, []int{200, 400}, []string{"", "PAGINATION_NUMBER_INVALID"}},
				{"GET", "_catalog?last=main/" + strange, []int{200, 400}, []string{"", "PAGINATION_NUMBER_INVALID"}},
				{"GET", "main/app/referrers/" + digest + "?artifactType=" + strange, []int{200}, []string{""}},
				{"GET", "main/app/referrers/" + digest + "?last=" + strange, []int{200, 400}, []string{"", "PAGINATION_NUMBER_INVALID"}},
			} {
				a := h.do(test.method, "/v2/"+test.path, nil)
				if !slices.Contains(test.status, a.status) || !slices.Contains(test.code, a.code()) {
					t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path[:min(len(test.path), 120)], a.status, a.body, test.status, test.code)
				}
			}
		}
		if a := h.do("GET", "/v2/main/app/tags/list", nil); string(a.body) != `{"name":"main/app","tags":["1"]}` {
			t.Errorf("tags afterwards: %s", a.body)
		}
	})
}

// TestStrangeTextInManifests: JSON's strings hold what a column of text does not.
func TestStrangeTextInManifests(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		h.push("main/app", "{}")
		subject := sum("subject")
		for name, strange := range map[string]string{"NUL": `\u0000`, "half a surrogate": `\ud800`, "control": `\u0001\u001b[2J`, "markup": `<script>`} {
			config := fmt.Sprintf(`{"mediaType":"text/%%s","digest":%q,"size":2,"annotations":{"a%s":"%s"}}`, sum("{}"), strange, strange)
			for place, manifest := range map[string]string{
				"artifactType": fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"a%s/b","config":%s,"layers":[]}`, manifestType, strange, fmt.Sprintf(config, "x")),
				"config":       fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[]}`, manifestType, fmt.Sprintf(config, strange)),
				"annotations": fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[],"annotations":{"k%s":"v%s"},"subject":{"mediaType":"x/y","digest":%q,"size":1}}`,
					manifestType, fmt.Sprintf(config, "x"), strange, strange, subject),
			} {
				a := h.tag("main/app", "t", []byte(manifest))
				switch a.status {
				case http.StatusCreated:
					if got := h.do("GET", "/v2/main/app/manifests/t", nil); string(got.body) != manifest {
						t.Errorf("%s in %s: pulled %d %s", name, place, got.status, got.body)
					}
				case http.StatusBadRequest:
					h.want(name+" in "+place, a, http.StatusBadRequest, "MANIFEST_INVALID")
				default:
					t.Errorf("%s in %s: %d %s", name, place, a.status, a.body)
				}
			}
		}
		if a := h.do("GET", "/v2/main/app/referrers/"+subject, nil); a.status != http.StatusOK || !json.Valid(a.body) {
			t.Errorf("referrers: %d %s", a.status, a.body)
		}
	})
}

// raw sends bytes as they are and closes the sending side; it returns the
// status of the answer, 0 where there was none.
func (h *harbour) raw(text string) (status int, body string) {
	h.t.Helper()
	c, err := (&net.Dialer{}).DialContext(h.t.Context(), "tcp", h.server.Listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		h.t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		h.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Error(err)
	}
	return res.StatusCode, string(answer)
}

// files counts what the folders of blobs and uploads hold.
func (h *harbour) files() (blobs, uploads int) {
	h.t.Helper()
	for folder, n := range map[string]*int{"blobs": &blobs, "uploads": &uploads} {
		err := filepath.WalkDir(filepath.Join(h.root, folder), func(_ string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				*n++
			}
			return err
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	return blobs, uploads
}

// TestBrokenBodies: a body that ends early or is malformed is the client's
// fault, is never answered as a success, and stores nothing.
func TestBrokenBodies(t *testing.T) {
	h := lite(t)
	manifest := string(h.manifest("main/app", nil))
	blobs, _ := h.files()
	for _, body := range []struct{ name, text string }{
		{"cut off", "Content-Length: 100000\r\n\r\nhello"},
		{"nothing of it", "Content-Length: 5\r\n\r\n"},
		{"malformed chunk", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"},
		{"chunks cut off", "Transfer-Encoding: chunked\r\n\r\n5\r\nhel"},
		{"a whole manifest in chunks that do not end", fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(manifest), manifest)},
	} {
		for _, request := range []struct{ name, line string }{
			{"manifest", "PUT /v2/main/app/manifests/1"},
			{"chunk", "PATCH " + h.begin("main/app")},
			{"last chunk", "PUT " + with(h.begin("main/app"), "digest", sum("hello"))},
			{"whole blob", "POST /v2/main/app/blobs/uploads/?digest=" + sum("hello")},
		} {
			_, before := h.files()
			h.log.reset()
			status, answer := h.raw(request.line + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + manifestType + "\r\n" + body.text)
			if status != http.StatusBadRequest || !strings.Contains(answer, `"SIZE_INVALID"`) {
				t.Errorf("%s, %s: %d %s", request.name, body.name, status, answer)
			}
			if text := h.log.String(); strings.Contains(text, "level=ERROR") {
				t.Errorf("%s, %s: the client's fault is logged as the server's: %s", request.name, body.name, text)
			}
			if _, after := h.files(); after != before {
				t.Errorf("%s, %s: %d uploads, were %d", request.name, body.name, after, before)
			}
		}
	}
	if after, _ := h.files(); after != blobs {
		t.Errorf("%d blobs, were %d", after, blobs)
	}
	h.want("no manifest", h.do("GET", "/v2/main/app/manifests/1", nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
}

// TestClientVanishes: a connection that breaks in the middle of a blob that is
// sent whole leaves no upload behind, for the client has no name to go on with.
func TestClientVanishes(t *testing.T) {
	h := lite(t)
	h.push("main/app", "x")
	ctx, vanish := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", h.server.URL+"/v2/main/app/blobs/uploads/?digest="+sum("y"), &vanishing{vanish: vanish})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := h.server.Client().Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, %v", res, err)
	}
	h.server.Close() // waits for the handler
	if blobs, uploads := h.files(); blobs != 1 || uploads != 0 {
		t.Errorf("%d blobs and %d uploads are left", blobs, uploads)
	}
	left, err := h.store.Uploads(t.Context(), distantFuture, "", 10)
	if err != nil || len(left) != 0 {
		t.Errorf("uploads are left: %v, %v", left, err)
	}
}

// vanishing is a body whose client goes after a megabyte.
type vanishing struct {
	sent   int
	vanish func()
}

func (v *vanishing) Read(b []byte) (int, error) {
	if v.sent += len(b); v.sent > 1<<20 {
		v.vanish()
		return 0, context.Canceled
	}
	clear(b)
	return len(b), nil
}

// TestWrongDigestLeavesNothing: bytes that are not what was meant cannot be
// made right by more of them, so the client starts again.
func TestWrongDigestLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		for name, push := range map[string]func() answer{
			"PUT": func() answer {
				return h.do("PUT", with(h.begin("main/app"), "digest", sum("other")), strings.NewReader("content"))
			},
			"POST": func() answer {
				return h.do("POST", "/v2/main/app/blobs/uploads/?digest="+sum("other"), strings.NewReader("content"))
			},
			"another length": func() answer {
				return h.do("PUT", with(h.begin("main/app"), "digest", blob.SHA512.Of([]byte("other"))), strings.NewReader("content"))
			},
		} {
			h.want(name, push(), http.StatusBadRequest, "DIGEST_INVALID")
			if blobs, uploads := h.files(); blobs != 0 || uploads != 0 {
				t.Errorf("%s: %d blobs and %d uploads are left", name, blobs, uploads)
			}
			if left, err := h.store.Uploads(t.Context(), distantFuture, "", 10); err != nil || len(left) != 0 {
				t.Errorf("%s: uploads are left: %v, %v", name, left, err)
			}
		}
		for _, content := range []string{"other", "content"} {
			h.want("blob", h.do("GET", "/v2/main/app/blobs/"+sum(content), nil), http.StatusNotFound, "BLOB_UNKNOWN")
		}
		// A digest that is no digest costs the upload nothing.
		at := h.begin("main/app")
		h.want("malformed", h.do("PUT", with(at, "digest", "sha256:x"), strings.NewReader("content")), http.StatusBadRequest, "DIGEST_INVALID")
		h.want("right", h.do("PUT", with(at, "digest", sum("content")), strings.NewReader("content")), http.StatusCreated, "")
	})
}
