package oci_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pratique/pratique/internal/blob"
)

func TestManifests(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		m := h.manifest("main/app", nil, "layer")
		digest := blob.SHA256.Of(m)
		a := h.tag("main/app", "1", m)
		h.want("push", a, http.StatusCreated, "")
		if a.header.Get("Location") != "/v2/main/app/manifests/"+digest || a.header.Get("Docker-Content-Digest") != digest {
			t.Errorf("header %v", a.header)
		}
		for _, reference := range []string{"1", digest} {
			a := h.do("GET", "/v2/main/app/manifests/"+reference, nil)
			if a.status != http.StatusOK || !bytes.Equal(a.body, m) || a.header.Get("Content-Type") != manifestType || a.header.Get("Docker-Content-Digest") != digest {
				t.Errorf("%s: %d %v", reference, a.status, a.header)
			}
			if a := h.do("HEAD", "/v2/main/app/manifests/"+reference, nil); a.status != http.StatusOK || a.header.Get("Content-Length") != fmt.Sprint(len(m)) || len(a.body) > 0 {
				t.Errorf("HEAD %s: %d %v", reference, a.status, a.header)
			}
		}
		h.want("push by another digest", h.tag("main/app", sum("x"), m), http.StatusBadRequest, "DIGEST_INVALID")
		h.want("push by a sha512 digest", h.tag("main/app", blob.SHA512.Of(m), m), http.StatusCreated, "")
		h.want("a layer in use", h.do("DELETE", "/v2/main/app/blobs/"+sum("layer"), nil), http.StatusConflict, "DENIED")

		h.want("push it by a second tag", h.tag("main/app", "2", m), http.StatusCreated, "")
		h.want("delete a tag", h.do("DELETE", "/v2/main/app/manifests/1", nil), http.StatusAccepted, "")
		h.want("deleted tag", h.do("GET", "/v2/main/app/manifests/1", nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
		h.want("its manifest stays", h.do("GET", "/v2/main/app/manifests/"+digest, nil), http.StatusOK, "")
		h.want("delete the manifest", h.do("DELETE", "/v2/main/app/manifests/"+digest, nil), http.StatusAccepted, "")
		h.want("its tag goes with it", h.do("GET", "/v2/main/app/manifests/2", nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
		h.want("delete it again", h.do("DELETE", "/v2/main/app/manifests/"+digest, nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
	})
}

func TestBadManifests(t *testing.T) {
	h := lite(t)
	good := string(h.manifest("main/app", nil, "layer"))
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[]}`, indexType)
	for _, test := range []struct {
		name, contentType, content string
		status                     int
		code                       string
	}{
		{"nothing", manifestType, "", 400, "MANIFEST_INVALID"},
		{"no JSON", manifestType, "hello", 400, "MANIFEST_INVALID"},
		{"a list", manifestType, "[]", 400, "MANIFEST_INVALID"},
		{"null", manifestType, "null", 400, "MANIFEST_INVALID"},
		{"cut", manifestType, good[:len(good)-1], 400, "MANIFEST_INVALID"},
		{"two documents", manifestType, good + good, 400, "MANIFEST_INVALID"},
		{"an index that says it is a manifest", manifestType, index, 400, "MANIFEST_INVALID"},
		{"a manifest that is sent as an index", indexType, good, 400, "MANIFEST_INVALID"},
		{"both at once", manifestType, strings.Replace(good, `"layers"`, `"manifests":[],"layers"`, 1), 400, "MANIFEST_INVALID"},
		{"a key twice", manifestType, strings.Replace(good, `"schemaVersion"`, `"layers":[],"schemaVersion"`, 1), 400, "MANIFEST_INVALID"},
		{"another version", manifestType, strings.Replace(good, `"schemaVersion":2`, `"schemaVersion":1`, 1), 400, "MANIFEST_INVALID"},
		{"a media type of no manifest", "text/html", good, 400, "MANIFEST_INVALID"},
		{"a malformed digest", manifestType, strings.Replace(good, sum("layer"), "sha256:../../x", 1), 400, "DIGEST_INVALID"},
		{"a negative size", manifestType, strings.Replace(good, `"size":5`, `"size":-5`, 1), 400, "MANIFEST_INVALID"},
		{"a layer that is not there", manifestType, strings.Replace(good, sum("layer"), sum("other"), 1), 400, "MANIFEST_BLOB_UNKNOWN"},
		{"an index of what is not there", indexType, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":2}]}`, indexType, manifestType, sum("none")), 400, "MANIFEST_BLOB_UNKNOWN"},
		{"too large", manifestType, good + strings.Repeat(" ", 5<<20), 413, "MANIFEST_INVALID"},
		{"deep nesting", manifestType, strings.Repeat(`{"annotations":`, 100_000), 400, "MANIFEST_INVALID"},
	} {
		a := h.do("PUT", "/v2/main/app/manifests/bad", strings.NewReader(test.content), "Content-Type", test.contentType)
		h.want(test.name, a, test.status, test.code)
	}
	h.want("none of them is stored", h.do("GET", "/v2/main/app/manifests/bad", nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
}

func TestBadNames(t *testing.T) {
	h := lite(t)
	for _, name := range []string{"UPPER/app", "main/Upper", "main/a..b", "main/-a", "main/a_", "main/a%00b", "main/a%0ab", "main/%3Cb%3E", "main/..", "main/" + strings.Repeat("a", 300), "app"} {
		a := h.do("POST", "/v2/"+name+"/blobs/uploads/", nil)
		if a.status/100 != 4 || a.code() != "NAME_INVALID" && a.code() != "NAME_UNKNOWN" && a.code() != "UNSUPPORTED" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	h.want("registry that is not there", h.do("POST", "/v2/none/app/blobs/uploads/", nil), http.StatusNotFound, "NAME_UNKNOWN")
	m := h.manifest("main/app", nil)
	for _, tag := range []string{"-a", ".a", "a%20b", "a%00", strings.Repeat("t", 129), "%C3%A4"} {
		if a := h.tag("main/app", tag, m); a.status != http.StatusBadRequest && a.status != http.StatusNotFound {
			t.Errorf("tag %q: %d %s", tag, a.status, a.body)
		}
	}
	for _, method := range []string{"POST", "PATCH", "TRACE", "MKCOL"} {
		if a := h.do(method, "/v2/main/app/manifests/1", nil); a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotFound {
			t.Errorf("%s: %d", method, a.status)
		}
	}
}

func TestLists(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		m := h.manifest("main/app", nil)
		tags := numbered("v%02d", 25)
		for _, tag := range tags {
			h.want("push", h.tag("main/app", tag, m), http.StatusCreated, "")
		}
		h.want("push", h.tag("other/zoo/deep", "1", h.manifest("other/zoo/deep", nil)), http.StatusCreated, "")
		var got []string
		pages := 0
		for at := "/v2/main/app/tags/list?n=10"; at != ""; pages++ {
			a := h.do("GET", at, nil)
			var list struct{ Tags []string }
			if err := json.Unmarshal(a.body, &list); err != nil || a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			got = append(got, list.Tags...)
			at, _, _ = strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
		}
		if !slices.Equal(got, tags) || pages != 3 {
			t.Errorf("%d pages: %v", pages, got)
		}
		for query, want := range map[string]string{
			"?n=0": `"tags":[]`, "?n=1&last=v23": `"tags":["v24"]`, "?last=v24": `"tags":[]`, "?n=99999999&last=v22": `"tags":["v23","v24"]`, "?n=1&last=%C3%A4%27": `"tags":[]`,
		} {
			if a := h.do("GET", "/v2/main/app/tags/list"+query, nil); a.status != http.StatusOK || !strings.Contains(string(a.body), want) {
				t.Errorf("%s: %d %s", query, a.status, a.body)
			}
		}
		for _, query := range []string{"?n=-1", "?n=x", "?n=99999999999999999999", "?last=%00"} {
			h.want(query, h.do("GET", "/v2/main/app/tags/list"+query, nil), http.StatusBadRequest, "PAGINATION_NUMBER_INVALID")
			h.want("catalog "+query, h.do("GET", "/v2/_catalog"+query, nil), http.StatusBadRequest, "PAGINATION_NUMBER_INVALID")
		}
		if a := h.do("GET", "/v2/_catalog", nil); string(a.body) != `{"repositories":["main/app","other/zoo/deep"]}` {
			t.Errorf("catalog: %s", a.body)
		}
		a := h.do("GET", "/v2/_catalog?n=1", nil)
		if string(a.body) != `{"repositories":["main/app"]}` || !strings.Contains(a.header.Get("Link"), "last=main%2Fapp") {
			t.Errorf("catalog: %s %v", a.body, a.header)
		}
		h.user = "eve"
		h.want("catalog without rights", h.do("GET", "/v2/_catalog", nil), http.StatusForbidden, "DENIED")
		h.want("tags without rights", h.do("GET", "/v2/main/app/tags/list", nil), http.StatusForbidden, "DENIED")
	})
}

func TestReferrers(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		m := h.manifest("main/app", nil)
		subject := blob.SHA256.Of(m)
		for i, kind := range []string{"sbom/x", "sbom/x", "signature/y"} {
			referrer := h.manifest("main/app", map[string]any{
				"artifactType": kind, "subject": descriptor{manifestType, subject, len(m)}, "annotations": map[string]string{"n": fmt.Sprint(i)},
			})
			a := h.tag("main/app", blob.SHA256.Of(referrer), referrer)
			h.want("push a referrer before its subject", a, http.StatusCreated, "")
			if a.header.Get("OCI-Subject") != subject {
				t.Errorf("header %v", a.header)
			}
		}
		list := func(query string) (kinds []string, header http.Header) {
			t.Helper()
			a := h.do("GET", "/v2/main/app/referrers/"+subject+query, nil)
			var index struct {
				Manifests []struct{ ArtifactType string }
			}
			if err := json.Unmarshal(a.body, &index); err != nil || a.status != http.StatusOK || a.header.Get("Content-Type") != indexType {
				t.Fatalf("%s: %d %s", query, a.status, a.body)
			}
			for _, m := range index.Manifests {
				kinds = append(kinds, m.ArtifactType)
			}
			slices.Sort(kinds)
			return kinds, a.header
		}
		if kinds, _ := list(""); !slices.Equal(kinds, []string{"sbom/x", "sbom/x", "signature/y"}) {
			t.Errorf("got %v", kinds)
		}
		if kinds, header := list("?artifactType=sbom/x"); len(kinds) != 2 || header.Get("OCI-Filters-Applied") != "artifactType" {
			t.Errorf("got %v, %v", kinds, header)
		}
		if kinds, header := list("?n=2"); len(kinds) != 2 || header.Get("Link") == "" {
			t.Errorf("got %v, %v", kinds, header)
		}
		for _, path := range []string{"/v2/main/app/referrers/" + sum("nobody"), "/v2/main/none/referrers/" + subject} {
			if a := h.do("GET", path, nil); a.status != http.StatusOK || !strings.Contains(string(a.body), `"manifests":[]`) {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
		h.want("no digest", h.do("GET", "/v2/main/app/referrers/1", nil), http.StatusBadRequest, "DIGEST_INVALID")
	})
}

// TestRacingClients: whatever others do meanwhile, a pull is whole or a 404.
func TestRacingClients(t *testing.T) {
	h := lite(t)
	var images [][]byte
	for i := range 4 {
		images = append(images, h.manifest("main/app", nil, fmt.Sprintf("layer %d", i)))
	}
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			chance := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 60 {
				m := images[chance.IntN(len(images))]
				tag := fmt.Sprint("t", chance.IntN(2))
				switch chance.IntN(4) {
				case 0:
					h.want("tag", h.tag("main/app", tag, m), http.StatusCreated, "")
				case 1:
					if a := h.do("DELETE", "/v2/main/app/manifests/"+tag, nil); a.status != http.StatusAccepted && a.status != http.StatusNotFound {
						t.Errorf("delete: %d %s", a.status, a.body)
					}
				case 2:
					if a := h.do("DELETE", "/v2/main/app/manifests/"+blob.SHA256.Of(m), nil); a.status != http.StatusAccepted && a.status != http.StatusNotFound {
						t.Errorf("delete: %d %s", a.status, a.body)
					}
				default:
					a := h.do("GET", "/v2/main/app/manifests/"+tag, nil)
					if a.status == http.StatusNotFound && a.code() == "MANIFEST_UNKNOWN" {
						continue
					}
					if a.status != http.StatusOK || a.header.Get("Docker-Content-Digest") != blob.SHA256.Of(a.body) {
						t.Errorf("pull: %d %s", a.status, a.body)
					}
				}
			}
		})
	}
	wait.Wait()
}
