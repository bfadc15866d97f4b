package clairv1

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/match"
)

// maxPage is the most vulnerabilities of one answer; a larger limit gets a next page.
const maxPage = 10_000

// getNamespaces lists the distributions that some feed speaks of. An empty list
// is [], where Clair writes null: no client of it minds, and others may.
func (a *API) getNamespaces(r *http.Request) (answer, error) {
	names, err := a.store.Namespaces(r.Context())
	if err != nil {
		return answer{}, err
	}
	list := make([]namespaceBody, len(names))
	for i, name := range names {
		list[i] = namespaceBody{Name: name, VersionFormat: versionFormat(name)}
	}
	return answer{http.StatusOK, namespacesEnvelope{list}}, nil
}

// getVulnerabilities lists a namespace's vulnerabilities, by name.
func (a *API) getVulnerabilities(r *http.Request) (answer, error) {
	namespace := r.PathValue("namespace")
	query := r.URL.Query()
	if !query.Has("limit") {
		return answer{}, badRequest(messageNoLimit)
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 0 {
		return answer{}, badRequest(fmt.Sprintf("invalid limit format: %q is no number from 0", query.Get("limit")))
	}
	limit = min(limit, maxPage)
	after, err := readPage(namespace, query.Get("page"))
	if err != nil {
		return answer{}, err
	}
	if !clairapi.ValidName(namespace) {
		return answer{}, clairapi.ErrNotFound
	}
	found, err := a.store.NamespaceVulnerabilities(r.Context(), namespace, after, limit+1)
	if err != nil {
		return answer{}, err
	}
	body := vulnerabilitiesEnvelope{Vulnerabilities: make([]vulnerabilityBody, 0, min(len(found), limit))}
	if len(found) > limit {
		found = found[:limit]
		if limit > 0 {
			after = found[limit-1].Name
		}
		body.NextPage = writePage(namespace, after)
	}
	for _, v := range found {
		body.Vulnerabilities = append(body.Vulnerabilities, describe(namespace, v))
	}
	return answer{http.StatusOK, body}, nil
}

// getVulnerability returns a vulnerability of a namespace, with its fixes where
// the parameter fixedIn is there, whatever its value.
func (a *API) getVulnerability(r *http.Request) (answer, error) {
	v, err := a.vulnerability(r)
	if err != nil {
		return answer{}, err
	}
	body := describe(r.PathValue("namespace"), v)
	if r.URL.Query().Has("fixedIn") {
		body.FixedIn = fixes(r.PathValue("namespace"), v)
	}
	return answer{http.StatusOK, vulnerabilityEnvelope{body}}, nil
}

// getFixes returns where a vulnerability of a namespace is fixed.
func (a *API) getFixes(r *http.Request) (answer, error) {
	v, err := a.vulnerability(r)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, featuresEnvelope{fixes(r.PathValue("namespace"), v)}}, nil
}

func (a *API) vulnerability(r *http.Request) (match.Vulnerability, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("vulnerability")
	if !clairapi.ValidName(namespace) || !clairapi.ValidName(name) {
		return match.Vulnerability{}, clairapi.ErrNotFound
	}
	return a.store.NamespaceVulnerability(r.Context(), namespace, name)
}

func describe(namespace string, v match.Vulnerability) vulnerabilityBody {
	return vulnerabilityBody{
		Name: v.Name, NamespaceName: namespace, Description: v.Description,
		Link: link(namespace, v.Name), Severity: severityName(v.Severity),
	}
}

// fixes lists affected packages with the version that is fixed, "None" where
// there is none. Parts of a feed that state the same are one.
func fixes(namespace string, v match.Vulnerability) []featureBody {
	list := make([]featureBody, 0, len(v.Statements))
	seen := make(map[featureKey]bool)
	for _, s := range v.Statements {
		version := s.Fixed
		if version == "" {
			version = "None"
		}
		k := featureKey{namespace, s.Package, version}
		if seen[k] {
			continue
		}
		seen[k] = true
		list = append(list, featureBody{Name: s.Package, NamespaceName: namespace, VersionFormat: versionFormat(namespace), Version: version})
	}
	return list
}

// A page token is opaque to clients: the namespace and the last name of the
// page before. It does not expire, where Clair's does after an hour.
func writePage(namespace, after string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(namespace + "\x00" + after))
}

func readPage(namespace, token string) (after string, err error) {
	if token == "" {
		return "", nil
	}
	content, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", badRequest(messageBadPage)
	}
	of, after, ok := strings.Cut(string(content), "\x00")
	if !ok || of != namespace || after != "" && !clairapi.ValidName(after) {
		return "", badRequest(messageBadPage)
	}
	return after, nil
}
