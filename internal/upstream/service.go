package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	orasregistry "oras.land/oras-go/v2/registry"
)

func registryReference(rawURL, repository string) orasregistry.Reference {
	u, err := url.Parse(rawURL)
	if err != nil {
		return orasregistry.Reference{Repository: repository}
	}
	return orasregistry.Reference{Registry: u.Host, Repository: repository}
}

// Draft is a connector to be made; what is zero has a default.
type Draft struct {
	Connector
	Password string
	// TagSeconds is TagAge where it is given; 0 asks each time.
	TagSeconds *int
}

// Change is what to change of a connector; nil leaves a field as it is.
type Change struct {
	URL, Username, CA *string
	// Password is "" to have none from now on.
	Password                      *string
	SkipVerify                    *bool
	Timeout, TagAge               *time.Duration
	Concurrency                   *int
	Allowed, Denied, TrustedHosts *[]string
}

// Connectors lists them by name.
func (s *Service) Connectors(ctx context.Context) ([]Connector, error) {
	return s.store.Connectors(ctx)
}

// Connector returns one, or ErrNotFound.
func (s *Service) Connector(ctx context.Context, name string) (Connector, error) {
	return s.store.Connector(ctx, name)
}

// Create makes a connector. It returns a *FieldError or ErrExists.
func (s *Service) Create(ctx context.Context, d Draft) (Connector, error) {
	c := d.Connector
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.TagAge = DefaultTagAge; d.TagSeconds != nil {
		c.TagAge = time.Duration(*d.TagSeconds) * time.Second
	}
	if err := s.seal(&c, d.Password); err != nil {
		return Connector{}, err
	}
	if err := s.usable(&c, d.Password); err != nil {
		return Connector{}, err
	}
	return s.store.CreateConnector(ctx, c)
}

func (s *Service) usable(c *Connector, password string) error {
	if err := c.check(); err != nil {
		return err
	}
	opened, err := newClient(*c, password, s.opts.Now)
	if err == nil {
		opened.egress.Close()
	}
	return err
}

// Change changes a connector, of that version where it is not 0. It returns a
// *FieldError, ErrNotFound or ErrChanged.
func (s *Service) Change(ctx context.Context, name string, version int64, ch Change) (Connector, error) {
	c, err := s.store.Connector(ctx, name)
	if err != nil {
		return Connector{}, err
	}
	if version != 0 && version != c.Version {
		return Connector{}, fmt.Errorf("connector %q: %w", name, ErrChanged)
	}
	before := c.URL
	set(&c.URL, ch.URL)
	set(&c.Username, ch.Username)
	set(&c.CA, ch.CA)
	set(&c.SkipVerify, ch.SkipVerify)
	set(&c.Timeout, ch.Timeout)
	set(&c.TagAge, ch.TagAge)
	set(&c.Concurrency, ch.Concurrency)
	set(&c.Allowed, ch.Allowed)
	set(&c.Denied, ch.Denied)
	set(&c.TrustedHosts, ch.TrustedHosts)
	if ch.Password != nil {
		if err := s.seal(&c, *ch.Password); err != nil {
			return Connector{}, err
		}
	}
	if err := s.usable(&c, ""); err != nil {
		return Connector{}, err
	}
	if ch.Password == nil && c.Sealed != nil && !strings.EqualFold(c.URL, before) {
		// Who may change the URL must not learn the secret by it.
		return Connector{}, &FieldError{"password", "must be given again, or as null, since the URL leads to another server"}
	}
	changed, err := s.store.ChangeConnector(ctx, c)
	s.forget()
	return changed, err
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// Delete deletes a connector, of that version where it is not 0. What came by it stays.
func (s *Service) Delete(ctx context.Context, name string, version int64) error {
	err := s.store.DeleteConnector(ctx, name, version)
	s.forget()
	return err
}

// Attached lists the connectors of a registry in their order, or returns ErrNotFound.
func (s *Service) Attached(ctx context.Context, registry string) ([]Connector, error) {
	return s.store.AttachedConnectors(ctx, registry)
}

// Attach makes these the connectors of a registry, in this order.
func (s *Service) Attach(ctx context.Context, registry string, names []string) error {
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			return &FieldError{"connectors", fmt.Sprintf("names %q twice", name)}
		}
		seen[name] = true
	}
	err := s.store.AttachConnectors(ctx, registry, names)
	s.forget()
	return err
}

// Test asks a connector whether it is a registry that lets us in, and returns
// what it says, or a *Failure.
func (s *Service) Test(ctx context.Context, name string) (string, error) {
	c, err := s.store.Connector(ctx, name)
	if err != nil {
		return "", err
	}
	password, err := s.password(c)
	if err != nil {
		return "", &Failure{Connector: name, Reason: err.Error() + ": give the password again"}
	}
	c.Timeout = min(c.Timeout, 15*time.Second)
	opened, err := newClient(c, password, s.opts.Now)
	if err != nil {
		return "", &Failure{Connector: name, Reason: err.Error()}
	}
	defer opened.egress.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*c.Timeout)
	defer cancel()
	response, err := opened.ask(ctx, http.MethodGet, "", "", http.Header{Via: {s.id}})
	if errors.Is(err, ErrUnknown) {
		return "", &Failure{Connector: name, Status: http.StatusNotFound, Reason: "it has no /v2/: this is no registry"}
	}
	if err != nil {
		return "", err
	}
	response.Body.Close()
	if kind := response.Header.Get("Content-Type"); strings.HasPrefix(kind, "text/html") {
		return "", &Failure{Connector: name, Status: response.StatusCode, Reason: "it answers with a web page: this is no registry"}
	}
	return "it is a registry, and lets this server in", nil
}

func (s *Service) seal(c *Connector, password string) error {
	if len(password) > 8<<10 || strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return &FieldError{"password", "must have at most 8192 bytes and no control characters"}
	}
	if c.Sealed = nil; password != "" {
		c.Sealed = s.box.Seal(purpose(c.Name), []byte(password))
	}
	return nil
}

func purpose(name string) string { return "password of connector " + name }

func (s *Service) password(c Connector) (string, error) {
	if c.Sealed == nil {
		return "", nil
	}
	password, err := s.box.Open(purpose(c.Name), c.Sealed)
	if err != nil {
		return "", fmt.Errorf("the password of %s cannot be read: %w", c.Name, err)
	}
	return string(password), nil
}
