package clairv1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// indexedByVersion is the engine version of Clair 2.1.8. Quay asks for 2 or 3.
const indexedByVersion = 3

// The envelopes: one member each, errors apart.
type (
	layerEnvelope struct {
		Layer *layerBody `json:"Layer"`
	}
	namespacesEnvelope struct {
		Namespaces []namespaceBody `json:"Namespaces"`
	}
	vulnerabilityEnvelope struct {
		Vulnerability vulnerabilityBody `json:"Vulnerability"`
	}
	vulnerabilitiesEnvelope struct {
		Vulnerabilities []vulnerabilityBody `json:"Vulnerabilities"`
		NextPage        string              `json:"NextPage,omitempty"`
	}
	featuresEnvelope struct {
		Features []featureBody `json:"Features"`
	}
	featureEnvelope struct {
		Feature featureBody `json:"Feature"`
	}
	notificationEnvelope struct {
		Notification notificationBody `json:"Notification"`
	}
)

// layerBody is a layer in both directions; Features is never read.
type layerBody struct {
	Name             string            `json:"Name,omitempty"`
	NamespaceName    string            `json:"NamespaceName,omitempty"`
	Path             string            `json:"Path,omitempty"`
	Headers          map[string]string `json:"Headers,omitempty"`
	ParentName       string            `json:"ParentName,omitempty"`
	Format           string            `json:"Format,omitempty"`
	IndexedByVersion int               `json:"IndexedByVersion,omitempty"`
	Features         []featureBody     `json:"Features,omitempty"`
	// NamespaceInferred is ours: no release file names the distribution.
	NamespaceInferred bool `json:"NamespaceInferred,omitempty"`
}

type featureBody struct {
	Name            string              `json:"Name,omitempty"`
	NamespaceName   string              `json:"NamespaceName,omitempty"`
	VersionFormat   string              `json:"VersionFormat,omitempty"`
	Version         string              `json:"Version,omitempty"`
	Vulnerabilities []vulnerabilityBody `json:"Vulnerabilities,omitempty"`
	AddedBy         string              `json:"AddedBy,omitempty"`
}

// vulnerabilityBody is a vulnerability in both directions; FixedBy is never read.
type vulnerabilityBody struct {
	Name          string          `json:"Name,omitempty"`
	NamespaceName string          `json:"NamespaceName,omitempty"`
	Description   string          `json:"Description,omitempty"`
	Link          string          `json:"Link,omitempty"`
	Severity      string          `json:"Severity,omitempty"`
	Metadata      json.RawMessage `json:"Metadata,omitempty"`
	FixedBy       string          `json:"FixedBy,omitempty"`
	FixedIn       []featureBody   `json:"FixedIn,omitempty"`
}

type namespaceBody struct {
	Name          string `json:"Name,omitempty"`
	VersionFormat string `json:"VersionFormat,omitempty"`
}

// maxBody is what Clair reads of a request, in bytes.
const maxBody = 1 << 20

// readBody reads a request's body. One that is too long is read on for a while
// nevertheless: a client that is still sending would not see the answer.
func readBody(body io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return nil, badRequest("the request body could not be read to its end")
	}
	if len(content) > maxBody {
		_, _ = io.CopyN(io.Discard, body, 16<<20)
		return nil, badRequest(fmt.Sprintf("the request body is longer than %d bytes", maxBody))
	}
	return content, nil
}

// decodeLayer reads a request for a layer. As in Clair, unknown members and what
// follows the object are ignored. A byte order mark is tolerated: .NET may write one.
func decodeLayer(content []byte) (layerBody, error) {
	var request struct {
		Layer *struct {
			Name       string
			Path       string
			Headers    map[string]string
			ParentName string
			Format     string
		}
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(&request); err != nil {
		return layerBody{}, badRequest("the request body " + jsonFault(err))
	}
	if request.Layer == nil {
		return layerBody{}, badRequest(messageNoEnvelope)
	}
	l := request.Layer
	return layerBody{Name: l.Name, Path: l.Path, Headers: l.Headers, ParentName: l.ParentName, Format: l.Format}, nil
}

// jsonFault words what is wrong with a body, without the names of Go's types.
func jsonFault(err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return "is empty"
	case errors.As(err, &kind) && kind.Field == "":
		return "is a JSON " + kind.Value + ", not an object"
	case errors.As(err, &kind):
		return fmt.Sprintf("has a JSON %s where %s is", kind.Value, kind.Field)
	case errors.As(err, &syntax):
		return fmt.Sprintf("is no valid JSON at byte %d: %s", syntax.Offset, syntax)
	}
	return "is no valid JSON: " + err.Error()
}

// write sends an answer, compressed for clients that name gzip, as Clair does:
// without a look at weights.
func write(w http.ResponseWriter, r *http.Request, a answer) error {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	if a.body == nil {
		w.WriteHeader(a.status)
		return nil
	}
	var content bytes.Buffer
	w.Header().Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		z, err := gzip.NewWriterLevel(&content, gzip.BestSpeed)
		if err != nil {
			return fmt.Errorf("compress: %w", err)
		}
		if err := errors.Join(json.NewEncoder(z).Encode(a.body), z.Close()); err != nil {
			return fmt.Errorf("encode: %w", err)
		}
	} else if err := json.NewEncoder(&content).Encode(a.body); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	w.Header().Set("Content-Length", strconv.Itoa(content.Len()))
	w.WriteHeader(a.status)
	_, err := w.Write(content.Bytes())
	return err
}
