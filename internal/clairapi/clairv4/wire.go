package clairv4

import (
	"encoding/json"
	"time"
)

// The objects of the API, by the names that claircore gives their members. What
// is always there in Clair's answers is always there in ours.
type (
	manifestBody struct {
		Hash   string      `json:"hash"`
		Layers []layerBody `json:"layers"`
	}

	layerBody struct {
		Hash    string              `json:"hash"`
		URI     string              `json:"uri"`
		Headers map[string][]string `json:"headers"`
	}

	indexReport struct {
		Hash          string                   `json:"manifest_hash"`
		State         string                   `json:"state"`
		Packages      map[string]*packageBody  `json:"packages"`
		Distributions map[string]*distribution `json:"distributions"`
		Repositories  map[string]*repository   `json:"repository"`
		Environments  map[string][]environment `json:"environments"`
		Success       bool                     `json:"success"`
		Err           string                   `json:"err"`
	}

	vulnerabilityReport struct {
		Hash                   string                        `json:"manifest_hash"`
		Packages               map[string]*packageBody       `json:"packages"`
		Distributions          map[string]*distribution      `json:"distributions"`
		Repositories           map[string]*repository        `json:"repository"`
		Environments           map[string][]environment      `json:"environments"`
		Vulnerabilities        map[string]*vulnerability     `json:"vulnerabilities"`
		PackageVulnerabilities map[string][]string           `json:"package_vulnerabilities"`
		Enrichments            orderedMap[[]json.RawMessage] `json:"enrichments"`
	}

	packageBody struct {
		ID                string       `json:"id"`
		Name              string       `json:"name"`
		Version           string       `json:"version"`
		Kind              string       `json:"kind,omitempty"`
		Source            *packageBody `json:"source,omitempty"`
		NormalizedVersion string       `json:"normalized_version"`
		Module            string       `json:"module,omitempty"`
		Arch              string       `json:"arch,omitempty"`
		CPE               string       `json:"cpe"`
	}

	distribution struct {
		ID              string `json:"id"`
		DID             string `json:"did"`
		Name            string `json:"name"`
		Version         string `json:"version"`
		VersionCodeName string `json:"version_code_name"`
		VersionID       string `json:"version_id"`
		Arch            string `json:"arch"`
		CPE             string `json:"cpe"`
		PrettyName      string `json:"pretty_name"`
	}

	repository struct {
		ID   string `json:"id,omitempty"`
		Name string `json:"name,omitempty"`
		Key  string `json:"key,omitempty"`
		URI  string `json:"uri,omitempty"`
		CPE  string `json:"cpe"`
	}

	environment struct {
		PackageDB      string   `json:"package_db"`
		IntroducedIn   string   `json:"introduced_in"`
		DistributionID string   `json:"distribution_id"`
		RepositoryIDs  []string `json:"repository_ids"`
	}

	// vulnerability has no "range": Quay's schema takes a string there, and Clair
	// sends an object.
	vulnerability struct {
		ID                 string        `json:"id"`
		Updater            string        `json:"updater"`
		Name               string        `json:"name"`
		Description        string        `json:"description"`
		Issued             time.Time     `json:"issued"`
		Links              string        `json:"links"`
		Severity           string        `json:"severity"`
		NormalizedSeverity string        `json:"normalized_severity"`
		Package            *packageBody  `json:"package"`
		Distribution       *distribution `json:"distribution,omitempty"`
		Repository         *repository   `json:"repository,omitempty"`
		FixedInVersion     string        `json:"fixed_in_version"`
	}

	epssItem struct {
		ModelVersion string  `json:"modelVersion"`
		Date         string  `json:"date"`
		CVE          string  `json:"cve"`
		EPSS         float64 `json:"epss"`
		Percentile   float64 `json:"percentile"`
	}

	kevItem struct {
		CVE       string `json:"cve"`
		DateAdded string `json:"date_added"`
	}
)

// The types of enrichments, as Clair's enrichers name them.
const (
	enrichmentCVSS = "message/vnd.clair.map.vulnerability; enricher=clair.cvss schema=https://csrc.nist.gov/schema/nvd/api/2.0/cve_api_json_2.0.schema"
	enrichmentEPSS = "message/vnd.clair.map.vulnerability; enricher=clair.epss schema=none"
	enrichmentKEV  = "message/vnd.clair.map.vulnerability; enricher=clair.kev schema=none"
)

// orderedMap is written in its order: Quay takes the first enrichment for CVSS.
type orderedMap[T any] []entry[T]

type entry[T any] struct {
	key   string
	value T
}

// MarshalJSON writes an object.
func (m orderedMap[T]) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, e := range m {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(e.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(e.value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}
