package oci_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/pratique/pratique/internal/oci/registry"
)

// rule changes the rules of the registry main.
func (h *harbour) rule(change registry.Change) {
	h.t.Helper()
	if _, err := h.store.UpdateRegistry(h.t.Context(), "main", change); err != nil {
		h.t.Fatal(err)
	}
}

// tags are the tags of main/app, each with the name of its manifest in made.
func (h *harbour) tags(made map[string]string) string {
	h.t.Helper()
	repository, err := h.store.Repository(h.t.Context(), "main", "app")
	if err != nil {
		h.t.Fatal(err)
	}
	tags, err := h.store.Tags(h.t.Context(), repository.ID, "", 100)
	if err != nil {
		h.t.Fatal(err)
	}
	var list []string
	for _, tag := range tags {
		list = append(list, tag.Name+"="+made[tag.Digest])
	}
	return strings.Join(list, " ")
}

func TestImmutableTags(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		h.rule(registry.Change{ImmutableTags: &[]string{"v*"}})
		one, two := h.manifest("main/app", nil, "one"), h.manifest("main/app", nil, "two")
		h.want("the first push", h.tag("main/app", "v1", one), http.StatusCreated, "")
		h.want("the same again", h.tag("main/app", "v1", one), http.StatusCreated, "")
		refused := h.tag("main/app", "v1", two)
		h.want("another manifest", refused, http.StatusConflict, "DENIED")
		if !strings.Contains(string(refused.body), "the tag v1 is immutable in this registry and names "+sum(string(one))) {
			t.Errorf("told %s", refused.body)
		}
		h.want("beside a tag that may move", h.tag("main/app", "latest?tag=v1", two), http.StatusConflict, "DENIED")
		h.want("a tag of no pattern", h.tag("main/app", "latest", two), http.StatusCreated, "")
		h.want("and it moves", h.tag("main/app", "latest", one), http.StatusCreated, "")
		h.want("no deletion of the tag", h.do("DELETE", "/v2/main/app/manifests/v1", nil), http.StatusConflict, "DENIED")
		h.want("nor of its manifest", h.do("DELETE", "/v2/main/app/manifests/"+sum(string(one)), nil), http.StatusConflict, "DENIED")
		if got := h.tags(map[string]string{sum(string(one)): "one", sum(string(two)): "two"}); got != "latest=one v1=one" {
			t.Errorf("tags %s", got)
		}
		h.rule(registry.Change{ImmutableTags: &[]string{}})
		h.want("without the rule", h.do("DELETE", "/v2/main/app/manifests/"+sum(string(one)), nil), http.StatusAccepted, "")
	})
}

func TestVersionTags(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		made := make(map[string]string)
		push := func(tag string, status int) {
			t.Helper()
			m := h.manifest("main/app", nil, tag)
			made[sum(string(m))] = "of-" + tag
			code := ""
			if status != http.StatusCreated {
				code = "DENIED"
			}
			h.want("push "+tag, h.tag("main/app", tag, m), status, code)
		}
		want := func(what, tags string) {
			t.Helper()
			if got := h.tags(made); got != tags {
				t.Errorf("%s: %s, want %s", what, got, tags)
			}
		}
		push("1.9.0", http.StatusCreated)
		want("without the rule", "1.9.0=of-1.9.0")
		on := true
		h.rule(registry.Change{VersionTags: &on})
		want("the rule counts for what is there", "1=of-1.9.0 1.9=of-1.9.0 1.9.0=of-1.9.0 latest=of-1.9.0")
		push("1.10.0", http.StatusCreated)
		push("1.9.1", http.StatusCreated)
		push("2.0.0-rc.1", http.StatusCreated)
		want("only upwards", "1=of-1.10.0 1.10=of-1.10.0 1.10.0=of-1.10.0 1.9=of-1.9.1 1.9.0=of-1.9.0 1.9.1=of-1.9.1 2.0.0-rc.1=of-2.0.0-rc.1 latest=of-1.10.0")
		push("latest", http.StatusConflict)
		push("1.9", http.StatusConflict)
		push("edge", http.StatusCreated)
		h.want("no deletion of what follows", h.do("DELETE", "/v2/main/app/manifests/latest", nil), http.StatusConflict, "DENIED")
		h.want("a version is deleted", h.do("DELETE", "/v2/main/app/manifests/1.10.0", nil), http.StatusAccepted, "")
		want("the next one counts", "1=of-1.9.1 1.9=of-1.9.1 1.9.0=of-1.9.0 1.9.1=of-1.9.1 2.0.0-rc.1=of-2.0.0-rc.1 edge=of-edge latest=of-1.9.1")
		for digest, name := range made {
			if strings.HasPrefix(name, "of-1.9") && name != "of-1.9" {
				h.want("delete "+name, h.do("DELETE", "/v2/main/app/manifests/"+digest, nil), http.StatusAccepted, "")
			}
		}
		want("none is left", "2.0.0-rc.1=of-2.0.0-rc.1 edge=of-edge")
	})
}

func TestQuota(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		h.push("other/app", "elsewhere!")
		bytes := int64(10)
		h.rule(registry.Change{Quota: &bytes})
		six := h.push("main/app", "sixsix")
		h.want("the same blob takes no more", h.do("POST", "/v2/main/more/blobs/uploads/?mount="+six+"&from=main/app", nil), http.StatusCreated, "")
		refused := h.do("POST", "/v2/main/app/blobs/uploads/?digest="+sum("fives"), strings.NewReader("fives"))
		h.want("five more", refused, http.StatusForbidden, "DENIED")
		if want := "the registry main may hold 10 bytes and holds 6; 5 more do not fit"; !strings.Contains(string(refused.body), want) ||
			!strings.Contains(string(refused.body), `"detail":{"asked":5,"quota":10,"used":6}`) {
			t.Errorf("told %s", refused.body)
		}
		h.want("a mount", h.do("POST", "/v2/main/app/blobs/uploads/?from=other/app&mount="+sum("elsewhere!"), nil), http.StatusForbidden, "DENIED")
		at := h.begin("main/app")
		h.want("a chunk with a length", h.do("PATCH", at, strings.NewReader("fives")), http.StatusForbidden, "DENIED")
		h.want("one without", h.do("PATCH", at, struct{ *strings.Reader }{strings.NewReader("fives")}), http.StatusAccepted, "")
		h.want("is refused at the end", h.do("PUT", with(at, "digest", sum("fives")), nil), http.StatusForbidden, "DENIED")
		h.want("and gone", h.do("GET", at, nil), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		h.push("main/app", "four")
		h.want("full: no upload is begun", h.do("POST", "/v2/main/app/blobs/uploads/", nil), http.StatusForbidden, "DENIED")
		h.want("others have room", h.do("POST", "/v2/other/app/blobs/uploads/", nil), http.StatusAccepted, "")
		bytes = 0
		h.rule(registry.Change{Quota: &bytes})
		h.push("main/app", "as much as there is")
	})
}

// TestQuotaIsExact: however many push at a time, no more is linked than may be.
func TestQuotaIsExact(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		main, err := h.store.Registry(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		bytes := int64(100)
		h.rule(registry.Change{Quota: &bytes})
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				repository, err := h.store.EnsureRepository(t.Context(), "main", fmt.Sprintf("app-%d", i%4))
				if err == nil {
					err = h.store.LinkBlob(t.Context(), repository.ID, sum(fmt.Sprint(i)), 9)
				}
				var full *registry.QuotaError
				if err != nil && !errors.As(err, &full) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if held, err := h.store.RegistryUsage(t.Context(), main.ID, nil); err != nil || held.Total != 99 {
			t.Errorf("holds %d bytes, %v", held.Total, err)
		}
	})
}
