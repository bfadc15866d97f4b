package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pratique/pratique/internal/source"
)

// Sources keeps vulnerability sources; *source.Service is one.
type Sources interface {
	Extensions(ctx context.Context) ([]source.KnownExtension, error)
	SetExtension(ctx context.Context, name string, enabled bool) (source.KnownExtension, error)
	Sources(ctx context.Context) ([]source.Source, error)
	Source(ctx context.Context, name string) (source.Source, error)
	Create(ctx context.Context, d source.Draft) (source.Source, error)
	Change(ctx context.Context, name string, version int64, c source.Change) (source.Source, error)
	Delete(ctx context.Context, name string, version int64) error
	// Test returns what the source says of itself, or a *source.Failure.
	Test(ctx context.Context, name string) (string, error)
	Attachments(ctx context.Context, registry string) ([]source.Attachment, error)
	Attach(ctx context.Context, registry, name string) (warnings []string, err error)
	Detach(ctx context.Context, registry, name string) error
	// Ask has an image's external sources asked again.
	Ask(ctx context.Context, digest string) ([]string, error)
	ScansOf(ctx context.Context, digest string) (scans []source.Scan, builtIn bool, err error)
	Scans(ctx context.Context, name string, state source.State, after int64, limit int) ([]source.Scan, error)
}

// sourceProblem is the answer for an error of package source, nil for others.
func sourceProblem(err error) error {
	var field *source.FieldError
	var use *source.InUseError
	switch {
	case errors.As(err, &field):
		return invalid("body."+field.Field, field.Reason)
	case errors.As(err, &use), errors.Is(err, source.ErrExists), errors.Is(err, source.ErrBuiltIn):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, source.ErrDisabled):
		return invalid("body.extension", err.Error()+": PATCH extensions/{name} enables it")
	case errors.Is(err, source.ErrChanged):
		return huma.Error412PreconditionFailed(err.Error() + "; read it again")
	case errors.Is(err, source.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	}
	return nil
}

// Extension is a kind of vulnerability source.
type Extension struct {
	Name        string `json:"name" example:"clair-v4"`
	Title       string `json:"title" example:"Clair (v4 API)"`
	Description string `json:"description"`
	Enabled     bool   `json:"enabled" doc:"Whether sources can be made of it."`
}

func showExtension(e source.KnownExtension) Extension {
	return Extension{Name: e.Name, Title: e.Title, Description: e.Description, Enabled: e.Enabled}
}

// VulnerabilitySource is a scanner that can be attached to registries.
type VulnerabilitySource struct {
	Name           string     `json:"name" doc:"Unique; it never changes."`
	Extension      string     `json:"extension" example:"clair-v4"`
	URL            string     `json:"url" doc:"Empty for the built-in analyser."`
	HasHeader      bool       `json:"has_authorization_header" doc:"Whether an API authorization header is set. It is never shown."`
	CA             string     `json:"ca_certificates" doc:"PEM."`
	SkipVerify     bool       `json:"skip_tls_verify"`
	TimeoutSeconds int        `json:"timeout_seconds" doc:"Bounds the scan of one image."`
	Concurrency    int        `json:"concurrency" doc:"How many images it is asked of at once."`
	CreatedAt      *time.Time `json:"created_at,omitempty"`
	UpdatedAt      *time.Time `json:"updated_at,omitempty"`
	ETag           string     `json:"etag,omitempty" doc:"Give it as If-Match to change what you saw. Absent of the built-in analyser, which does not change."`
}

func showSource(o source.Source) VulnerabilitySource {
	return VulnerabilitySource{
		Name: o.Name, Extension: o.Extension, URL: o.URL, HasHeader: o.Sealed != nil, CA: o.CA, SkipVerify: o.SkipVerify,
		TimeoutSeconds: int(o.Timeout.Seconds()), Concurrency: o.Concurrency, CreatedAt: orNil(o.CreatedAt), UpdatedAt: orNil(o.UpdatedAt), ETag: etag(o.Version),
	}
}

// builtInSource is the one that nobody makes.
func builtInSource() VulnerabilitySource {
	return VulnerabilitySource{Name: source.BuiltIn, Extension: source.BuiltIn}
}

type SourcePath struct {
	Name string `path:"name" maxLength:"100" example:"clair"`
}

func (a *API) sources() {
	const tag = "vulnerability-sources"
	register(a, operation{id: "list-extensions", access: access{place: signedIn}, method: http.MethodGet, path: "/extensions", tag: tag,
		summary: "List extensions", doc: "The kinds of vulnerability sources, the built-in analyser first; always one page."}, a.listExtensions)
	register(a, operation{id: "change-extension", method: http.MethodPatch, path: "/extensions/{name}", tag: tag,
		summary: "Enable or disable an extension",
		doc:     "One that sources use is not disabled (409, with their names): delete these first. The built-in analyser is never disabled; detach it from registries.", administrators: true}, a.changeExtension)
	register(a, operation{id: "list-vulnerability-sources", access: access{place: signedIn}, method: http.MethodGet, path: "/vulnerability-sources", tag: tag,
		summary: "List vulnerability sources", doc: "The built-in analyser first, then by name; always one page."}, a.listSources)
	register(a, operation{id: "create-vulnerability-source", method: http.MethodPost, path: "/vulnerability-sources", tag: tag, status: http.StatusCreated,
		summary: "Add a vulnerability source", doc: "Of an extension that is enabled.", administrators: true}, a.createSource)
	register(a, operation{id: "get-vulnerability-source", access: access{place: signedIn}, method: http.MethodGet, path: "/vulnerability-sources/{name}", tag: tag,
		summary: "Show a vulnerability source"}, a.source)
	register(a, operation{id: "change-vulnerability-source", method: http.MethodPatch, path: "/vulnerability-sources/{name}", tag: tag,
		summary: "Change a vulnerability source", doc: "What is absent stays. Images of which it failed are asked about again.", administrators: true}, a.changeSource)
	register(a, operation{id: "delete-vulnerability-source", method: http.MethodDelete, path: "/vulnerability-sources/{name}", tag: tag, status: http.StatusNoContent,
		summary: "Delete a vulnerability source", doc: "With all that it reported. Assessments stay: they are on vulnerabilities.", administrators: true}, a.deleteSource)
	register(a, operation{id: "test-vulnerability-source", method: http.MethodPost, path: "/vulnerability-sources/{name}/test", tag: tag,
		summary: "Test the connection to a vulnerability source", doc: "Says what is wrong, where something is.", administrators: true}, a.testSource)
	register(a, operation{id: "list-source-scans", method: http.MethodGet, path: "/vulnerability-sources/{name}/scans", tag: tag,
		summary: "List what a vulnerability source is asked", doc: "In the order in which the images came."}, a.listScans)
}

func (a *API) listExtensions(ctx context.Context, _ *struct{}) (*listed[Extension], error) {
	all, err := a.Sources.Extensions(ctx)
	if err != nil {
		return nil, err
	}
	out := &listed[Extension]{List[Extension]{Items: make([]Extension, len(all))}}
	for i, e := range all {
		out.Body.Items[i] = showExtension(e)
	}
	return out, nil
}

func (a *API) changeExtension(ctx context.Context, in *struct {
	Name string `path:"name" maxLength:"100" example:"clair-v4"`
	Body struct {
		Enabled bool `json:"enabled"`
	}
}) (*one[Extension], error) {
	e, err := a.Sources.SetExtension(ctx, in.Name, in.Body.Enabled)
	if err != nil {
		return nil, err
	}
	shown := showExtension(e)
	return &one[Extension]{shown}, a.audit(ctx, "extension.change", "extension "+e.Name, shown)
}

func (a *API) listSources(ctx context.Context, _ *struct{}) (*listed[VulnerabilitySource], error) {
	all, err := a.Sources.Sources(ctx)
	if err != nil {
		return nil, err
	}
	out := &listed[VulnerabilitySource]{List[VulnerabilitySource]{Items: []VulnerabilitySource{builtInSource()}}}
	for _, o := range all {
		out.Body.Items = append(out.Body.Items, showSource(o))
	}
	return out, nil
}

func (a *API) source(ctx context.Context, in *SourcePath) (*tagged[VulnerabilitySource], error) {
	o, err := a.Sources.Source(ctx, in.Name)
	if errors.Is(err, source.ErrBuiltIn) {
		return &tagged[VulnerabilitySource]{Body: builtInSource()}, nil
	}
	if err != nil {
		return nil, err
	}
	return withTag(showSource(o), o.Version), nil
}

func (a *API) createSource(ctx context.Context, in *struct {
	Body struct {
		Name           string `json:"name" minLength:"1" maxLength:"64" doc:"Lower-case letters and digits, separated by one of . _ -."`
		Extension      string `json:"extension" maxLength:"64" example:"clair-v4"`
		URL            string `json:"url,omitempty" maxLength:"2000" example:"http://clair.example.com:6060" doc:"Where its API is; or give host and port."`
		Host           string `json:"host,omitempty" maxLength:"253" example:"clair.example.com"`
		Port           int    `json:"port,omitempty" minimum:"1" maximum:"65535" example:"6060"`
		TLS            bool   `json:"tls,omitempty" doc:"With a host: https instead of http."`
		Header         string `json:"authorization_header,omitempty" maxLength:"8192" doc:"The Authorization header of each request to it. It is stored encrypted, and never shown."`
		CA             string `json:"ca_certificates,omitempty" maxLength:"65536" doc:"PEM: authorities that its certificate may be signed by, beside the system's."`
		SkipVerify     bool   `json:"skip_tls_verify,omitempty" doc:"Take any certificate."`
		TimeoutSeconds int    `json:"timeout_seconds,omitempty" minimum:"5" maximum:"3600" default:"600" doc:"Bounds the scan of one image."`
		Concurrency    int    `json:"concurrency,omitempty" minimum:"1" maximum:"16" default:"2" doc:"How many images it is asked of at once."`
	}
}) (*tagged[VulnerabilitySource], error) {
	b := in.Body
	target, err := address(b.URL, b.Host, b.Port, b.TLS)
	if err != nil {
		return nil, err
	}
	o, err := a.Sources.Create(ctx, source.Draft{
		Name: b.Name, Extension: b.Extension, URL: target, Authorization: b.Header, CA: b.CA, SkipVerify: b.SkipVerify,
		Timeout: time.Duration(b.TimeoutSeconds) * time.Second, Concurrency: b.Concurrency,
	})
	if field := (*source.FieldError)(nil); in.Body.Host != "" && errors.As(err, &field) && field.Field == "url" {
		return nil, &source.FieldError{Field: "host", Reason: field.Reason} // as it was given
	}
	if err != nil {
		return nil, err
	}
	return a.changedSource(ctx, "vulnerability-source.create", o)
}

// address is a URL, given as one or as a host and a port.
func address(url, host string, port int, tls bool) (string, error) {
	if host == "" {
		if url == "" {
			return "", invalid("body.url", "is needed, or host and port")
		}
		return url, nil
	}
	if url != "" {
		return "", invalid("body.host", "must not be given with url")
	}
	if strings.ContainsAny(host, "/?#@% ") {
		return "", invalid("body.host", "must be a name or an address")
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	scheme := "http://"
	if tls {
		scheme = "https://"
	}
	if port != 0 {
		host += ":" + strconv.Itoa(port)
	}
	return scheme + host, nil
}

func (a *API) changedSource(ctx context.Context, action string, o source.Source) (*tagged[VulnerabilitySource], error) {
	shown := showSource(o)
	return withTag(shown, o.Version), a.audit(ctx, action, "vulnerability source "+o.Name, shown)
}

func (a *API) changeSource(ctx context.Context, in *struct {
	SourcePath
	IfMatch
	Body struct {
		URL            *string          `json:"url,omitempty" maxLength:"2000"`
		Header         Optional[string] `json:"authorization_header,omitempty" maxLength:"8192" doc:"Null: none. It has to be given again where the URL leads to another server."`
		CA             *string          `json:"ca_certificates,omitempty" maxLength:"65536"`
		SkipVerify     *bool            `json:"skip_tls_verify,omitempty"`
		TimeoutSeconds *int             `json:"timeout_seconds,omitempty" minimum:"5" maximum:"3600"`
		Concurrency    *int             `json:"concurrency,omitempty" minimum:"1" maximum:"16"`
	}
}) (*tagged[VulnerabilitySource], error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	b := in.Body
	change := source.Change{URL: b.URL, CA: b.CA, SkipVerify: b.SkipVerify, Timeout: seconds(b.TimeoutSeconds), Concurrency: b.Concurrency}
	if b.Header.Sent {
		change.Authorization = &b.Header.Value
	}
	o, err := a.Sources.Change(ctx, in.Name, version, change)
	if err != nil {
		return nil, err
	}
	return a.changedSource(ctx, "vulnerability-source.change", o)
}

func (a *API) deleteSource(ctx context.Context, in *struct {
	SourcePath
	IfMatch
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	if err := a.Sources.Delete(ctx, in.Name, version); err != nil {
		return nil, err
	}
	a.changed()
	return nil, a.audit(ctx, "vulnerability-source.delete", "vulnerability source "+in.Name, struct{}{})
}

// Connection is the outcome of a test.
type Connection struct {
	OK      bool   `json:"ok"`
	Code    string `json:"code" example:"unreachable" doc:"One word for what is wrong; empty where nothing is."`
	Message string `json:"message" example:"nothing listens at clair.example.com:6060 (connection refused)"`
}

func (a *API) testSource(ctx context.Context, in *SourcePath) (*one[Connection], error) {
	says, err := a.Sources.Test(ctx, in.Name)
	var failure *source.Failure
	switch {
	case errors.As(err, &failure):
		return &one[Connection]{Connection{Code: failure.Code, Message: failure.Reason}}, nil
	case err != nil:
		return nil, err
	}
	return &one[Connection]{Connection{OK: true, Message: says}}, nil
}

// SourceScan is what a source was, or is to be, asked of an image.
type SourceScan struct {
	Image string `json:"image"`
	ImageSource
}

func (a *API) listScans(ctx context.Context, in *struct {
	SourcePath
	State string `query:"state" enum:"queued,running,answered,waiting,quarantined"`
	Paging
}) (*listed[SourceScan], error) {
	list := "scans " + in.Name
	from, err := after[int64](in.Paging, list)
	if err != nil {
		return nil, err
	}
	found, err := a.Sources.Scans(ctx, in.Name, source.State(in.State), orZero(from), in.PageSize+1)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(c source.Scan) int64 { return c.ID }, func(c source.Scan) SourceScan {
		return SourceScan{c.Image, showScan(c)}
	}), nil
}
