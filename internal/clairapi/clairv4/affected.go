package clairv4

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// maxVulnerabilities bounds a request for affected manifests; Clair's notifier
// sends a thousand at a time.
const maxVulnerabilities = 10_000

type affectedManifests struct {
	Vulnerabilities map[string]*vulnerability `json:"vulnerabilities"`
	Manifests       map[string][]string       `json:"vulnerable_manifests"`
}

// postAffectedManifests tells which manifests have a package that one of the
// vulnerabilities affects. The vulnerabilities need not be ones of ours.
func (a *API) postAffectedManifests(r *http.Request) (answer, error) {
	kind, err := negotiate(r, vendorType("affected_manifests"), "application/json")
	if err != nil {
		return answer{}, err
	}
	var request struct {
		Vulnerabilities []*vulnerability `json:"vulnerabilities"`
	}
	if err := decode(r, &request, "vulnerabilities"); err != nil {
		return answer{}, err
	}
	if len(request.Vulnerabilities) > maxVulnerabilities {
		return answer{}, failed(http.StatusBadRequest, "failed to deserialize vulnerabilities: more than %d", maxVulnerabilities)
	}
	byKey := make(map[advisory.Key][]int) // places in the request
	statements := make([]match.Statement, len(request.Vulnerabilities))
	for i, v := range request.Vulnerabilities {
		if v == nil || v.Package == nil || v.ID == "" {
			continue
		}
		statements[i].Advisory = asAdvisory(*v)
		if statements[i].Ecosystem != "" {
			byKey[statements[i].Key()] = append(byKey[statements[i].Key()], i)
		}
	}
	keys := make([]advisory.Key, 0, len(byKey))
	for k := range byKey {
		keys = append(keys, k)
	}
	packages, err := a.store.PackagesByKey(r.Context(), keys)
	if err != nil {
		return answer{}, err
	}
	affected := make(map[int64][]int) // places in the request, by package
	var ids []int64
	for id, p := range packages {
		// Of Red Hat's products nothing is asked: whoever asks names the distribution.
		for _, heading := range match.Keys(p, nil) {
			for _, i := range byKey[heading.Key] {
				if len(match.Package(p, statements[i:i+1])) > 0 {
					affected[id] = append(affected[id], i)
				}
			}
		}
		if len(affected[id]) > 0 {
			ids = append(ids, id)
		}
	}
	manifests, err := a.store.ManifestsWith(r.Context(), ids)
	if err != nil {
		return answer{}, err
	}
	out := affectedManifests{Vulnerabilities: make(map[string]*vulnerability), Manifests: make(map[string][]string)}
	severity := make(map[string]advisory.Severity)
	for id, list := range manifests {
		for _, hash := range list {
			for _, i := range affected[id] {
				v := request.Vulnerabilities[i]
				if !slices.Contains(out.Manifests[hash], v.ID) {
					out.Manifests[hash] = append(out.Manifests[hash], v.ID)
				}
				out.Vulnerabilities[v.ID] = v
				severity[v.ID] = statements[i].Severity
			}
		}
	}
	for _, list := range out.Manifests {
		slices.SortFunc(list, func(a, b string) int {
			if c := worst(severity[a], severity[b]); c != 0 {
				return c
			}
			return strings.Compare(a, b)
		})
	}
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {kind}}, body: out}, nil
}

// asAdvisory reads a vulnerability as a statement; the ecosystem is "" where it
// speaks of packages that nothing is known of.
func asAdvisory(v vulnerability) advisory.Advisory {
	out := advisory.Advisory{
		Vulnerability: v.Name, Package: v.Package.Name, Source: v.Package.Kind == "source", Module: v.Package.Module, Status: advisory.Affected, Fixed: v.FixedInVersion,
	}
	out.Severity, _ = advisory.ParseSeverity(v.NormalizedSeverity) // unknown where it is no word of ours
	if d := v.Distribution; d != nil && d.DID != "" {
		version := d.VersionID
		if version == "" {
			version, _, _ = strings.Cut(d.Version, " ")
		}
		if found, ok := inventory.NewDistribution(d.DID, version, d.VersionCodeName, d.PrettyName); ok {
			out.Ecosystem = found.String()
		}
	} else if v.Repository != nil && v.Repository.Name != "" {
		for kind, from := range repositories {
			if from.Name == v.Repository.Name {
				out.Ecosystem, out.Source = kind, false
				out.Package = advisory.PackageName(kind, out.Package)
			}
		}
	}
	// Clair writes the range of languages' packages as a query: "fixed=1.2&introduced=1".
	if strings.Contains(out.Fixed, "=") {
		if values, err := url.ParseQuery(out.Fixed); err == nil {
			out.Fixed, out.Introduced, out.LastAffected = values.Get("fixed"), values.Get("introduced"), values.Get("lastAffected")
		}
	}
	if out.Fixed == "0" {
		out.Fixed = ""
	}
	return out
}

// describeKey is the distribution that a package's key names; nil where it has none.
func describeKey(key string) *distribution {
	id, version, _ := strings.Cut(key, ":")
	return describeDistribution(inventory.Distribution{ID: id, Version: version})
}
