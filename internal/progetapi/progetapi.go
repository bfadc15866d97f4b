// Package progetapi serves the part of ProGet's HTTP API that pgutil, its command
// line, audits and assesses with: packages against advisories, and decisions. The
// shapes are those of Inedo/pgutil (Inedo.ProGet/*.cs).
package progetapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/audit"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/match"
)

// Authenticator says who makes a request; see api.Authenticator.
type Authenticator interface {
	Authenticate(r *http.Request) (auth.Principal, error)
}

// Assessments takes decisions; see assess.Service.
type Assessments interface {
	Assess(ctx context.Context, r assess.Request) (assess.Assessment, error)
}

// Store is what is read of advisories, and where decisions are noted.
type Store interface {
	Ping(ctx context.Context) error
	StatementsOn(ctx context.Context, keys []advisory.Key) (map[advisory.Key][]match.Statement, error)
	VulnerabilityByName(ctx context.Context, name string) (match.Vulnerability, error)
	AppendAudit(ctx context.Context, e audit.Entry) error
}

// Options are the choices that New leaves to its caller. The zero value is usable.
type Options struct {
	// Version is that of this program.
	Version string
	// Logger; slog.Default() where nil.
	Logger *slog.Logger
}

// API is the HTTP handler.
type API struct {
	users       Authenticator
	assessments Assessments
	store       Store
	opts        Options
	mux         *http.ServeMux
}

// Paths are the patterns under which the handler is to be mounted.
func Paths() []string { return []string{"/health", "/health/json", "/api/sca/"} }

// timeout bounds a request.
const timeout = 60 * time.Second

// New returns the handler.
func New(users Authenticator, assessments Assessments, store Store, opts Options) *API {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	a := &API{users: users, assessments: assessments, store: store, opts: opts, mux: http.NewServeMux()}
	for _, path := range []string{"GET /health", "GET /health/json"} {
		a.mux.HandleFunc(path, a.getHealth)
	}
	a.mux.HandleFunc("POST /api/sca/audit-package-vulns", a.known(a.postAudit))
	a.mux.HandleFunc("POST /api/sca/assess", a.known(a.postAssess))
	return a
}

// ServeHTTP answers every request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-ProGet-Version", a.opts.Version)
	w.Header().Set("X-ProGet-Edition", "Pratique")
	a.mux.ServeHTTP(w, r)
}

// refused is a request whose status and words are settled.
type refused struct {
	status int
	words  string
}

func (r refused) Error() string { return r.words }

// noKey is what ProGet says, and pgutil knows.
const noKey = "The specified API key does not have the proper permissions to perform this action."

// known serves those who give a key: as the header X-ApiKey, the parameter key, or
// as this server's other interfaces take it. A browser's cookie does not count, for
// another page could send it.
func (a *API) known(h func(*http.Request, auth.Principal) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		r = r.Clone(ctx)
		r.Header.Del("Cookie")
		for _, key := range []string{r.Header.Get("X-ApiKey"), r.URL.Query().Get("key")} {
			if key != "" && r.Header.Get("Authorization") == "" {
				r.Header.Set("Authorization", "Bearer "+key)
			}
		}
		var body any
		p, err := a.users.Authenticate(r)
		switch {
		case errors.Is(err, auth.ErrThrottled):
			w.Header().Set("Retry-After", "60")
			err = refused{http.StatusTooManyRequests, err.Error()}
		case errors.Is(err, auth.ErrCredentials), err == nil && p.Anonymous():
			err = refused{http.StatusForbidden, noKey}
		case err == nil:
			body, err = h(r, p)
		}
		a.write(w, r, body, err)
	}
}

// write sends an answer, and logs what went wrong: this is where errors end.
func (a *API) write(w http.ResponseWriter, r *http.Request, body any, err error) {
	var known refused
	switch {
	case errors.As(err, &known):
		a.opts.Logger.InfoContext(r.Context(), "ProGet API request failed", "path", r.URL.Path, "status", known.status, "error", err)
		http.Error(w, known.words, known.status)
	case err != nil:
		a.opts.Logger.ErrorContext(r.Context(), "ProGet API request failed", "path", r.URL.Path, "error", err)
		http.Error(w, "internal error; the server's log says more", http.StatusInternalServerError)
	case body == nil:
		w.WriteHeader(http.StatusOK)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body) // the client has gone, or not
	}
}

// getHealth says how the server is, in JSON, which pgutil always parses.
func (a *API) getHealth(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	database, status := "OK", http.StatusOK
	if err := a.store.Ping(ctx); err != nil {
		a.opts.Logger.ErrorContext(ctx, "the database does not answer", "error", err)
		database, status = "Error", http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client has gone, or not
		"applicationName": "Pratique", "databaseStatus": database, "licenseStatus": "OK", "serviceStatus": "OK",
		"versionNumber": a.opts.Version, "releaseNumber": a.opts.Version, "replicationStatus": map[string]any{},
	})
}

// Bounds of an audit.
const (
	maxBody     = 8 << 20
	maxPackages = 10_000
)

func decode(r *http.Request, into any) error {
	content, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return refused{http.StatusBadRequest, "the body could not be read to its end"}
	}
	if len(content) > maxBody {
		return refused{http.StatusBadRequest, fmt.Sprintf("the body is longer than %d bytes", maxBody)}
	}
	if err := json.Unmarshal(content, into); err != nil {
		return refused{http.StatusBadRequest, "the body is no JSON list of packages"}
	}
	return nil
}

// postAssess decides on a vulnerability, everywhere. The type is its name.
func (a *API) postAssess(r *http.Request, p auth.Principal) (any, error) {
	if !p.MayEverywhere(auth.Assess) {
		return nil, refused{http.StatusForbidden, "only who may assess in all registries may do this"}
	}
	query := r.URL.Query()
	created, err := a.assessments.Assess(r.Context(), assess.Request{
		Vulnerability: query.Get("id"), Type: query.Get("type"), Comment: query.Get("comment"), Author: p.Name,
		Scope: assess.Scope{Kind: assess.Everywhere}, Note: "by ProGet's API",
	})
	var field *assess.FieldError
	if errors.As(err, &field) {
		return nil, refused{http.StatusBadRequest, field.Error()}
	}
	if err != nil {
		return nil, err
	}
	detail, err := json.Marshal(map[string]string{"vulnerability": created.Vulnerability, "type": created.Type, "comment": created.Comment})
	if err != nil {
		return nil, err
	}
	return nil, a.store.AppendAudit(context.WithoutCancel(r.Context()), audit.Entry{
		Actor: p.Name, Action: "assessment.create", Object: fmt.Sprintf("assessment %d", created.ID), Detail: detail,
	})
}
