package clairv4

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/pratique/pratique/internal/clairapi"
)

// getVulnerabilityReport returns what affects a manifest now. That is a join:
// packages are matched when they, or advisories, come in.
//
// The media type is what it should be; Clair writes that of an index report.
// The answer 202, by which Clair says that it has no data yet, is never given:
// no client understands it, and feeds say of themselves how old they are.
func (a *API) getVulnerabilityReport(r *http.Request) (answer, error) {
	hash := r.PathValue("digest")
	if err := checkDigest(hash); err != nil {
		return answer{}, failed(http.StatusBadRequest, "malformed path: %v", err)
	}
	kind, err := negotiate(r, vendorType("vulnerability_report"), "application/json", vendorType("index_report"))
	var refused failedRequest
	if errors.As(err, &refused) && refused.status == http.StatusUnsupportedMediaType {
		kind, err = "application/json", nil // Clair does not look at Accept here
	}
	if err != nil {
		return answer{}, err
	}
	m, err := a.store.ClairManifest(r.Context(), hash)
	if errors.Is(err, clairapi.ErrNotFound) || err == nil && m.Error != "" {
		return answer{}, failed(http.StatusNotFound, "index report for manifest %q not found", hash)
	}
	if err != nil {
		return answer{}, err
	}
	packages, err := a.store.IndexedPackages(r.Context(), m.InventoryID)
	if err != nil {
		return answer{}, err
	}
	threats, err := a.store.InventoryThreats(r.Context(), m.InventoryID)
	if err != nil {
		return answer{}, err
	}
	report, err := newVulnerabilityReport(newIndexReport(m, packages), packages, threats)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, header: http.Header{
		"Content-Type":  {kind},
		"Cache-Control": {fmt.Sprintf("max-age=%.f", a.opts.CacheAge.Seconds())},
	}, body: report}, nil
}
