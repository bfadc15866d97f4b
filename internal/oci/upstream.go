package oci

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/upstream"
)

// How often a first pull waits for an analysis that the policy wants, and a time
// within which only what has settled answers.
const (
	analysisTries = 12
	settledWithin = 5 * time.Second
)

func via(r *http.Request) string { return r.Header.Get(upstream.Via) }

// refresh asks upstream for what is not here, or no longer new enough.
func (h *Handler) refresh(r *http.Request, t target) error {
	if h.opts.Upstream == nil {
		return nil
	}
	changed, err := h.opts.Upstream.Refresh(r.Context(), via(r), t.registry, t.repository, t.reference)
	if changed {
		h.changed()
	}
	return err
}

// check asks the gate. Where it wants to know more of an image from upstream, that
// is fetched and analysed first.
func (h *Handler) check(r *http.Request, t target, m *registry.Manifest, pull policy.Pull) (policy.Verdict, error) {
	verdict, err := h.gate.Check(r.Context(), pull)
	for range analysisTries {
		var blocked *policy.BlockedError
		if h.opts.Upstream == nil || !errors.As(err, &blocked) || !unanalysed(blocked.Reasons) {
			break
		}
		started := time.Now()
		done, failed := h.opts.Upstream.Complete(r.Context(), via(r), t.registry, t.repository, m)
		if failed != nil {
			return verdict, failed
		}
		if !done {
			break
		}
		h.changed()
		verdict, err = h.gate.Check(r.Context(), pull)
		if time.Since(started) < settledWithin {
			break // it did not wait: nothing more is to come
		}
	}
	return verdict, err
}

// unanalysed reports a refusal that an analysis may undo.
func unanalysed(reasons []policy.Reason) bool {
	for _, r := range reasons {
		if r.Kind == policy.AboutAnalysis || r.Kind == policy.AboutSources {
			return true
		}
	}
	return false
}

// askedByPush reports a request of somebody who pushes and asks whether what they have is
// here already. containerd, BuildKit and crane give up a push where the answer is
// neither yes nor no; that upstream does not answer is no reason for that.
func (h *Handler) askedByPush(r *http.Request, t target, err error) bool {
	var failed *upstream.Failure
	if r.Method != http.MethodHead || !errors.As(err, &failed) {
		return false
	}
	_, err = h.auth.Authorize(r, repositoryAccess(t.name, "pull", "push"))
	return err == nil
}

// passBlob serves a blob while it comes from upstream. It reports false where the
// blob is here now, and is to be served as others are.
func (h *Handler) passBlob(w http.ResponseWriter, r *http.Request, t target) (served bool, err error) {
	b, err := h.opts.Upstream.Blob(r.Context(), via(r), t.registry, t.repository, t.reference)
	if errors.Is(err, upstream.ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer b.Close()
	if r.Method == http.MethodHead || r.Header.Get("Range") != "" {
		return false, b.Wait(r.Context())
	}
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Docker-Content-Digest", t.reference)
	header.Set("ETag", `"`+t.reference+`"`)
	header.Set("Content-Length", strconv.FormatInt(b.Size, 10))
	if _, err := io.Copy(w, b); err != nil {
		h.opts.Logger.DebugContext(r.Context(), "blob from upstream was cut", "blob", t.reference, "error", err)
		// No other answer than none tells the client that what it has is bad.
		panic(http.ErrAbortHandler)
	}
	return true, nil
}
