package oci_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/blob"
)

// index writes an index of manifests, as media types and contents in turn.
func index(more string, children ...string) string {
	var list []string
	for i := 0; i+1 < len(children); i += 2 {
		list = append(list, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, children[i], sum(children[i+1]), len(children[i+1])))
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]%s}`, indexType, strings.Join(list, ","), more)
}

func (h *harbour) putIndex(reference, content string) answer {
	h.t.Helper()
	return h.do("PUT", "/v2/main/app/manifests/"+reference, strings.NewReader(content), "Content-Type", indexType)
}

func TestIndexes(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		child := string(h.manifest("main/app", nil, "layer"))
		inner, lone := index("", manifestType, child), index("")
		outer := index("", indexType, inner, manifestType, child, "text/plain", "layer")

		a := h.putIndex("multi", inner)
		h.want("an index before its manifests", a, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
		if !strings.Contains(string(a.body), sum(child)) {
			t.Errorf("the refusal does not name what is missing: %s", a.body)
		}
		h.want("the same manifest in another repository", h.tag("other/app", "1", h.manifest("other/app", nil, "layer")), http.StatusCreated, "")
		h.want("does not count here", h.putIndex("multi", inner), http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
		h.want("child", h.tag("main/app", sum(child), []byte(child)), http.StatusCreated, "")
		h.want("a child of another size", h.putIndex("multi", strings.Replace(inner, `"size":`, `"size":1`, 1)), http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
		for reference, content := range map[string]string{"empty": lone, "multi": inner} {
			h.want(reference, h.putIndex(reference, content), http.StatusCreated, "")
		}
		h.want("nested", h.putIndex("nested", outer), http.StatusCreated, "")
		h.want("a blob of an index is in use", h.do("DELETE", "/v2/main/app/blobs/"+sum("layer"), nil), http.StatusConflict, "DENIED")

		// No digest can be known before what it is of: a circle cannot be closed.
		own := index("", indexType, "itself")
		h.want("an index of itself", h.putIndex("self", strings.Replace(own, sum("itself"), sum(own), 1)), http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")

		h.want("delete the child", h.do("DELETE", "/v2/main/app/manifests/"+sum(child), nil), http.StatusAccepted, "")
		for _, reference := range []string{"multi", "nested", sum(inner), sum(outer)} {
			if a := h.do("GET", "/v2/main/app/manifests/"+reference, nil); a.status != http.StatusOK || a.header.Get("Content-Type") != indexType {
				t.Errorf("%s: %d %s", reference, a.status, a.body)
			}
		}
		h.want("its blob stays", h.do("GET", "/v2/main/app/blobs/"+sum("layer"), nil), http.StatusOK, "")
	})
}

// TestManifestTypeConfusion: what is stored is served as what it was pushed
// as, whatever else is claimed of it (GHSA-qq97-vm5h-rrhg).
func TestManifestTypeConfusion(t *testing.T) {
	h := lite(t)
	child := string(h.manifest("main/app", nil, "layer"))
	inner := index("", manifestType, child)
	h.want("child", h.tag("main/app", "1", []byte(child)), http.StatusCreated, "")
	h.want("inner", h.putIndex("2", inner), http.StatusCreated, "")
	for name, content := range map[string]string{
		"an image that is called an index": index("", indexType, child),
		"an index that is called an image": index("", manifestType, inner),
	} {
		if a := h.putIndex("lie", content); a.status != http.StatusCreated && a.code() != "MANIFEST_INVALID" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for digest, mediaType := range map[string]string{sum(child): manifestType, sum(inner): indexType} {
		for _, accept := range []string{"", manifestType, indexType, "text/html", "*/*"} {
			a := h.do("GET", "/v2/main/app/manifests/"+digest, nil, "Accept", accept)
			if a.status != http.StatusOK || a.header.Get("Content-Type") != mediaType || sum(string(a.body)) != digest {
				t.Errorf("%s, accepting %q: %d %v", mediaType, accept, a.status, a.header)
			}
		}
	}
	// Without a mediaType of its own, a manifest is what it can only be.
	for content, other := range map[string]string{
		strings.Replace(child, `"mediaType":"`+manifestType+`",`, "", 1): indexType,
		strings.Replace(inner, `"mediaType":"`+indexType+`",`, "", 1):    manifestType,
	} {
		a := h.do("PUT", "/v2/main/app/manifests/3", strings.NewReader(content), "Content-Type", other)
		h.want("as "+other, a, http.StatusBadRequest, "MANIFEST_INVALID")
	}
	// A manifest is no blob, and a blob no manifest.
	h.want("manifest as a blob", h.do("GET", "/v2/main/app/blobs/"+sum(child), nil), http.StatusNotFound, "BLOB_UNKNOWN")
	h.push("main/app", child+" ")
	h.want("blob as a manifest", h.do("GET", "/v2/main/app/manifests/"+sum(child+" "), nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
}

func TestTagsInTheQuery(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		m := h.manifest("main/app", nil)
		digest := blob.SHA256.Of(m)
		a := h.tag("main/app", digest+"?tag=one&tag=two", m)
		h.want("push by digest with tags", a, http.StatusCreated, "")
		if got := a.header.Values("OCI-Tag"); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("OCI-Tag: %q", got)
		}
		for _, tag := range []string{"one", "two"} {
			if a := h.do("HEAD", "/v2/main/app/manifests/"+tag, nil); a.header.Get("Docker-Content-Digest") != digest {
				t.Errorf("%s: %d %v", tag, a.status, a.header)
			}
		}
		h.want("a tag that is none", h.tag("main/app", digest+"?tag=three&tag=-x", m), http.StatusBadRequest, "MANIFEST_INVALID")
		h.want("leaves the others alone", h.do("GET", "/v2/main/app/manifests/three", nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
	})
}

// TestReferrersPages follows the pages to their end, with a filter and without.
func TestReferrersPages(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		m := h.manifest("main/app", nil)
		subject := blob.SHA256.Of(m)
		all := make(map[string][]string) // filter -> digests
		for i := range 7 {
			kind := fmt.Sprintf("kind/%d", i%2)
			more := fmt.Sprintf(`,"artifactType":%q,"annotations":{"i":"%d"},"subject":{"mediaType":%q,"digest":%q,"size":%d}`, kind, i, manifestType, subject, len(m))
			content := index(more)
			a := h.putIndex(sum(content), content)
			h.want("referrer", a, http.StatusCreated, "")
			if a.header.Get("OCI-Subject") != subject {
				t.Errorf("header %v", a.header)
			}
			all[""] = append(all[""], sum(content))
			all[kind] = append(all[kind], sum(content))
		}
		walk := func(filter string) (digests []string, pages int) {
			t.Helper()
			for at := with("/v2/main/app/referrers/"+subject, "n", "2", "artifactType", filter); at != ""; pages++ {
				a := h.do("GET", at, nil)
				var page struct {
					SchemaVersion int
					MediaType     string
					Manifests     []struct{ Digest, ArtifactType string }
				}
				if err := json.Unmarshal(a.body, &page); err != nil || page.MediaType != indexType || page.SchemaVersion != 2 {
					t.Fatalf("%d %s", a.status, a.body)
				}
				if (a.header.Get("OCI-Filters-Applied") == "artifactType") != (filter != "") {
					t.Errorf("filter %q: header %v", filter, a.header)
				}
				for _, m := range page.Manifests {
					digests = append(digests, m.Digest)
				}
				link, rel, _ := strings.Cut(a.header.Get("Link"), ">")
				if at = strings.TrimPrefix(link, "<"); at != "" && rel != `; rel="next"` {
					t.Errorf("Link: %s", a.header.Get("Link"))
				}
			}
			return digests, pages
		}
		for filter, want := range all {
			slices.Sort(want)
			if got, pages := walk(filter); !slices.Equal(got, want) || pages != (len(want)+1)/2 {
				t.Errorf("filter %q: %d pages, %v, want %v", filter, pages, got, want)
			}
		}
		if got, _ := walk("kind/none"); len(got) != 0 {
			t.Errorf("got %v", got)
		}
		gone := all[""][0]
		h.want("delete a referrer", h.do("DELETE", "/v2/main/app/manifests/"+gone, nil), http.StatusAccepted, "")
		if got, _ := walk(""); slices.Contains(got, gone) || len(got) != 6 {
			t.Errorf("after a delete: %v", got)
		}
		h.want("push the subject", h.tag("main/app", "1", m), http.StatusCreated, "")
		h.want("delete the subject", h.do("DELETE", "/v2/main/app/manifests/"+subject, nil), http.StatusAccepted, "")
		if got, _ := walk(""); len(got) != 6 {
			t.Errorf("without the subject: %v", got)
		}
		if a := h.do("GET", "/v2/main/app/referrers/"+subject+"?n=0", nil); !strings.Contains(string(a.body), `"manifests":[]`) || a.header.Get("Link") != "" {
			t.Errorf("n=0: %s %v", a.body, a.header)
		}
	})
}

// TestCatalogPages follows the catalog to its end over several registries.
func TestCatalogPages(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		var want []string
		for _, name := range []string{"main/a", "main/a-b", "main/a/b", "main/a.b", "other/a", "other/z/z"} {
			h.want("push", h.putAny(name), http.StatusCreated, "")
			want = append(want, name)
		}
		h.push("main/empty", "a repository without manifests is not listed")
		slices.Sort(want)
		for n := 1; n <= len(want)+1; n++ {
			var got []string
			for at := fmt.Sprintf("/v2/_catalog?n=%d", n); at != ""; {
				a := h.do("GET", at, nil)
				var page struct{ Repositories []string }
				if err := json.Unmarshal(a.body, &page); err != nil || len(page.Repositories) > n {
					t.Fatalf("%d %s", a.status, a.body)
				}
				got = append(got, page.Repositories...)
				link, _, _ := strings.Cut(a.header.Get("Link"), ">")
				at = strings.TrimPrefix(link, "<")
			}
			slices.Sort(got) // engines may sort punctuation otherwise
			if !slices.Equal(got, want) {
				t.Errorf("n=%d: %v, want %v", n, got, want)
			}
		}
	})
}

// putAny pushes an index without entries.
func (h *harbour) putAny(repository string) answer {
	h.t.Helper()
	return h.do("PUT", "/v2/"+repository+"/manifests/1", strings.NewReader(index("")), "Content-Type", indexType)
}
