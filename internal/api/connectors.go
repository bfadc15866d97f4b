package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pratique/pratique/internal/upstream"
)

// Connectors keeps upstream registries; *upstream.Service is one.
type Connectors interface {
	Connectors(ctx context.Context) ([]upstream.Connector, error)
	Connector(ctx context.Context, name string) (upstream.Connector, error)
	Create(ctx context.Context, d upstream.Draft) (upstream.Connector, error)
	Change(ctx context.Context, name string, version int64, c upstream.Change) (upstream.Connector, error)
	Delete(ctx context.Context, name string, version int64) error
	// Test returns what upstream says, or an *upstream.Failure.
	Test(ctx context.Context, name string) (string, error)
	Attached(ctx context.Context, registry string) ([]upstream.Connector, error)
	Attach(ctx context.Context, registry string, names []string) error
}

// connectorProblem is the answer for an error of package upstream, nil for others.
func connectorProblem(err error) error {
	var field *upstream.FieldError
	switch {
	case errors.As(err, &field):
		return invalid("body."+field.Field, field.Reason)
	case errors.Is(err, upstream.ErrExists):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, upstream.ErrChanged):
		return huma.Error412PreconditionFailed(err.Error() + "; read it again")
	case errors.Is(err, upstream.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	}
	return nil
}

// Connector is an upstream registry that registries pull through.
type Connector struct {
	Name           string     `json:"name" doc:"Unique; it never changes."`
	URL            string     `json:"url" example:"https://registry-1.docker.io"`
	Username       string     `json:"username"`
	HasPassword    bool       `json:"has_password" doc:"Whether a password is set. It is never shown."`
	CA             string     `json:"ca_certificates" doc:"PEM."`
	SkipVerify     bool       `json:"skip_tls_verify"`
	TimeoutSeconds int        `json:"timeout_seconds" doc:"How long an answer may take to begin."`
	Concurrency    int        `json:"concurrency" doc:"How many requests it is sent at once."`
	TagSeconds     int        `json:"tag_seconds" doc:"For how long a tag is served without asking for it again."`
	Allowed        []string   `json:"allowed" nullable:"false" doc:"Patterns of repositories; * stands for any text. None: all."`
	Denied         []string   `json:"denied" nullable:"false" doc:"Patterns of repositories that it is not asked for."`
	TrustedHosts   []string   `json:"trusted_hosts" nullable:"false" doc:"Hosts in private networks that it may lead to, for tokens or blobs, beside its own."`
	CreatedAt      *time.Time `json:"created_at,omitempty"`
	UpdatedAt      *time.Time `json:"updated_at,omitempty"`
	ETag           string     `json:"etag" doc:"Give it as If-Match to change what you saw."`
}

func showConnector(c upstream.Connector) Connector {
	return Connector{Name: c.Name, URL: c.URL, Username: c.Username, HasPassword: c.Sealed != nil, CA: c.CA, SkipVerify: c.SkipVerify,
		TimeoutSeconds: int(c.Timeout.Seconds()), Concurrency: c.Concurrency, TagSeconds: int(c.TagAge.Seconds()),
		Allowed: orEmpty(c.Allowed), Denied: orEmpty(c.Denied), TrustedHosts: orEmpty(c.TrustedHosts),
		CreatedAt: orNil(c.CreatedAt), UpdatedAt: orNil(c.UpdatedAt), ETag: etag(c.Version)}
}

type ConnectorPath struct {
	Name string `path:"name" maxLength:"100" example:"docker-hub"`
}

func (a *API) connectors() {
	const tag = "connectors"
	register(a, operation{id: "list-connectors", method: http.MethodGet, path: "/connectors", tag: tag,
		summary: "List connectors", doc: "By name; always one page.", administrators: true}, a.listConnectors)
	register(a, operation{id: "create-connector", method: http.MethodPost, path: "/connectors", tag: tag, status: http.StatusCreated,
		summary: "Add a connector", doc: "To an upstream registry.", administrators: true}, a.createConnector)
	register(a, operation{id: "get-connector", method: http.MethodGet, path: "/connectors/{name}", tag: tag,
		summary: "Show a connector", administrators: true}, a.connector)
	register(a, operation{id: "change-connector", method: http.MethodPatch, path: "/connectors/{name}", tag: tag,
		summary: "Change a connector", doc: "What is absent stays.", administrators: true}, a.changeConnector)
	register(a, operation{id: "delete-connector", method: http.MethodDelete, path: "/connectors/{name}", tag: tag, status: http.StatusNoContent,
		summary: "Delete a connector", doc: "The images that came by it stay.", administrators: true}, a.deleteConnector)
	register(a, operation{id: "test-connector", method: http.MethodPost, path: "/connectors/{name}/test", tag: tag,
		summary: "Test the connection to an upstream registry", doc: "Says what is wrong, where something is.", administrators: true}, a.testConnector)
	register(a, operation{id: "list-registry-connectors", method: http.MethodGet, path: "/registries/{registry}/connectors", tag: tag,
		summary: "List a registry's connectors", doc: "In the order in which they are asked; always one page.", administrators: true}, a.listRegistryConnectors)
	register(a, operation{id: "change-registry-connectors", method: http.MethodPut, path: "/registries/{registry}/connectors", tag: tag,
		summary: "Set a registry's connectors", doc: "All of them, in the order in which they are asked.", administrators: true}, a.changeRegistryConnectors)
}

func connectorList(all []upstream.Connector) *listed[Connector] {
	out := &listed[Connector]{List[Connector]{Items: make([]Connector, len(all))}}
	for i, c := range all {
		out.Body.Items[i] = showConnector(c)
	}
	return out
}

func (a *API) listConnectors(ctx context.Context, _ *struct{}) (*listed[Connector], error) {
	all, err := a.Upstream.Connectors(ctx)
	if err != nil {
		return nil, err
	}
	return connectorList(all), nil
}

func (a *API) connector(ctx context.Context, in *ConnectorPath) (*tagged[Connector], error) {
	c, err := a.Upstream.Connector(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return withTag(showConnector(c), c.Version), nil
}

func (a *API) createConnector(ctx context.Context, in *struct {
	Body struct {
		Name           string   `json:"name" minLength:"1" maxLength:"64" doc:"Lower-case letters and digits, separated by one of . _ -."`
		URL            string   `json:"url" maxLength:"2000" example:"https://registry-1.docker.io" doc:"Scheme and host."`
		Username       string   `json:"username,omitempty" maxLength:"255"`
		Password       string   `json:"password,omitempty" maxLength:"8192" doc:"Or a token. It is stored encrypted, and never shown."`
		CA             string   `json:"ca_certificates,omitempty" maxLength:"65536" doc:"PEM: authorities that its certificate may be signed by, beside the system's."`
		SkipVerify     bool     `json:"skip_tls_verify,omitempty" doc:"Take any certificate."`
		TimeoutSeconds int      `json:"timeout_seconds,omitempty" minimum:"1" maximum:"600" default:"30"`
		Concurrency    int      `json:"concurrency,omitempty" minimum:"1" maximum:"32" default:"4"`
		TagSeconds     *int     `json:"tag_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"300 where absent; 0 asks each time."`
		Allowed        []string `json:"allowed,omitempty" nullable:"false" maxItems:"50"`
		Denied         []string `json:"denied,omitempty" nullable:"false" maxItems:"50"`
		TrustedHosts   []string `json:"trusted_hosts,omitempty" nullable:"false" maxItems:"50"`
	}
}) (*tagged[Connector], error) {
	b := in.Body
	c, err := a.Upstream.Create(ctx, upstream.Draft{Password: b.Password, TagSeconds: b.TagSeconds, Connector: upstream.Connector{
		Name: b.Name, URL: b.URL, Username: b.Username, CA: b.CA, SkipVerify: b.SkipVerify, Timeout: time.Duration(b.TimeoutSeconds) * time.Second,
		Concurrency: b.Concurrency, Allowed: b.Allowed, Denied: b.Denied, TrustedHosts: b.TrustedHosts}})
	if err != nil {
		return nil, err
	}
	return a.changedConnector(ctx, "connector.create", c)
}

func (a *API) changedConnector(ctx context.Context, action string, c upstream.Connector) (*tagged[Connector], error) {
	shown := showConnector(c)
	return withTag(shown, c.Version), a.audit(ctx, action, "connector "+c.Name, shown)
}

func (a *API) changeConnector(ctx context.Context, in *struct {
	ConnectorPath
	IfMatch
	Body struct {
		URL            *string          `json:"url,omitempty" maxLength:"2000"`
		Username       *string          `json:"username,omitempty" maxLength:"255"`
		Password       Optional[string] `json:"password,omitempty" maxLength:"8192" doc:"Null: none. It has to be given again where the URL leads to another server."`
		CA             *string          `json:"ca_certificates,omitempty" maxLength:"65536"`
		SkipVerify     *bool            `json:"skip_tls_verify,omitempty"`
		TimeoutSeconds *int             `json:"timeout_seconds,omitempty" minimum:"1" maximum:"600"`
		Concurrency    *int             `json:"concurrency,omitempty" minimum:"1" maximum:"32"`
		TagSeconds     *int             `json:"tag_seconds,omitempty" minimum:"0" maximum:"2592000"`
		Allowed        *[]string        `json:"allowed,omitempty" maxItems:"50"`
		Denied         *[]string        `json:"denied,omitempty" maxItems:"50"`
		TrustedHosts   *[]string        `json:"trusted_hosts,omitempty" maxItems:"50"`
	}
}) (*tagged[Connector], error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	b := in.Body
	change := upstream.Change{URL: b.URL, Username: b.Username, CA: b.CA, SkipVerify: b.SkipVerify, Concurrency: b.Concurrency,
		Timeout: seconds(b.TimeoutSeconds), TagAge: seconds(b.TagSeconds), Allowed: b.Allowed, Denied: b.Denied, TrustedHosts: b.TrustedHosts}
	if b.Password.Sent {
		change.Password = &b.Password.Value
	}
	c, err := a.Upstream.Change(ctx, in.Name, version, change)
	if err != nil {
		return nil, err
	}
	return a.changedConnector(ctx, "connector.change", c)
}

func seconds(n *int) *time.Duration {
	if n == nil {
		return nil
	}
	d := time.Duration(*n) * time.Second
	return &d
}

func (a *API) deleteConnector(ctx context.Context, in *struct {
	ConnectorPath
	IfMatch
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	if err := a.Upstream.Delete(ctx, in.Name, version); err != nil {
		return nil, err
	}
	return nil, a.audit(ctx, "connector.delete", "connector "+in.Name, struct{}{})
}

func (a *API) testConnector(ctx context.Context, in *ConnectorPath) (*one[Connection], error) {
	says, err := a.Upstream.Test(ctx, in.Name)
	var failure *upstream.Failure
	switch {
	case errors.As(err, &failure):
		return &one[Connection]{Connection{Code: "failed", Message: failure.Reason}}, nil
	case err != nil:
		return nil, err
	}
	return &one[Connection]{Connection{OK: true, Message: says}}, nil
}

func (a *API) listRegistryConnectors(ctx context.Context, in *RegistryPath) (*listed[Connector], error) {
	all, err := a.Upstream.Attached(ctx, in.Registry)
	if err != nil {
		return nil, err
	}
	return connectorList(all), nil
}

func (a *API) changeRegistryConnectors(ctx context.Context, in *struct {
	RegistryPath
	Body struct {
		Connectors []string `json:"connectors" nullable:"false" maxItems:"20" doc:"Names."`
	}
}) (*listed[Connector], error) {
	if err := a.Upstream.Attach(ctx, in.Registry, in.Body.Connectors); err != nil {
		return nil, err
	}
	if err := a.audit(ctx, "registry.connectors", "registry "+in.Registry, in.Body); err != nil {
		return nil, err
	}
	return a.listRegistryConnectors(ctx, &in.RegistryPath)
}
