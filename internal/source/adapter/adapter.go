// Package adapter asks scanners behind Harbor's pluggable scanner API, versions
// 1.0 to 1.2: the scanner is told where the image is and with which credentials
// to pull it, and its report is polled for
// (https://github.com/goharbor/pluggable-scanner-spec).
package adapter

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/remote"
)

// The types of the interface, as Harbor writes them: scanners compare strings.
const (
	metadataType = "application/vnd.scanner.adapter.metadata+json; version=1.0"
	requestType  = "application/vnd.scanner.adapter.scan.request+json; version=1.0"
	genericType  = "application/vnd.security.vulnerability.report; version=1.1"
	nativeType   = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0"
)

// Extension is the kind of source.
func Extension() source.Extension {
	return source.Extension{
		Name: "scanner-adapter", Title: "Scanner adapter",
		Description: "Any scanner with an adapter for Harbor's pluggable scanner API, such as Trivy.",
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

// metadata is what a scanner says of itself.
type metadata struct {
	Scanner struct {
		Name    string `json:"name"`
		Vendor  string `json:"vendor"`
		Version string `json:"version"`
	} `json:"scanner"`
	Capabilities []capability      `json:"capabilities"`
	Properties   map[string]string `json:"properties"`
}

type capability struct {
	Type     string   `json:"type"`
	Consumes []string `json:"consumes_mime_types"`
	Produces []string `json:"produces_mime_types"`
}

// report is the type of report to ask for, of an image of a media type; "" where
// the scanner cannot look at such an image.
func (m metadata) report(mediaType string) (want string, typed bool) {
	for _, c := range m.Capabilities {
		typed = typed || c.Type != ""
	}
	for _, c := range m.Capabilities {
		if typed && c.Type != "vulnerability" || mediaType != "" && !lists(c.Consumes, mediaType) {
			continue
		}
		for _, wanted := range []string{genericType, nativeType} {
			if lists(c.Produces, wanted) {
				return wanted, typed
			}
		}
	}
	return "", typed
}

// lists compares media types with their versions, whatever the spaces are.
func lists(types []string, wanted string) bool {
	name, parameters, _ := mime.ParseMediaType(wanted)
	for _, t := range types {
		if n, p, err := mime.ParseMediaType(t); err == nil && n == name && p["version"] == parameters["version"] {
			return true
		}
	}
	return false
}

func (s *scanner) metadata(ctx context.Context) (m metadata, err error) {
	answer, err := s.Call(ctx, http.MethodGet, "/api/v1/metadata", http.Header{"Accept": {metadataType}}, nil)
	if err != nil {
		return m, err
	}
	if answer.Status != http.StatusOK || answer.Decode(&m) != nil || m.Scanner.Name == "" || len(m.Capabilities) == 0 {
		return m, source.Fail(source.BadAnswer, nil, "%s is not a scanner adapter: it answers %d to GET /api/v1/metadata, without a scanner and its capabilities", s.Host(), answer.Status)
	}
	return m, nil
}

// Probe reads the scanner's metadata.
func (s *scanner) Probe(ctx context.Context) (string, error) {
	m, err := s.metadata(ctx)
	if err != nil {
		return "", err
	}
	if want, _ := m.report(""); want == "" {
		return "", source.Refused(source.Unsupported, "%s offers no vulnerability report that is known here", s.Quote(m.Scanner.Name))
	}
	text := s.Quote(strings.TrimSpace(m.Scanner.Name + " " + m.Scanner.Version))
	if m.Scanner.Vendor != "" {
		text += " by " + s.Quote(m.Scanner.Vendor)
	}
	if at := m.Properties["harbor.scanner-adapter/vulnerability-database-updated-at"]; at != "" {
		text += ", data of " + s.Quote(at)
	}
	return text, nil
}

// request asks for a scan.
type request struct {
	Registry struct {
		URL           string `json:"url"`
		Authorization string `json:"authorization"`
		Insecure      bool   `json:"insecure"`
	} `json:"registry"`
	Artifact struct {
		Repository string `json:"repository"`
		Digest     string `json:"digest"`
		MediaType  string `json:"mime_type"`
	} `json:"artifact"`
	Capabilities []enabled `json:"enabled_capabilities,omitempty"`
}

type enabled struct {
	Type     string   `json:"type"`
	Produces []string `json:"produces_mime_types"`
}

// Scan asks for a scan, or goes on with one that was cut off, and polls for its report.
func (s *scanner) Scan(ctx context.Context, job source.Job) (source.Report, error) {
	m, err := s.metadata(ctx)
	if err != nil {
		return source.Report{}, err
	}
	want, typed := m.report(job.MediaType)
	if want == "" {
		return source.Report{}, source.Refused(source.Unsupported, "the scanner does not look at images of type %s", job.MediaType)
	}
	if id := job.Handle; id != "" {
		report, found, err := s.poll(ctx, id, want, job)
		if err != nil || found {
			return report, err
		}
	}
	id, err := s.ask(ctx, m, want, typed, job)
	if err != nil {
		return source.Report{}, err
	}
	if err := job.Keep(ctx, id); err != nil {
		return source.Report{}, err
	}
	report, found, err := s.poll(ctx, id, want, job)
	if err == nil && !found {
		err = source.Fail("forgotten", nil, "the scanner has forgotten the scan")
	}
	return report, err
}

func (s *scanner) ask(ctx context.Context, m metadata, want string, typed bool, job source.Job) (id string, err error) {
	var r request
	r.Registry.URL, r.Registry.Insecure = job.BaseURL, strings.HasPrefix(job.BaseURL, "http://")
	r.Artifact.Repository, r.Artifact.Digest, r.Artifact.MediaType = job.Repository, job.Digest, job.MediaType
	if typed {
		r.Capabilities = []enabled{{"vulnerability", []string{want}}}
	}
	digests := []string{job.Digest, job.Config}
	for _, l := range job.Layers {
		digests = append(digests, l.Digest)
	}
	token, err := job.Token(digests...)
	if err != nil {
		return "", err
	}
	if r.Registry.Authorization = source.Basic(auth.PullUser, token); m.Properties["harbor.scanner-adapter/registry-authorization-type"] == "Bearer" {
		r.Registry.Authorization = "Bearer " + token
	}
	answer, err := s.Call(ctx, http.MethodPost, "/api/v1/scan", http.Header{
		"Content-Type": {requestType}, "Accept": {"application/vnd.scanner.adapter.scan.response+json; version=1.0"}}, r)
	if err != nil {
		return "", err
	}
	switch answer.Status {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted:
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusNotImplemented:
		return "", source.Refused(source.Unsupported, "the scanner does not take the image: it answers %d: %s", answer.Status, s.Quote(message(answer)))
	default:
		return "", s.Unexpected(answer, "the image", message(answer))
	}
	var accepted struct {
		ID string `json:"id"`
	}
	if err := answer.Decode(&accepted); err != nil {
		return "", err
	}
	if accepted.ID == "" || len(accepted.ID) > 1000 || strings.ContainsFunc(accepted.ID, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", source.Malformed("it has no usable id of the scan")
	}
	return accepted.ID, nil
}

// poll waits for the report of a scan; found is false where the scanner does not
// know the scan.
func (s *scanner) poll(ctx context.Context, id, want string, job source.Job) (r source.Report, found bool, err error) {
	for {
		answer, err := s.Call(ctx, http.MethodGet, "/api/v1/scan/"+url.PathEscape(id)+"/report", http.Header{"Accept": {want}}, nil)
		if err != nil {
			return r, false, err
		}
		switch answer.Status {
		case http.StatusOK:
			r, err = read(answer, job.Digest)
			return r, err == nil, err
		case http.StatusNotFound:
			return r, false, nil
		case http.StatusFound, http.StatusAccepted:
		case http.StatusInternalServerError:
			says := s.Quote(message(answer))
			if says == "" {
				says = "it answers 500 and does not say why"
			}
			return r, false, source.Fail(source.BadStatus, nil, "the scan failed: %s", says)
		default:
			return r, false, s.Unexpected(answer, "the question for the report", message(answer))
		}
		if err := s.Pause(ctx, refresh(answer.Header)); err != nil {
			return r, false, source.Fail(source.TooSlow, err, "the scanner did not finish in time")
		}
	}
}

// refresh is how long to wait before the next question: as the scanner says, as
// far as Harbor would believe it.
func refresh(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Refresh-After"))
	if err != nil || seconds < 1 || seconds > 127 {
		seconds = 5
	}
	return time.Duration(seconds) * time.Second
}

// message is what an answer says is wrong, "" where it does not.
func message(a *remote.Answer) string {
	var e struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(a.Body, &e) != nil {
		return ""
	}
	return e.Error.Message
}
