package clairv4

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/clairapi/indexing"
)

// Bounds of what clients send.
const (
	maxBody    = 8 << 20 // a manifest with its tokens has some 100 kB
	maxLayers  = clairapi.MaxChain
	maxDigests = 10_000 // of one bulk delete
)

var digestPattern = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)

// decode reads a JSON body of bounded size. Unknown members are ignored.
func decode(r *http.Request, into any, what string) error {
	content, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return failed(http.StatusBadRequest, "failed to deserialize %s: the body could not be read to its end", what)
	}
	if len(content) > maxBody {
		return failed(http.StatusBadRequest, "failed to deserialize %s: the body is longer than %d bytes", what, maxBody)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return failed(http.StatusBadRequest, "failed to deserialize %s: %s", what, jsonFault(err))
	}
	return nil
}

// jsonFault words what is wrong with a body, without the names of Go's types.
func jsonFault(err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind) && kind.Field == "":
		return "the body is a JSON " + kind.Value
	case errors.As(err, &kind):
		return fmt.Sprintf("a JSON %s stands where %s is", kind.Value, kind.Field)
	case errors.As(err, &syntax):
		return fmt.Sprintf("no valid JSON at byte %d: %s", syntax.Offset, syntax)
	}
	return err.Error()
}

func checkDigest(text string) error {
	if !digestPattern.MatchString(text) {
		if len(text) > 200 {
			text = text[:200] + "…"
		}
		return fmt.Errorf("%q is no digest of sha256 or sha512", text)
	}
	return nil
}

// postIndexReport has a manifest indexed, and answers when that is over, well or
// badly. A failure to fetch a layer is told in the report.
func (a *API) postIndexReport(r *http.Request) (answer, error) {
	var m manifestBody
	if err := decode(r, &m, "manifest"); err != nil {
		return answer{}, err
	}
	switch {
	case m.Hash == "" || len(m.Layers) == 0:
		return answer{}, failed(http.StatusBadRequest, "bogus manifest")
	case len(m.Layers) > maxLayers:
		return answer{}, failed(http.StatusBadRequest, "bogus manifest: more than %d layers", maxLayers)
	}
	if err := checkDigest(m.Hash); err != nil {
		return answer{}, failed(http.StatusBadRequest, "failed to deserialize manifest: hash: %v", err)
	}
	request := indexing.ManifestRequest{Hash: m.Hash, Client: a.opts.Client(r)}
	for i, l := range m.Layers {
		if err := checkDigest(l.Hash); err != nil {
			return answer{}, failed(http.StatusBadRequest, "failed to deserialize manifest: layers[%d].hash: %v", i, err)
		}
		request.Layers = append(request.Layers, indexing.LayerRequest{Hash: l.Hash, URL: l.URI, Header: http.Header(l.Headers)})
	}
	next := indexerRoot + "index_report/" + m.Hash
	validator := a.validator()
	header := http.Header{"Link": {
		fmt.Sprintf(`<%s>; rel="https://projectquay.io/clair/v1/index_report"`, next),
		fmt.Sprintf(`<%s>; rel="https://projectquay.io/clair/v1/vulnerability_report"`, matcherRoot+"vulnerability_report/"+m.Hash),
	}}
	if unmodified(r, validator) {
		return answer{status: http.StatusPreconditionFailed, header: header}, nil
	}
	indexed, err := a.indexing.IndexManifest(r.Context(), request)
	if err != nil {
		return answer{}, err
	}
	report, err := a.indexReport(r, indexed)
	if err != nil {
		return answer{}, err
	}
	header.Set("Etag", validator)
	header.Set("Location", next)
	header.Set("Content-Type", "application/json")
	return answer{status: http.StatusCreated, header: header, body: report}, nil
}

func (a *API) indexReport(r *http.Request, m clairapi.Manifest) (indexReport, error) {
	var packages []clairapi.IndexedPackage
	if m.Error == "" {
		var err error
		if packages, err = a.store.IndexedPackages(r.Context(), m.InventoryID); err != nil {
			return indexReport{}, err
		}
	}
	return newIndexReport(m, packages), nil
}

// validator is the entity tag of everything that depends on the detectors.
func (a *API) validator() string { return `"` + a.opts.State() + `"` }

// getIndexReport returns what is known of a manifest. An image of our own
// registries is known without having been sent.
func (a *API) getIndexReport(r *http.Request) (answer, error) {
	hash := r.PathValue("digest")
	if err := checkDigest(hash); err != nil {
		return answer{}, failed(http.StatusBadRequest, "malformed path: %v", err)
	}
	kind, err := negotiate(r, vendorType("index_report"), "application/json")
	if err != nil {
		return answer{}, err
	}
	validator := a.validator()
	if unmodified(r, validator) { // of a manifest that is not known, too, as in Clair
		return answer{status: http.StatusNotModified, header: http.Header{"Etag": {validator}}}, nil
	}
	m, err := a.store.ClairManifest(r.Context(), hash)
	if errors.Is(err, clairapi.ErrNotFound) {
		return answer{}, failed(http.StatusNotFound, "index report not found")
	}
	if err != nil {
		return answer{}, err
	}
	report, err := a.indexReport(r, m)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, header: http.Header{"Etag": {validator}, "Content-Type": {kind}}, body: report}, nil
}

// deleteIndexReport forgets a manifest, known or not.
func (a *API) deleteIndexReport(r *http.Request) (answer, error) {
	hash := r.PathValue("digest")
	if err := checkDigest(hash); err != nil {
		return answer{}, failed(http.StatusBadRequest, "malformed path: %v", err)
	}
	if _, err := a.store.DeleteClairManifests(r.Context(), []string{hash}); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

// deleteIndexReports forgets manifests, and answers with those that there were.
func (a *API) deleteIndexReports(r *http.Request) (answer, error) {
	var hashes []string
	if err := decode(r, &hashes, "bulk delete"); err != nil {
		return answer{}, err
	}
	if len(hashes) > maxDigests {
		return answer{}, failed(http.StatusBadRequest, "failed to deserialize bulk delete: more than %d digests", maxDigests)
	}
	for i, hash := range hashes {
		if err := checkDigest(hash); err != nil {
			return answer{}, failed(http.StatusBadRequest, "failed to deserialize bulk delete: [%d]: %v", i, err)
		}
	}
	deleted, err := a.store.DeleteClairManifests(r.Context(), hashes)
	if err != nil {
		return answer{}, err
	}
	if deleted == nil {
		deleted = []string{}
	}
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: deleted}, nil
}

// getIndexState names the detectors. It changes with them, not with advisories.
func (a *API) getIndexState(r *http.Request) (answer, error) {
	kind, err := negotiate(r, vendorType("index_state"), "application/json")
	if err != nil {
		return answer{}, err
	}
	header := http.Header{"Etag": {a.validator()}}
	if unmodified(r, a.validator()) {
		return answer{status: http.StatusNotModified, header: header}, nil
	}
	header.Set("Content-Type", kind)
	return answer{status: http.StatusOK, header: header, body: map[string]string{"state": a.opts.State()}}, nil
}
