package clairv1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/match"
)

// maxFixes bounds the fixes of one vulnerability.
const maxFixes = 10_000

// decodeInto reads a request's body, as decodeLayer does.
func decodeInto(r *http.Request, into any) error {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(into); err != nil {
		return badRequest("the request body " + jsonFault(err))
	}
	return nil
}

func decodeVulnerability(r *http.Request) (vulnerabilityBody, error) {
	var request struct{ Vulnerability *vulnerabilityBody }
	if err := decodeInto(r, &request); err != nil {
		return vulnerabilityBody{}, err
	}
	if request.Vulnerability == nil {
		return vulnerabilityBody{}, badRequest("failed to provide vulnerability")
	}
	return *request.Vulnerability, nil
}

// asWritten checks a vulnerability that a client writes, but for its fixes.
func asWritten(v vulnerabilityBody) (w clairapi.Written, err error) {
	if !clairapi.ValidName(v.Name) {
		return w, badRequest("Vulnerability.Name: it is empty, too long, or holds control characters")
	}
	if err := checkNamespace(v.NamespaceName); err != nil {
		return w, err
	}
	severity := v.Severity
	if strings.EqualFold(severity, "defcon1") {
		severity = "critical" // nothing here is worse
	}
	if w.Severity, err = advisory.ParseSeverity(severity); err != nil {
		return w, badRequest("failed to parse Severity from input")
	}
	if len(v.Description) > 100_000 || len(v.Link) > 8_000 {
		return w, badRequest("Vulnerability: the Description or the Link is too long")
	}
	w.Description, w.Link = strings.ToValidUTF8(v.Description, "\uFFFD"), strings.ToValidUTF8(v.Link, "\uFFFD")
	if m := bytes.TrimSpace(v.Metadata); len(m) > 0 && !bytes.Equal(m, []byte("null")) {
		if m[0] != '{' {
			return w, badRequest("Vulnerability.Metadata: it is no JSON object")
		}
		w.Metadata = m
	}
	return w, nil
}

func checkNamespace(name string) error {
	if !clairapi.ValidName(name) {
		return badRequest("Vulnerability.NamespaceName: it is empty, too long, or holds control characters")
	}
	if versionFormat(name) == "" {
		return badRequest("unknown version format: " + name + " is no distribution whose versions are known")
	}
	return nil
}

// asFix checks a fix of a vulnerability. Its version format may be left out, as in
// Clair's own documentation: the namespace tells it.
func asFix(namespace string, f featureBody) (clairapi.Fix, error) {
	switch {
	case !clairapi.ValidName(f.Name):
		return clairapi.Fix{}, badRequest("Feature.Name: it is empty, too long, or holds control characters")
	case f.NamespaceName != "" && f.NamespaceName != namespace:
		return clairapi.Fix{}, badRequest("Feature.NamespaceName: it is not that of the vulnerability")
	case f.VersionFormat != "" && f.VersionFormat != versionFormat(namespace):
		return clairapi.Fix{}, badRequest("unknown version format")
	}
	fix := clairapi.Fix{Package: f.Name, Version: f.Version}
	if f.Version == noFix {
		fix.Version = ""
	} else if f.Version == "" {
		return clairapi.Fix{}, badRequest("Feature.Version: it is empty; the version of a fix that there is not is None")
	}
	if _, err := match.BoundsOf(advisory.Advisory{Ecosystem: namespace, Package: f.Name, Fixed: fix.Version}); err != nil {
		return clairapi.Fix{}, badRequest("Feature.Version: " + err.Error())
	}
	return fix, nil
}

// postVulnerability writes a vulnerability with its fixes. The namespace is that
// of the body, as in Clair; where the body has none it is that of the path.
func (a *API) postVulnerability(r *http.Request) (answer, error) {
	v, err := decodeVulnerability(r)
	if err != nil {
		return answer{}, err
	}
	if v.NamespaceName == "" {
		v.NamespaceName = r.PathValue("namespace")
	}
	w, err := asWritten(v)
	if err != nil {
		return answer{}, err
	}
	if len(v.FixedIn) > maxFixes {
		return answer{}, badRequest(fmt.Sprintf("Vulnerability.FixedIn: more than %d features", maxFixes))
	}
	for _, f := range v.FixedIn {
		fix, err := asFix(v.NamespaceName, f)
		if err != nil {
			return answer{}, err
		}
		w.Fixes = append(w.Fixes, fix)
	}
	if err := a.store.WriteVulnerability(r.Context(), v.NamespaceName, v.Name, w, match.Package); err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, vulnerabilityEnvelope{v}}, nil
}

// putVulnerability writes a vulnerability and leaves its fixes.
func (a *API) putVulnerability(r *http.Request) (answer, error) {
	v, err := decodeVulnerability(r)
	if err != nil {
		return answer{}, err
	}
	if len(v.FixedIn) > 0 {
		return answer{}, badRequest("Vulnerability.FixedIn must be empty")
	}
	v.NamespaceName, v.Name = r.PathValue("namespace"), r.PathValue("vulnerability")
	w, err := asWritten(v)
	if err != nil {
		return answer{}, err
	}
	known, err := a.asKnown(r, v.NamespaceName, v.Name)
	if err != nil && !errors.Is(err, clairapi.ErrNotFound) {
		return answer{}, err
	}
	w.Fixes = known.Fixes
	if err := a.store.WriteVulnerability(r.Context(), v.NamespaceName, v.Name, w, match.Package); err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, vulnerabilityEnvelope{v}}, nil
}

// asKnown is what is known of a vulnerability, as a client would write it.
func (a *API) asKnown(r *http.Request, namespace, name string) (clairapi.Written, error) {
	w, err := a.store.Written(r.Context(), namespace, name)
	if !errors.Is(err, clairapi.ErrNotFound) {
		return w, err
	}
	v, err := a.store.NamespaceVulnerability(r.Context(), namespace, name)
	if err != nil {
		return clairapi.Written{}, err
	}
	w = stated(v)
	w.Link, w.Metadata = link(namespace, name), a.metadata(v)
	return w, nil
}

// deleteVulnerability deletes what a client wrote. What a feed states cannot be
// deleted: in Clair it comes back with the next update.
func (a *API) deleteVulnerability(r *http.Request) (answer, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("vulnerability")
	if !clairapi.ValidName(namespace) || !clairapi.ValidName(name) {
		return answer{}, clairapi.ErrNotFound
	}
	err := a.store.DeleteWritten(r.Context(), namespace, name, match.Package)
	if errors.Is(err, clairapi.ErrNotFound) {
		if _, known := a.store.NamespaceVulnerability(r.Context(), namespace, name); known == nil {
			return answer{}, badRequest("the vulnerability is published by a feed and would come back; assess it instead")
		}
	}
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK}, nil
}

// putFix writes one fix of a vulnerability, which must be known.
func (a *API) putFix(r *http.Request) (answer, error) {
	var request struct{ Feature *featureBody }
	if err := decodeInto(r, &request); err != nil {
		return answer{}, err
	}
	if request.Feature == nil {
		return answer{}, badRequest("failed to provide feature")
	}
	namespace, name := r.PathValue("namespace"), r.PathValue("vulnerability")
	if request.Feature.Name != r.PathValue("fix") {
		return answer{}, badRequest("feature name in URL and JSON do not match")
	}
	return a.changeFixes(r, namespace, name, func(list []clairapi.Fix) ([]clairapi.Fix, error) {
		fix, err := asFix(namespace, *request.Feature)
		if err != nil {
			return nil, err
		}
		return append(without(list, fix.Package), fix), nil
	}, featureEnvelope{*request.Feature})
}

// deleteFix takes one fix of a vulnerability away.
func (a *API) deleteFix(r *http.Request) (answer, error) {
	return a.changeFixes(r, r.PathValue("namespace"), r.PathValue("vulnerability"), func(list []clairapi.Fix) ([]clairapi.Fix, error) {
		rest := without(list, r.PathValue("fix"))
		if len(rest) == len(list) {
			return nil, clairapi.ErrNotFound
		}
		return rest, nil
	}, nil)
}

func without(list []clairapi.Fix, name string) []clairapi.Fix {
	var rest []clairapi.Fix
	for _, f := range list {
		if f.Package != name {
			rest = append(rest, f)
		}
	}
	return rest
}

func (a *API) changeFixes(r *http.Request, namespace, name string, change func([]clairapi.Fix) ([]clairapi.Fix, error), body any) (answer, error) {
	if !clairapi.ValidName(namespace) || !clairapi.ValidName(name) {
		return answer{}, clairapi.ErrNotFound
	}
	w, err := a.asKnown(r, namespace, name)
	if err != nil {
		return answer{}, err
	}
	if err := checkNamespace(namespace); err != nil {
		return answer{}, err
	}
	if w.Fixes, err = change(w.Fixes); err != nil {
		return answer{}, err
	}
	if len(w.Fixes) > maxFixes {
		return answer{}, badRequest(fmt.Sprintf("more than %d fixes", maxFixes))
	}
	if err := a.store.WriteVulnerability(r.Context(), namespace, name, w, match.Package); err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, body}, nil
}
