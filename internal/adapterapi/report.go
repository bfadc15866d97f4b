package adapterapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/sbom"
)

// The media types; Harbor compares them letter by letter.
const (
	metadataType = "application/vnd.scanner.adapter.metadata+json; version=1.0"
	metadata11   = "application/vnd.scanner.adapter.metadata+json; version=1.1"
	scanType     = "application/vnd.scanner.adapter.scan.response+json; version=1.0"
	errorType    = "application/vnd.scanner.adapter.error+json; version=1.0"
	nativeType   = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0"
	genericType  = "application/vnd.security.vulnerability.report; version=1.1"
	rawType      = "application/vnd.scanner.adapter.vuln.report.raw"
	sbomType     = "application/vnd.security.sbom.report+json; version=1.0"
)

// consumed are the media types of what is scanned.
var consumed = []string{"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}

type scanner struct {
	Name    string `json:"name"`
	Vendor  string `json:"vendor"`
	Version string `json:"version"`
}

func (a *API) scanner() scanner { return scanner{"Pratique", "Pratique", a.opts.Version} }

type capability struct {
	Type       string              `json:"type"`
	Consumes   []string            `json:"consumes_mime_types"`
	Produces   []string            `json:"produces_mime_types"`
	Attributes map[string][]string `json:"additional_attributes,omitempty"`
}

// getMetadata says what the scanner can do. Harbor asks for it as a sign of life.
func (a *API) getMetadata(r *http.Request) (answer, error) {
	properties := map[string]string{
		"harbor.scanner-adapter/scanner-type":                "os-package-vulnerability",
		"harbor.scanner-adapter/registry-authorization-type": "Basic",
	}
	updated, err := a.store.FeedsUpdated(r.Context())
	if err != nil {
		return answer{}, err
	}
	if !updated.IsZero() {
		properties["harbor.scanner-adapter/vulnerability-database-updated-at"] = updated.UTC().Format(time.RFC3339)
	}
	if a.opts.Next != nil {
		if next := a.opts.Next(); !next.IsZero() {
			properties["harbor.scanner-adapter/vulnerability-database-next-update-at"] = next.UTC().Format(time.RFC3339)
		}
	}
	kind := metadataType
	if strings.Contains(r.Header.Get("Accept"), "1.1") {
		kind = metadata11
	}
	return answer{status: http.StatusOK, kind: kind, body: map[string]any{
		"scanner": a.scanner(),
		"capabilities": []capability{
			{Type: "vulnerability", Consumes: consumed, Produces: []string{nativeType, genericType}},
			{Type: "sbom", Consumes: consumed, Produces: []string{sbomType}, Attributes: map[string][]string{"sbom_media_types": {sbom.SPDXType, sbom.CycloneDXType}}},
		},
		"properties": properties,
	}}, nil
}

type report struct {
	GeneratedAt     time.Time         `json:"generated_at"`
	Artifact        clairapi.Artifact `json:"artifact"`
	Scanner         scanner           `json:"scanner"`
	Severity        string            `json:"severity"`
	Vulnerabilities []item            `json:"vulnerabilities"`
}

type item struct {
	ID          string         `json:"id"`
	Package     string         `json:"package"`
	Version     string         `json:"version"`
	FixVersion  string         `json:"fix_version"`
	Severity    string         `json:"severity"`
	Status      string         `json:"status"`
	Description string         `json:"description"`
	Links       []string       `json:"links"`
	CVSS        *preferredCVSS `json:"preferred_cvss,omitempty"`
	CWE         []string       `json:"cwe_ids"`
	Attributes  map[string]any `json:"vendor_attributes,omitempty"`
}

type preferredCVSS struct {
	ScoreV3  *float64 `json:"score_v3"`
	ScoreV2  *float64 `json:"score_v2"`
	VectorV3 string   `json:"vector_v3"`
	VectorV2 string   `json:"vector_v2"`
}

type bill struct {
	GeneratedAt time.Time         `json:"generated_at"`
	Artifact    clairapi.Artifact `json:"artifact"`
	Scanner     scanner           `json:"scanner"`
	Attributes  map[string]any    `json:"vendor_attributes"`
	MediaType   string            `json:"media_type"`
	SBOM        json.RawMessage   `json:"sbom"`
}

// wanted is the report that a client accepts: its media type.
func wanted(accept string) (string, error) {
	for part := range strings.SplitSeq(accept, ",") {
		kind, parameters, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		switch version := parameters["version"]; {
		case kind == "*/*", kind == "application/*":
			return nativeType, nil
		case kind == rawType:
			return rawType, nil
		case kind == "application/vnd.scanner.adapter.vuln.report.harbor+json" && (version == "" || version == "1.0"):
			return nativeType, nil
		case (kind == "application/vnd.security.vulnerability.report" || kind == "application/vnd.security.vulnerability.report+json") && (version == "" || version == "1.1"):
			return genericType, nil
		case kind == "application/vnd.security.sbom.report+json" && (version == "" || version == "1.0"):
			return sbomType, nil
		}
	}
	if strings.TrimSpace(accept) == "" {
		return nativeType, nil
	}
	return "", failedRequest{http.StatusNotImplemented, "there is no report of the media type that Accept names"}
}

// getReport returns what was found, as it is now, or says that it is not done yet.
func (a *API) getReport(r *http.Request) (answer, error) {
	kind, err := wanted(r.Header.Get("Accept"))
	if err != nil {
		return answer{}, err
	}
	format := ""
	if kind == sbomType {
		// A plus that is not escaped arrives as a space.
		format = strings.ReplaceAll(r.URL.Query().Get("sbom_media_type"), " ", "+")
		if format != sbom.SPDXType && format != sbom.CycloneDXType {
			return answer{}, failedRequest{http.StatusBadRequest, "sbom_media_type must be " + sbom.SPDXType + " or " + sbom.CycloneDXType}
		}
	}
	scan, err := a.store.Scan(r.Context(), r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	switch {
	case scan.State == clairapi.ScanFailed:
		return answer{}, failedRequest{http.StatusInternalServerError, "scan failed: " + scan.Error}
	case scan.State == clairapi.ScanPending && a.opts.Now().Sub(scan.Created) > scanTimeout:
		return answer{}, failedRequest{http.StatusInternalServerError, "scan failed: it was cut off when the scanner stopped"}
	case scan.State == clairapi.ScanPending:
		// Without a Location: a client that follows redirects would go round in circles.
		return answer{status: http.StatusFound, header: map[string]string{"Refresh-After": poll}}, nil
	}
	m, err := a.store.ClairManifest(r.Context(), scan.Artifact.Digest)
	if err != nil {
		return answer{}, err
	}
	packages, err := a.store.IndexedPackages(r.Context(), m.InventoryID)
	if err != nil {
		return answer{}, err
	}
	if kind == sbomType {
		body, err := a.bill(scan, m, packages, format)
		return answer{status: http.StatusOK, kind: kind, body: body}, err
	}
	threats, err := a.store.InventoryThreats(r.Context(), m.InventoryID)
	if err != nil {
		return answer{}, err
	}
	if kind == rawType {
		kind += "; charset=utf-8"
	}
	return answer{status: http.StatusOK, kind: kind, body: a.report(scan, packages, threats)}, nil
}

func (a *API) report(scan clairapi.Scan, packages []clairapi.IndexedPackage, threats []clairapi.Threat) report {
	byID := make(map[int64]inventory.Package, len(packages))
	for _, p := range packages {
		byID[p.ID] = p.Package
	}
	out := report{GeneratedAt: a.opts.Now().UTC(), Artifact: scan.Artifact, Scanner: a.scanner(), Severity: "None", Vulnerabilities: make([]item, 0, len(threats))}
	worst := advisory.Severity(-1)
	for _, t := range threats {
		p, known := byID[t.PackageID]
		if !known {
			continue // the inventory changed between two reads
		}
		i := item{
			ID: t.Vulnerability, Package: p.Name, Version: p.Version, FixVersion: t.Statement.Fixed, Severity: clairapi.SeverityName(t.Severity),
			Status: status(t), Description: t.Description, Links: clairapi.Pages(p, t), CVSS: preferred(t), CWE: []string{},
		}
		if i.Links == nil {
			i.Links = []string{}
		}
		if t.EPSS > 0 {
			i.Attributes = map[string]any{"EPSS": t.EPSS}
		}
		out.Vulnerabilities = append(out.Vulnerabilities, i)
		if t.Severity > worst {
			worst, out.Severity = t.Severity, i.Severity
		}
	}
	slices.SortStableFunc(out.Vulnerabilities, func(a, b item) int {
		severity := func(i item) advisory.Severity {
			s, _ := advisory.ParseSeverity(i.Severity) // it is one of ours
			return s
		}
		return cmp.Or(int(severity(b)-severity(a)), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Package, b.Package))
	})
	return out
}

// status is Harbor's word for what is to be expected.
func status(t clairapi.Threat) string {
	if t.Statement.Fixed != "" {
		return "fixed"
	}
	switch t.Statement.Fix {
	case advisory.WillNotFix:
		return "will_not_fix"
	case advisory.Deferred:
		return "fix_deferred"
	case advisory.EndOfLife:
		return "end_of_life"
	}
	return "affected"
}

func preferred(t clairapi.Threat) *preferredCVSS {
	if t.Vector == "" {
		return nil
	}
	base := t.CVSS
	switch {
	case strings.HasPrefix(t.Vector, "CVSS:3"):
		return &preferredCVSS{ScoreV3: &base, VectorV3: t.Vector}
	case strings.HasPrefix(t.Vector, "CVSS:"):
		return &preferredCVSS{ScoreV3: &base} // of version 4, for which Harbor has no place
	}
	return &preferredCVSS{ScoreV2: &base, VectorV2: t.Vector}
}

func (a *API) bill(scan clairapi.Scan, m clairapi.Manifest, packages []clairapi.IndexedPackage, format string) (bill, error) {
	subject := sbom.Subject{
		Digest: scan.Artifact.Digest, Name: scan.Artifact.Repository, Distribution: m.Distribution.String(), Created: scan.Created, Version: a.opts.Version,
	}
	for _, l := range m.Layers {
		subject.Layers = append(subject.Layers, l.Hash)
	}
	for _, p := range packages {
		if p.LayerIndex < len(m.Layers) {
			p.LayerDigest = m.Layers[p.LayerIndex].Hash
		}
		subject.Packages = append(subject.Packages, p.Installed)
	}
	write := sbom.SPDX
	if format == sbom.CycloneDXType {
		write = sbom.CycloneDX
	}
	var text bytes.Buffer
	if err := write(&text, subject); err != nil {
		return bill{}, fmt.Errorf("bill of %s: %w", scan.Artifact.Digest, err)
	}
	return bill{
		GeneratedAt: a.opts.Now().UTC(), Artifact: scan.Artifact, Scanner: a.scanner(), Attributes: map[string]any{}, MediaType: format, SBOM: text.Bytes(),
	}, nil
}
