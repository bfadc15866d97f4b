package clairv4

import (
	"context"
	"encoding/json"
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
	coding := encoding(r)
	return a.reports.do(r.Context(), hash+" "+kind+" "+coding, func(ctx context.Context) (answer, error) {
		return a.vulnerabilityReport(ctx, hash, kind, coding)
	})
}

// vulnerabilityReport is the answer in one media type and coding.
func (a *API) vulnerabilityReport(ctx context.Context, hash, kind, coding string) (answer, error) {
	m, err := a.store.ClairManifest(ctx, hash)
	if errors.Is(err, clairapi.ErrNotFound) || err == nil && m.Error != "" {
		return answer{}, failed(http.StatusNotFound, "index report for manifest %q not found", hash)
	}
	if err != nil {
		return answer{}, err
	}
	packages, err := a.store.IndexedPackages(ctx, m.InventoryID)
	if err != nil {
		return answer{}, err
	}
	threats, err := a.store.InventoryThreats(ctx, m.InventoryID)
	if err != nil {
		return answer{}, err
	}
	report, err := newVulnerabilityReport(newIndexReport(m, packages), packages, threats)
	if err != nil {
		return answer{}, err
	}
	text, err := json.Marshal(report)
	if err != nil {
		return answer{}, fmt.Errorf("report of %s: %w", hash, err)
	}
	text = append(text, '\n')
	header := http.Header{
		"Content-Type":  {kind},
		"Cache-Control": {fmt.Sprintf("max-age=%.f", a.opts.CacheAge.Seconds())},
	}
	if coding != "" && len(text) > smallBody {
		if text, err = pack(text, coding); err != nil {
			return answer{}, err
		}
		header.Set("Content-Encoding", coding)
	}
	return answer{status: http.StatusOK, header: header, text: text}, nil
}
