// Package clairv4 asks servers that speak the API of Clair 4: the indexer is
// given the image with the places of its layers, and the matcher reports its
// vulnerabilities (https://github.com/quay/clair/tree/v4.9.0/httptransport).
package clairv4

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/remote"
)

// Extension is the kind of source.
func Extension() source.Extension {
	return source.Extension{
		Name: "clair-v4", Title: "Clair (v4 API)",
		Description: "Clair 4, as it comes with Quay: indexer and matcher at one URL, usually at port 6060.",
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

// manifest is what the indexer is given.
type manifest struct {
	Hash   string          `json:"hash"`
	Layers []manifestLayer `json:"layers"`
}

type manifestLayer struct {
	Hash    string              `json:"hash"`
	URI     string              `json:"uri"`
	Headers map[string][]string `json:"headers"`
}

// indexReport is the part of the indexer's answer that matters here.
type indexReport struct {
	Manifest string `json:"manifest_hash"`
	State    string `json:"state"`
	Success  bool   `json:"success"`
	Err      string `json:"err"`
}

const (
	indexed   = "IndexFinished"
	failed    = "IndexError"
	indexPath = "/indexer/api/v1/index_report"
)

// Probe asks for the state of the indexer and whether there is a matcher.
func (s *scanner) Probe(ctx context.Context) (string, error) {
	state, err := s.state(ctx)
	if err != nil {
		return "", err
	}
	// A matcher answers 404 for an image that is not indexed, in its own words.
	const nowhere = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	answer, err := s.Call(ctx, http.MethodGet, "/matcher/api/v1/vulnerability_report/"+nowhere, nil, nil)
	if err != nil {
		return "", err
	}
	switch {
	case answer.Status == http.StatusAccepted:
		return "Clair with the v4 API, index state " + state + "; its vulnerability data is not ready yet", nil
	case answer.Status == http.StatusNotFound && message(answer) != "", answer.Status == http.StatusOK:
		return "Clair with the v4 API, index state " + state, nil
	}
	return "", source.Fail(source.BadAnswer, nil, "%s has an indexer but no matcher: it answers %d to GET /matcher/api/v1/vulnerability_report", s.Host(), answer.Status)
}

// state is the indexer's: it changes when layers have to be looked at anew.
func (s *scanner) state(ctx context.Context) (string, error) {
	answer, err := s.Call(ctx, http.MethodGet, "/indexer/api/v1/index_state", nil, nil)
	if err != nil {
		return "", err
	}
	var state struct {
		State string `json:"state"`
	}
	if answer.Status != http.StatusOK || answer.Decode(&state) != nil || state.State == "" {
		return "", source.Fail(source.BadAnswer, nil, "%s is not a Clair with the v4 API: it answers %d to GET /indexer/api/v1/index_state, without a state", s.Host(), answer.Status)
	}
	return s.Quote(state.State), nil
}

// unchanged reports whether the indexer's state is still the one by which the
// image was indexed.
func (s *scanner) unchanged(ctx context.Context, state string) (bool, error) {
	if state == "" {
		return false, nil
	}
	answer, err := s.Call(ctx, http.MethodGet, "/indexer/api/v1/index_state", http.Header{"If-None-Match": {`"` + state + `"`}}, nil)
	return err == nil && answer.Status == http.StatusNotModified, err
}

// Scan has the image indexed, unless it is by the present state, and reads the report.
func (s *scanner) Scan(ctx context.Context, job source.Job) (source.Report, error) {
	if len(job.Layers) == 0 {
		return source.Report{}, nil
	}
	same, err := s.unchanged(ctx, job.Handle)
	if err != nil {
		return source.Report{}, err
	}
	if same {
		if report, found, err := s.report(ctx, job); err != nil || found {
			report.Handle = job.Handle
			return report, err
		}
	}
	state, err := s.index(ctx, job)
	if err != nil {
		return source.Report{}, err
	}
	report, found, err := s.report(ctx, job)
	if err == nil && !found {
		err = source.Fail("forgotten", nil, "Clair has forgotten the image that it just indexed")
	}
	report.Handle = state
	return report, err
}

// index has the image indexed and returns the state by which it was.
func (s *scanner) index(ctx context.Context, job source.Job) (state string, err error) {
	m := manifest{Hash: job.Digest}
	for _, l := range job.Layers {
		token, err := job.Token(l.Digest)
		if err != nil {
			return "", err
		}
		m.Layers = append(m.Layers, manifestLayer{Hash: l.Digest, URI: job.BlobURL(l.Digest), Headers: map[string][]string{"Authorization": {"Bearer " + token}}})
	}
	answer, err := s.Call(ctx, http.MethodPost, indexPath, nil, m)
	if err != nil {
		return "", err
	}
	for pause := time.Second; ; pause = min(2*pause, 15*time.Second) {
		switch answer.Status {
		case http.StatusOK, http.StatusCreated, http.StatusAccepted:
		case http.StatusBadRequest:
			return "", source.Refused(source.Unsupported, "Clair cannot look at the image: %s", s.Quote(message(answer)))
		default:
			return "", s.Unexpected(answer, "the image", message(answer))
		}
		var report indexReport
		if len(answer.Body) > 0 {
			if err := answer.Decode(&report); err != nil {
				return "", err
			}
			if report.Manifest != job.Digest {
				return "", source.Malformed("it is about another image than the one that was posted")
			}
		}
		switch {
		case report.State == failed || report.Err != "":
			return "", source.Fail("index", nil, "Clair could not index the image: %s", s.Quote(report.Err))
		case report.State == indexed:
			return strings.Trim(answer.Header.Get("Etag"), `"`), nil
		}
		if err := s.Pause(ctx, pause); err != nil {
			return "", source.Fail(source.TooSlow, err, "Clair did not finish indexing in time")
		}
		if answer, err = s.Call(ctx, http.MethodGet, indexPath+"/"+job.Digest, nil, nil); err != nil {
			return "", err
		}
	}
}

// message is what an answer says is wrong, "" where it does not.
func message(a *remote.Answer) string {
	var e struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(a.Body, &e) != nil {
		return ""
	}
	return e.Message
}
