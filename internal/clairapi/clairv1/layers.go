package clairv1

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/match"
)

// postLayer indexes a layer and echoes the request, secrets included, as Clair
// does: ProGet reads the name from the echo. A layer whose name is known is
// neither downloaded nor compared.
//
// Not supported of Clair is the format "aci", which no container tool writes
// any more, and a path in the file system, which gave callers the files of the server.
func (a *API) postLayer(r *http.Request) (answer, error) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read body: %w", err)
	}
	request, err := decodeLayer(content)
	if err != nil {
		return answer{}, err
	}
	switch {
	case request.Name == "":
		return answer{}, badRequest(messageNoName)
	case request.Path == "":
		return answer{}, badRequest(messageNoPath)
	case request.Format == "":
		return answer{}, badRequest(messageNoFormat)
	case !strings.EqualFold(request.Format, "docker"):
		return answer{}, badRequest(fmt.Sprintf("unsupported image format '%s'", request.Format))
	}
	if err := a.indexing.Index(r.Context(), indexing.Request{
		Name: request.Name, URL: request.Path, Header: request.Headers,
		ParentName: request.ParentName, Format: request.Format, Client: a.opts.Client(r),
	}); err != nil {
		return answer{}, err
	}
	request.IndexedByVersion = indexedByVersion
	return answer{http.StatusCreated, layerEnvelope{&request}}, nil
}

// getLayer returns a layer. The parameters count by presence: "features=false"
// asks for features.
func (a *API) getLayer(r *http.Request) (answer, error) {
	name := r.PathValue("layer")
	if !clairapi.ValidName(name) {
		return answer{}, clairapi.ErrNotFound
	}
	chain, err := a.store.ClairChain(r.Context(), name)
	if err != nil {
		return answer{}, err
	}
	l := chain[len(chain)-1]
	body := &layerBody{Name: l.Name, NamespaceName: l.Distribution, ParentName: l.ParentName, IndexedByVersion: indexedByVersion, NamespaceInferred: l.Inferred}
	query := r.URL.Query()
	vulnerable := query.Has("vulnerabilities")
	if !vulnerable && !query.Has("features") {
		return answer{http.StatusOK, layerEnvelope{body}}, nil
	}
	packages, err := a.store.InventoryPackages(r.Context(), l.InventoryID)
	if err != nil {
		return answer{}, err
	}
	list := newFeatureList(chain, packages)
	var scores map[string][]match.Stated
	if vulnerable {
		findings, err := a.store.InventoryFindings(r.Context(), l.InventoryID)
		if err != nil {
			return answer{}, err
		}
		if scores, err = a.store.InventoryScores(r.Context(), l.InventoryID); err != nil {
			return answer{}, err
		}
		list.affect(findings)
	}
	body.Features = a.sorted(list, scores)
	return answer{http.StatusOK, layerEnvelope{body}}, nil
}

// deleteLayer deletes a layer and all that were built on it.
func (a *API) deleteLayer(r *http.Request) (answer, error) {
	name := r.PathValue("layer")
	if !clairapi.ValidName(name) {
		return answer{}, clairapi.ErrNotFound
	}
	if err := a.store.DeleteClairLayer(r.Context(), name); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK}, nil
}
