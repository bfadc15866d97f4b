package oci_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestRacingBlobs: while others delete a blob, a manifest that was taken has
// it, until the manifest is deleted; one that lacks it is refused.
func TestRacingBlobs(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		m := h.manifest("main/app", nil, "layer")
		var deleter sync.WaitGroup
		done := make(chan struct{})
		deleter.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				switch a := h.do("DELETE", "/v2/main/app/blobs/"+sum("layer"), nil); a.status {
				case http.StatusAccepted, http.StatusNotFound, http.StatusConflict:
				default:
					t.Errorf("delete: %d %s", a.status, a.body)
				}
				// Others need a chance to be between two deletes.
				for range 5 {
					h.do("GET", "/v2/main/app/tags/list", nil)
				}
			}
		})
		taken := 0
		for range 25 {
			h.push("main/app", "layer")
			a := h.tag("main/app", "1", m)
			if a.status == http.StatusBadRequest && a.code() == "MANIFEST_BLOB_UNKNOWN" {
				continue
			}
			h.want("push", a, http.StatusCreated, "")
			taken++
			for range 3 {
				if a := h.do("GET", "/v2/main/app/blobs/"+sum("layer"), nil); a.status != http.StatusOK || string(a.body) != "layer" {
					t.Errorf("a blob of a manifest that is there: %d %s", a.status, a.body)
				}
			}
			h.want("delete the manifest", h.do("DELETE", "/v2/main/app/manifests/"+sum(string(m)), nil), http.StatusAccepted, "")
			// What was answered as deleted is not served from memory.
			h.want("deleted manifest", h.do("GET", "/v2/main/app/manifests/1", nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
		}
		close(done)
		deleter.Wait()
		h.push("main/app", "layer")
		h.want("push at rest", h.tag("main/app", "1", m), http.StatusCreated, "")
		t.Logf("%d of 25 manifests were taken", taken)
	})
}

// TestTagsReadTheirOwnWrites: a client that moves its tag sees what it moved
// it to, whatever others do to the repository.
func TestTagsReadTheirOwnWrites(t *testing.T) {
	h := lite(t)
	images := [2][]byte{h.manifest("main/app", nil, "one"), h.manifest("main/app", nil, "two")}
	var wait sync.WaitGroup
	for worker := range 3 {
		wait.Go(func() {
			at := fmt.Sprintf("/v2/main/app/manifests/own%d", worker)
			for i := range 25 {
				m := images[i%2]
				h.want("push", h.do("PUT", at, strings.NewReader(string(m)), "Content-Type", manifestType), http.StatusCreated, "")
				for range 2 {
					if a := h.do("GET", at, nil); string(a.body) != string(m) {
						t.Errorf("pull: %d %s", a.status, a.body)
					}
				}
				if i%5 == 4 {
					h.want("delete", h.do("DELETE", at, nil), http.StatusAccepted, "")
					h.want("deleted", h.do("GET", at, nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
				}
			}
		})
	}
	wait.Wait()
}

// TestRacingChunks: of two chunks for the same place one is taken; the other
// is told where the upload ends.
func TestRacingChunks(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		at := h.begin("main/app")
		want := ""
		for i := range 10 {
			chunk := strings.Repeat(fmt.Sprint(i), 1000)
			want += chunk
			answers := make([]answer, 4)
			var wait sync.WaitGroup
			for j := range answers {
				wait.Go(func() {
					answers[j] = h.do("PATCH", at, strings.NewReader(chunk), "Content-Range", fmt.Sprintf("%d-%d", i*1000, i*1000+999))
				})
			}
			wait.Wait()
			taken := 0
			for _, a := range answers {
				if a.status == http.StatusAccepted {
					taken++
				} else {
					h.want("late chunk", a, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")
				}
				if got := a.header.Get("Range"); got != fmt.Sprintf("0-%d", len(want)-1) {
					t.Errorf("range %s after %d bytes", got, len(want))
				}
			}
			if taken != 1 {
				t.Errorf("%d chunks were taken", taken)
			}
		}
		// Both who finish it at once have the blob, or one learns that it is over.
		var wait sync.WaitGroup
		finished := make([]answer, 3)
		for j := range finished {
			wait.Go(func() { finished[j] = h.do("PUT", with(at, "digest", sum(want)), nil) })
		}
		wait.Wait()
		created := 0
		for _, a := range finished {
			if a.status == http.StatusCreated {
				created++
			} else {
				h.want("late end", a, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
			}
		}
		if created != 1 {
			t.Errorf("%d requests made the blob", created)
		}
		if a := h.do("GET", "/v2/main/app/blobs/"+sum(want), nil); string(a.body) != want {
			t.Errorf("pull: %d, %d bytes", a.status, len(a.body))
		}
	})
}

// TestCancelRacesAppend: an upload that is cancelled under a chunk is gone, and
// its bytes with it.
func TestCancelRacesAppend(t *testing.T) {
	h := lite(t)
	for range 20 {
		at := h.begin("main/app")
		var wait sync.WaitGroup
		wait.Go(func() {
			a := h.do("PATCH", at, strings.NewReader(strings.Repeat("x", 100_000)))
			if a.status != http.StatusAccepted && a.code() != "BLOB_UPLOAD_UNKNOWN" {
				t.Errorf("chunk: %d %s", a.status, a.body)
			}
		})
		wait.Go(func() { h.want("cancel", h.do("DELETE", at, nil), http.StatusNoContent, "") })
		wait.Wait()
		h.want("status", h.do("GET", at, nil), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	}
	if _, uploads := h.files(); uploads != 0 {
		t.Errorf("%d uploads are left", uploads)
	}
}
