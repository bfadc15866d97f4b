// Package api is Pratique's REST interface under /api/v1 and its description
// in OpenAPI. It translates between HTTP and the services, and decides nothing
// but who may call what.
//
// It must not know SQL. Errors become answers in one place, problem.go.
package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/pratique/pratique/internal/job"
)

// Prefix is where the interface is mounted.
const Prefix = "/api/v1"

// Services are what the resources are served from. All are needed.
type Services struct {
	Authenticator   Authenticator
	Sessions        Sessions
	SignIn          SignIn
	Registries      Registries
	Images          Images
	Vulnerabilities Vulnerabilities
	Assessments     Assessments
	Judge           Judge
	Jobs            Jobs
	Schedules       Schedules
	// Kinds are those of the jobs, by name.
	Kinds     []job.Kind
	Events    Events
	Feeds     Feeds
	Users     Users
	Audit     Audit
	Stats     Stats
	System    System
	Summaries Summaries
	Trends    Trends
	Settings  Settings
	Notify    Notify
	VEX       VEX
	Policies  PolicyService
	Clusters  Clusters
	Finder    Finder
	Sources   Sources
	Promotion Promotions
	Trash     Trash
	Retention Retention
	Upstream  Connectors
	Usage     Usage
}

// Options are the choices of an API.
type Options struct {
	// Log takes what clients must not see; slog.Default() where nil.
	Log *slog.Logger
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Version is the program's, for the description.
	Version string
	// StartSettings are those of the program's start.
	StartSettings []StartSetting
	// BaseURL is where clients find the server; nil or "" where it is not known.
	BaseURL func(context.Context) string
	// Changed is called after a change that can change a verdict of the pull
	// gate. Nil where nobody needs to know.
	Changed func()
}

// API serves the interface. It is an http.Handler for every path below Prefix.
type API struct {
	Services
	log         *slog.Logger
	now         func() time.Time
	changed     func()
	huma        huma.API
	mux         *http.ServeMux
	foreign     *http.CrossOriginProtection
	description []byte
	// startSettings are for people to look at.
	startSettings []StartSetting
	version       string
	baseURL       func(context.Context) string
}

// New returns the interface over the services.
func New(services Services, opts Options) (*API, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Changed == nil {
		opts.Changed = func() {}
	}
	if opts.BaseURL == nil {
		opts.BaseURL = func(context.Context) string { return "" }
	}
	if opts.Version == "" {
		opts.Version = "0"
	}
	a := &API{
		Services: services, log: opts.Log, now: opts.Now, changed: opts.Changed,
		mux: http.NewServeMux(), foreign: http.NewCrossOriginProtection(), version: opts.Version,
		startSettings: opts.StartSettings, baseURL: opts.BaseURL,
	}
	a.huma = humago.NewWithPrefix(a.mux, Prefix, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Pratique",
				Version:     opts.Version,
				Description: description,
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"key":      {Type: "http", Scheme: "bearer", Description: "An API key."},
					"session":  {Type: "apiKey", In: "cookie", Name: "pratique_session", Description: "A browser's session, over TLS as __Host-pratique_session."},
					"password": {Type: "http", Scheme: "basic", Description: "A user's name and password, or the name api and an API key."},
				},
			},
			Security: []map[string][]string{{"key": {}}, {"password": {}}, {"session": {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": format(), "json": format()},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{withoutValues},
	})
	a.session()
	a.registries()
	a.usage()
	a.promotions()
	a.trash()
	a.retention()
	a.connectors()
	a.policies()
	a.exceptions()
	a.admission()
	a.images()
	a.moreOfImages()
	a.vex()
	a.vulnerabilities()
	a.sources()
	a.registrySources()
	a.imageSources()
	a.assessments()
	a.assessmentTypes()
	a.jobs()
	a.events()
	a.feeds()
	a.users()
	a.keys()
	a.signInProvider()
	a.groups()
	a.roles()
	a.robots()
	a.auditLog()
	a.stats()
	a.system()
	a.trend()
	a.settings()
	a.webhooks()
	schemas := a.huma.OpenAPI().Components.Schemas
	nullInEnums(schemas)
	// huma's own problem details leave the list out where it is empty.
	schemas.Map()["ErrorModel"].Properties["errors"].Nullable = false
	var err error
	if a.description, err = json.MarshalIndent(a.huma.OpenAPI(), "", "  "); err != nil {
		return nil, fmt.Errorf("describe the interface: %w", err)
	}
	a.mux.HandleFunc("GET "+Prefix+"/openapi.json", a.serveDescription)
	return a, nil
}

// nullInEnums adds null to the values of those properties that can be null: a
// type that allows it does not make it a value (JSON Schema 2020-12,
// validation, section 6.1.2).
func nullInEnums(schemas huma.Registry) {
	for _, schema := range schemas.Map() {
		for _, property := range schema.Properties {
			if property.Nullable && len(property.Enum) > 0 {
				property.Enum = append(property.Enum, nil)
			}
		}
	}
}

const description = `A private container registry that knows what is in its images and which of it is vulnerable.

Times are RFC 3339 in UTC. Lists answer ` + "`{\"items\": [], \"next_page_token\": \"\"}`" + `; give the token as ` + "`page_token`" + ` for the next page.
Errors are problem details (RFC 9457). A repository's name may contain slashes: in a path they are written ` + "`%2F`" + `, or as they are.`

func (a *API) serveDescription(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if _, err := w.Write(a.description); err != nil {
		a.log.DebugContext(r.Context(), "the client has gone", "error", err)
	}
}

// fromBase reports a browser that says it comes from a page of this server: a
// proxy may have changed the Host that it named.
func (a *API) fromBase(r *http.Request) bool {
	base, err := url.Parse(a.baseURL(r.Context()))
	return err == nil && base.Host != "" && r.Header.Get("Origin") == base.Scheme+"://"+base.Host
}

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := checkURL(r.URL); err != nil {
		a.writeProblem(w, r, http.StatusBadRequest, err.Error())
		return
	}
	// A browser that remembers a password would send it for any site.
	if err := a.foreign.Check(r); err != nil && !a.fromBase(r) {
		a.writeProblem(w, r, http.StatusForbidden, "the request comes from another site")
		return
	}
	r = joinRepository(r)
	if handler, pattern := a.mux.Handler(r); pattern == "" {
		a.refuse(w, r, handler)
		return
	}
	trustedHeaders(w.Header())
	a.mux.ServeHTTP(w, r)
}

// refuse answers where no operation has the path and method; the mux knows
// whether it is the path or the method, and says so in plain text.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	said := &refusal{header: http.Header{}}
	handler.ServeHTTP(said, r)
	detail := "there is no such resource"
	if allow := said.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		detail = "the resource allows " + allow
	}
	if location := said.header.Get("Location"); location != "" {
		w.Header().Set("Location", location)
		detail = "the resource is at " + location
	}
	a.writeProblem(w, r, said.status, detail)
}

// refusal takes the mux's own answer.
type refusal struct {
	header http.Header
	status int
}

func (r *refusal) Header() http.Header         { return r.header }
func (r *refusal) Write(b []byte) (int, error) { return len(b), nil }
func (r *refusal) WriteHeader(status int)      { r.status = status }

// operation is what differs between operations.
type operation struct {
	id, summary, doc string
	method, path     string
	tag              string
	// status is that of success; 200 where zero.
	status int
	// public says that anybody may call it.
	public bool
	// administrators says that nobody else may call it.
	administrators bool
	// access is who may call it, where its path and method do not say so: see rule.
	access access
	// document is how many bytes the body may have where it is a document of
	// another format, which the handler checks.
	document int64
	// body bounds the body, in bytes, where it may be larger than others.
	body int64
}

// maxBody bounds request bodies in bytes.
const maxBody = 128 << 10

// register adds an operation. Whatever its handler returns as an error goes
// through problem.
func register[I, O any](a *API, op operation, handle func(context.Context, *I) (*O, error)) {
	rule := op.rule()
	if who := rule.String(); who != "" {
		op.doc = strings.TrimSpace(op.doc + "\n\n" + who)
	}
	described := huma.Operation{
		OperationID: op.id, Summary: op.summary, Description: op.doc,
		Method: op.method, Path: op.path, Tags: []string{op.tag},
		DefaultStatus: op.status, MaxBodyBytes: cmp.Or(op.document, op.body, maxBody), SkipValidateBody: op.document > 0,
		Middlewares: a.middlewares(rule),
	}
	if op.public {
		described.Security = []map[string][]string{{}}
	}
	huma.Register(a.huma, described, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, described, err)
		}
		return out, nil
	})
}
