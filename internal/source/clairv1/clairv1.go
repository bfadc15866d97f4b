// Package clairv1 asks servers that speak the layer API of Clair 2.x: each layer
// is posted after its parent, fetched by Clair, and the last one's features are
// read with their vulnerabilities
// (https://github.com/quay/clair/blob/v2.1.8/Documentation/api_v1.md).
package clairv1

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/remote"
)

// Extension is the kind of source.
func Extension() source.Extension {
	return source.Extension{
		Name: "clair-v1", Title: "Clair (v1 API)",
		Description: "Clair 2.x, or any server with its layer API, usually at port 6060.",
		Open: func(c source.Connection) (source.Scanner, error) {
			client, err := remote.New(c)
			if err != nil {
				return nil, err
			}
			return &scanner{client}, nil
		},
	}
}

type scanner struct{ *remote.Client }

// envelope is what every request and answer is.
type envelope struct {
	Layer *layer `json:"Layer,omitempty"`
	Error *struct {
		Message string `json:"Message"`
	} `json:"Error,omitempty"`
}

type layer struct {
	Name             string            `json:"Name,omitempty"`
	Path             string            `json:"Path,omitempty"`
	Headers          map[string]string `json:"Headers,omitempty"`
	ParentName       string            `json:"ParentName,omitempty"`
	Format           string            `json:"Format,omitempty"`
	IndexedByVersion int               `json:"IndexedByVersion,omitempty"`
	Features         []feature         `json:"Features,omitempty"`
}

type feature struct {
	Name            string          `json:"Name"`
	NamespaceName   string          `json:"NamespaceName"`
	Version         string          `json:"Version"`
	AddedBy         string          `json:"AddedBy"`
	Vulnerabilities []vulnerability `json:"Vulnerabilities"`
}

type vulnerability struct {
	Name        string          `json:"Name"`
	Description string          `json:"Description"`
	Link        string          `json:"Link"`
	Severity    string          `json:"Severity"`
	FixedBy     string          `json:"FixedBy"`
	Metadata    json.RawMessage `json:"Metadata"`
}

// unknownParent is what Clair says of a parent that it has forgotten.
const unknownParent = "worker: parent layer is unknown, it must be processed first"

// Probe reads the namespaces, which every Clair 2.x lists.
func (s *scanner) Probe(ctx context.Context) (string, error) {
	answer, err := s.Call(ctx, http.MethodGet, "/v1/namespaces", nil, nil)
	if err != nil {
		return "", err
	}
	var list struct {
		Namespaces *[]struct{ Name string }
	}
	if answer.Status != http.StatusOK || answer.Decode(&list) != nil || !strings.Contains(string(answer.Body), `"Namespaces"`) {
		return "", source.Fail(source.BadAnswer, nil, "%s is not a Clair with the v1 API: it answers %d to GET /v1/namespaces, without namespaces", s.Host(), answer.Status)
	}
	if list.Namespaces == nil || len(*list.Namespaces) == 0 {
		return "Clair with the v1 API; it has no vulnerability data yet", nil
	}
	return "Clair with the v1 API", nil
}

// Scan posts the layers and reads the last one's vulnerabilities.
func (s *scanner) Scan(ctx context.Context, job source.Job) (source.Report, error) {
	if len(job.Layers) == 0 {
		return source.Report{}, nil
	}
	err := s.post(ctx, job)
	if err != nil && source.FailureOf(err).Code == forgotten {
		err = s.post(ctx, job) // it lost its data between two layers
	}
	if err != nil {
		return source.Report{}, err
	}
	last := job.Layers[len(job.Layers)-1].Chain
	answer, err := s.Call(ctx, http.MethodGet, "/v1/layers/"+last+"?features&vulnerabilities", nil, nil)
	if err != nil {
		return source.Report{}, err
	}
	if answer.Status != http.StatusOK {
		return source.Report{}, s.Unexpected(answer, "the question for the vulnerabilities", message(answer))
	}
	return read(answer, job)
}

// forgotten is the code of a failure that posting from the start may mend.
const forgotten = "forgotten"

func (s *scanner) post(ctx context.Context, job source.Job) error {
	parent := ""
	for i, l := range job.Layers {
		token, err := job.Token(l.Digest)
		if err != nil {
			return err
		}
		answer, err := s.Call(ctx, http.MethodPost, "/v1/layers", nil, envelope{Layer: &layer{
			Name: l.Chain, Path: job.BlobURL(l.Digest), Headers: map[string]string{"Authorization": "Bearer " + token},
			ParentName: parent, Format: "Docker",
		}})
		if err != nil {
			return err
		}
		says := message(answer)
		switch {
		case answer.Status == http.StatusOK || answer.Status == http.StatusCreated:
			var posted envelope
			if err := answer.Decode(&posted); err != nil {
				return err
			}
			if posted.Layer == nil || posted.Layer.Name != l.Chain {
				return source.Malformed("it is about another layer than the one that was posted")
			}
		case says == unknownParent:
			return source.Fail(forgotten, nil, "Clair has forgotten the layers below layer %d", i+1)
		case answer.Status == http.StatusUnprocessableEntity:
			return source.Refused(source.Unsupported, "Clair cannot look at layer %d of %d: %s", i+1, len(job.Layers), s.Quote(says))
		case answer.Status == http.StatusBadRequest && says == "could not find layer":
			return source.Fail("fetch", nil, "Clair could not fetch layer %d of %d from %s: is that address right for it?", i+1, len(job.Layers), job.BaseURL)
		default:
			return s.Unexpected(answer, "a layer", says)
		}
		parent = l.Chain
	}
	return nil
}

// message is what an answer says is wrong, "" where it does not.
func message(a *remote.Answer) string {
	var e envelope
	if json.Unmarshal(a.Body, &e) != nil || e.Error == nil {
		return ""
	}
	return e.Error.Message
}

// read turns an answer into a report.
func read(answer *remote.Answer, job source.Job) (source.Report, error) {
	var e envelope
	if err := answer.Decode(&e); err != nil {
		return source.Report{}, err
	}
	if e.Layer == nil || e.Layer.Name != job.Layers[len(job.Layers)-1].Chain {
		return source.Report{}, source.Malformed("it is about another layer than the one that was asked for")
	}
	digests := make(map[string]string, len(job.Layers))
	for _, l := range job.Layers {
		digests[l.Chain] = l.Digest
	}
	var report source.Report
	for _, f := range e.Layer.Features {
		for _, v := range f.Vulnerabilities {
			score, vector := scores(v.Metadata)
			report.Findings = append(report.Findings, source.Reported{
				Vulnerability: v.Name, Description: v.Description, Link: v.Link, Severity: severity(v.Severity), CVSS: score, Vector: vector,
				Package: f.Name, Version: f.Version, Distribution: f.NamespaceName, Fixed: v.FixedBy, Layer: digests[f.AddedBy],
			})
		}
	}
	return report, nil
}

// severity reads Clair's words; Defcon1 is above its Critical.
func severity(word string) advisory.Severity {
	if strings.EqualFold(word, "Defcon1") {
		return advisory.Critical
	}
	s, err := advisory.ParseSeverity(word)
	if err != nil {
		return advisory.Unknown
	}
	return s
}

// scores reads what NVD says, where Clair passes it on.
func scores(metadata json.RawMessage) (float64, string) {
	var m struct {
		NVD struct {
			CVSSv3 struct {
				Score   float64
				Vectors string
			}
		}
	}
	if json.Unmarshal(metadata, &m) != nil {
		return 0, ""
	}
	if !strings.HasPrefix(m.NVD.CVSSv3.Vectors, "CVSS:") { // 3.0 or 3.1, it does not say
		m.NVD.CVSSv3.Vectors = ""
	}
	return m.NVD.CVSSv3.Score, m.NVD.CVSSv3.Vectors
}
