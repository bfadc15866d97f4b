package clairv4

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var openAPI []byte

// document is the description of the API, in both forms.
type document struct {
	yaml, json []byte
	tag        string
}

func newDocument() (document, error) {
	var tree map[string]any
	if err := yaml.Unmarshal(openAPI, &tree); err != nil {
		return document{}, fmt.Errorf("openapi.yaml: %w", err)
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return document{}, fmt.Errorf("openapi.yaml: %w", err)
	}
	sum := sha256.Sum256(openAPI)
	return document{yaml: openAPI, json: text, tag: `"` + hex.EncodeToString(sum[:]) + `"`}, nil
}

// documentTypes are the names that the document goes by, the registered ones first.
var documentTypes = []string{
	"application/openapi+json", "application/openapi+yaml", "application/json", "application/yaml",
	"application/vnd.oai.openapi+json", "application/vnd.oai.openapi+yaml",
}

func (a *API) getOpenAPI(r *http.Request) (answer, error) {
	kind, err := negotiate(r, documentTypes...)
	if err != nil {
		return answer{}, err
	}
	if unmodified(r, a.document.tag) {
		return answer{status: http.StatusNotModified, header: http.Header{"Etag": {a.document.tag}}}, nil
	}
	text := a.document.json
	if strings.HasSuffix(kind, "yaml") {
		text = a.document.yaml
	}
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {kind}, "Etag": {a.document.tag}}, text: text}, nil
}
