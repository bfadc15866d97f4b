package clairv1

import (
	"cmp"
	"encoding/base64"
	"errors"
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
	from := after
	found, err := a.store.NamespaceVulnerabilities(r.Context(), namespace, from, limit+1)
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
	written, err := a.store.WrittenAfter(r.Context(), namespace, from, limit+1)
	if err != nil {
		return answer{}, err
	}
	for _, v := range found {
		b := a.describe(namespace, v)
		if w, ok := written[v.Name]; ok {
			b = describeWritten(namespace, v.Name, w)
		}
		body.Vulnerabilities = append(body.Vulnerabilities, b)
	}
	return answer{http.StatusOK, body}, nil
}

// getVulnerability returns a vulnerability of a namespace, with its fixes where
// the parameter fixedIn is there, whatever its value.
func (a *API) getVulnerability(r *http.Request) (answer, error) {
	body, fixed, err := a.vulnerability(r)
	if err != nil {
		return answer{}, err
	}
	if r.URL.Query().Has("fixedIn") {
		body.FixedIn = fixed
	}
	return answer{http.StatusOK, vulnerabilityEnvelope{body}}, nil
}

// getFixes returns where a vulnerability of a namespace is fixed.
func (a *API) getFixes(r *http.Request) (answer, error) {
	_, fixed, err := a.vulnerability(r)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, featuresEnvelope{fixed}}, nil
}

// vulnerability returns a vulnerability and its fixes: what a client wrote of it,
// else what feeds say.
func (a *API) vulnerability(r *http.Request) (vulnerabilityBody, []featureBody, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("vulnerability")
	if !clairapi.ValidName(namespace) || !clairapi.ValidName(name) {
		return vulnerabilityBody{}, nil, clairapi.ErrNotFound
	}
	v, err := a.store.NamespaceVulnerability(r.Context(), namespace, name)
	if err != nil && !errors.Is(err, clairapi.ErrNotFound) {
		return vulnerabilityBody{}, nil, err
	}
	w, written := a.store.Written(r.Context(), namespace, name)
	switch {
	case written == nil:
		return describeWritten(namespace, name, w), fixes(namespace, w), nil
	case !errors.Is(written, clairapi.ErrNotFound):
		return vulnerabilityBody{}, nil, written
	case err != nil:
		return vulnerabilityBody{}, nil, err
	}
	body := a.describe(namespace, v)
	body.Metadata = a.metadata(v)
	return body, fixes(namespace, stated(v)), nil
}

func (a *API) describe(namespace string, v match.Vulnerability) vulnerabilityBody {
	return vulnerabilityBody{
		Name: v.Name, NamespaceName: namespace, Description: v.Description,
		Link: link(namespace, v.Name), Severity: severityName(v.Severity),
	}
}

func describeWritten(namespace, name string, w clairapi.Written) vulnerabilityBody {
	return vulnerabilityBody{
		Name: name, NamespaceName: namespace, Description: w.Description, Link: w.Link, Severity: severityName(w.Severity), Metadata: w.Metadata,
	}
}

// stated is what feeds say of a vulnerability, as a client would write it.
func stated(v match.Vulnerability) clairapi.Written {
	w := clairapi.Written{Description: v.Description, Severity: v.Severity}
	for _, s := range v.Statements {
		w.Fixes = append(w.Fixes, clairapi.Fix{Package: s.Package, Version: s.Fixed})
	}
	return w
}

// fixes lists affected packages with the version that is fixed, "None" where
// there is none. Parts of a feed that state the same are one.
func fixes(namespace string, w clairapi.Written) []featureBody {
	list := make([]featureBody, 0, len(w.Fixes))
	seen := make(map[featureKey]bool)
	for _, f := range w.Fixes {
		version := cmp.Or(f.Version, noFix)
		k := featureKey{namespace, f.Package, version}
		if seen[k] {
			continue
		}
		seen[k] = true
		list = append(list, featureBody{Name: f.Package, NamespaceName: namespace, VersionFormat: versionFormat(namespace), Version: version})
	}
	return list
}

// noFix is what Clair writes for the version of a fix that there is not.
const noFix = "None"

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
