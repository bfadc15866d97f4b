package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/egress"
	"github.com/pratique/pratique/internal/secret"
)

// Store keeps sources and what they are asked. Its errors are those of this package.
type Store interface {
	Extensions(ctx context.Context) (map[string]bool, error)
	SetExtension(ctx context.Context, name string, enabled bool) error
	Sources(ctx context.Context) ([]Source, error)
	Source(ctx context.Context, name string) (Source, error)
	CreateSource(ctx context.Context, s Source) (Source, error)
	ChangeSource(ctx context.Context, s Source) (Source, error)
	DeleteSource(ctx context.Context, name string, version int64) error

	Attachments(ctx context.Context, registry string) ([]Attachment, error)
	AttachSource(ctx context.Context, registry, name string) (fresh bool, err error)
	DetachSource(ctx context.Context, registry, name string) error

	AskImage(ctx context.Context, digest string) (int, error)
	RetryScans(ctx context.Context, sourceID int64) error
	ScansOf(ctx context.Context, digest string) ([]Scan, error)
	Scans(ctx context.Context, name string, state State, after int64, limit int) ([]Scan, error)
	// BuiltInCounts reports whether the built-in analyser is attached to any
	// registry that holds the image.
	BuiltInCounts(ctx context.Context, digest string) (bool, error)
}

// Options are the choices of a Service.
type Options struct {
	// BaseURL is where sources reach this server; "" where that was not said.
	BaseURL func(ctx context.Context) string
	// Later has the scans of a source that are due done soon.
	Later func(ctx context.Context, name string) error
	// Changed is called after a change that can change a verdict on a pull.
	Changed func()
	// Pause is the scanners' wait; a timer where nil.
	Pause func(ctx context.Context, d time.Duration) error
}

// Service is what administrators do with sources.
type Service struct {
	store      Store
	extensions []Extension
	box        *secret.Box
	opts       Options
}

// New returns a service for external sources of these kinds.
func New(store Store, extensions []Extension, box *secret.Box, opts Options) *Service {
	if opts.BaseURL == nil {
		opts.BaseURL = func(context.Context) string { return "" }
	}
	if opts.Later == nil {
		opts.Later = func(context.Context, string) error { return nil }
	}
	if opts.Changed == nil {
		opts.Changed = func() {}
	}
	return &Service{store: store, extensions: extensions, box: box, opts: opts}
}

// base is where sources reach this server, without a slash at its end.
func (s *Service) base(ctx context.Context) string {
	return strings.TrimRight(s.opts.BaseURL(ctx), "/")
}

// NoBase is the warning that no external source can fetch anything from here.
const NoBase = "the base URL of this server is not set, so that sources cannot fetch layers from it: change the setting base_url, or start with --base-url"

// KnownExtension is a kind of source with whether it is enabled.
type KnownExtension struct {
	Extension
	Enabled bool
}

// Extensions lists the kinds of sources, the built-in analyser first.
func (s *Service) Extensions(ctx context.Context) ([]KnownExtension, error) {
	states, err := s.store.Extensions(ctx)
	if err != nil {
		return nil, err
	}
	list := []KnownExtension{{Extension{Name: BuiltIn, Title: "Built-in analyser",
		Description: "Pratique itself: it reads each layer as it is pushed, and matches the packages with the advisories of its feeds."}, true}}
	for _, e := range s.extensions {
		list = append(list, KnownExtension{e, states[e.Name]})
	}
	return list, nil
}

// SetExtension enables or disables a kind of source. It returns ErrNotFound, an
// *InUseError where sources of it exist, or ErrBuiltIn: the built-in analyser
// is detached from registries instead.
func (s *Service) SetExtension(ctx context.Context, name string, enabled bool) (KnownExtension, error) {
	if name == BuiltIn && !enabled {
		return KnownExtension{}, fmt.Errorf("extension %s cannot be disabled: %w", name, ErrBuiltIn)
	}
	if name != BuiltIn {
		if _, err := s.extension(name); err != nil {
			return KnownExtension{}, err
		}
		if err := s.store.SetExtension(ctx, name, enabled); err != nil {
			return KnownExtension{}, err
		}
	}
	all, err := s.Extensions(ctx)
	for _, e := range all {
		if e.Name == name {
			return e, nil
		}
	}
	return KnownExtension{}, err
}

func (s *Service) extension(name string) (Extension, error) {
	for _, e := range s.extensions {
		if e.Name == name {
			return e, nil
		}
	}
	return Extension{}, fmt.Errorf("extension %q: %w", name, ErrNotFound)
}

// Sources lists the external sources by name.
func (s *Service) Sources(ctx context.Context) ([]Source, error) { return s.store.Sources(ctx) }

// Source returns an external source, or ErrNotFound, or ErrBuiltIn.
func (s *Service) Source(ctx context.Context, name string) (Source, error) {
	if name == BuiltIn {
		return Source{}, ErrBuiltIn
	}
	return s.store.Source(ctx, name)
}

// The bounds of a source.
const (
	DefaultTimeout     = 10 * time.Minute
	MinTimeout         = 5 * time.Second
	MaxTimeout         = time.Hour
	DefaultConcurrency = 2
	MaxConcurrency     = 16
	maxAuthorization   = 8 << 10
	maxCertificates    = 64 << 10
)

var nameGrammar = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)

// Draft is a source to be made. What is zero has a default.
type Draft struct {
	Name, Extension, URL string
	// Authorization is the header of each request to it.
	Authorization string
	CA            string
	SkipVerify    bool
	Timeout       time.Duration
	Concurrency   int
}

// Create makes a source. It returns a *FieldError, ErrExists or ErrDisabled.
func (s *Service) Create(ctx context.Context, d Draft) (Source, error) {
	o := Source{Name: d.Name, Extension: d.Extension, URL: d.URL, CA: d.CA, SkipVerify: d.SkipVerify, Timeout: d.Timeout, Concurrency: d.Concurrency}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Concurrency == 0 {
		o.Concurrency = DefaultConcurrency
	}
	if len(o.Name) > 64 || !nameGrammar.MatchString(o.Name) || o.Name == BuiltIn {
		return Source{}, &FieldError{"name", "must be lower-case letters and digits, at most 64, separated by one of . _ -, and not built-in"}
	}
	if err := s.seal(&o, d.Authorization); err != nil {
		return Source{}, err
	}
	if err := s.check(&o, d.Authorization); err != nil {
		return Source{}, err
	}
	return s.store.CreateSource(ctx, o)
}

// Change is what to change of a source; nil leaves a field as it is.
type Change struct {
	URL *string
	// Authorization is "" to have none from now on.
	Authorization *string
	CA            *string
	SkipVerify    *bool
	Timeout       *time.Duration
	Concurrency   *int
}

// Change changes a source, of that version where it is not 0. It returns a
// *FieldError, ErrNotFound, ErrBuiltIn or ErrChanged. What failed before is
// tried again.
func (s *Service) Change(ctx context.Context, name string, version int64, c Change) (Source, error) {
	o, err := s.Source(ctx, name)
	if err != nil {
		return Source{}, err
	}
	if version != 0 && version != o.Version {
		return Source{}, fmt.Errorf("vulnerability source %q: %w", name, ErrChanged)
	}
	before := o
	authorization, err := s.authorization(o)
	if err != nil && c.Authorization == nil {
		return Source{}, &FieldError{"authorization_header", "must be given again: " + err.Error()}
	}
	set(&o.URL, c.URL)
	set(&o.CA, c.CA)
	set(&o.SkipVerify, c.SkipVerify)
	set(&o.Timeout, c.Timeout)
	set(&o.Concurrency, c.Concurrency)
	if c.Authorization != nil {
		authorization = *c.Authorization
		if err := s.seal(&o, authorization); err != nil {
			return Source{}, err
		}
	}
	if err := s.check(&o, authorization); err != nil {
		return Source{}, err
	}
	if c.Authorization == nil && o.Sealed != nil && origin(o.URL) != origin(before.URL) {
		// Who may change the URL must not learn the secret by it.
		return Source{}, &FieldError{"authorization_header", "must be given again, or as null, since the URL leads to another server"}
	}
	if o, err = s.store.ChangeSource(ctx, o); err != nil {
		return Source{}, err
	}
	if err := s.store.RetryScans(ctx, o.ID); err != nil {
		return Source{}, err
	}
	return o, s.opts.Later(ctx, o.Name)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func origin(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}

// Delete deletes a source, of that version where it is not 0, with all that it
// reported. It returns ErrNotFound, ErrBuiltIn or ErrChanged.
func (s *Service) Delete(ctx context.Context, name string, version int64) error {
	if name == BuiltIn {
		return ErrBuiltIn
	}
	if err := s.store.DeleteSource(ctx, name, version); err != nil {
		return err
	}
	s.opts.Changed()
	return nil
}

// check makes the source one that can be kept and reached.
func (s *Service) check(o *Source, authorization string) error {
	extension, err := s.extension(o.Extension)
	if err != nil {
		return &FieldError{"extension", fmt.Sprintf("%q is none of %s", o.Extension, s.names())}
	}
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return &FieldError{"url", "must be an http or https URL, such as http://clair.example.com:6060"}
	case u.User != nil:
		return &FieldError{"url", "must not hold credentials: give the authorization header"}
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return &FieldError{"url", "must not have a query or a fragment"}
	}
	o.URL = strings.TrimRight(o.URL, "/")
	switch {
	case o.Timeout < MinTimeout || o.Timeout > MaxTimeout:
		return &FieldError{"timeout_seconds", fmt.Sprintf("must be between %d and %d", int(MinTimeout.Seconds()), int(MaxTimeout.Seconds()))}
	case o.Concurrency < 1 || o.Concurrency > MaxConcurrency:
		return &FieldError{"concurrency", fmt.Sprintf("must be between 1 and %d", MaxConcurrency)}
	case len(o.CA) > maxCertificates:
		return &FieldError{"ca_certificates", fmt.Sprintf("must have at most %d bytes", maxCertificates)}
	}
	if err := egress.CheckCertificates(o.CA); err != nil {
		return &FieldError{"ca_certificates", err.Error()}
	}
	scanner, err := extension.Open(s.connection(*o, authorization))
	if err != nil {
		return err
	}
	scanner.Close()
	return nil
}

func (s *Service) names() string {
	names := make([]string, len(s.extensions))
	for i, e := range s.extensions {
		names[i] = e.Name
	}
	return join(names)
}

// seal puts an Authorization header into the source.
func (s *Service) seal(o *Source, header string) error {
	if len(header) > maxAuthorization {
		return &FieldError{"authorization_header", fmt.Sprintf("must have at most %d bytes", maxAuthorization)}
	}
	if strings.ContainsFunc(header, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return &FieldError{"authorization_header", "must not have line breaks or other control characters"}
	}
	if strings.TrimSpace(header) != header {
		return &FieldError{"authorization_header", "must not start or end with spaces"}
	}
	if o.Sealed = nil; header != "" {
		o.Sealed = s.box.Seal(purpose(*o), []byte(header))
	}
	return nil
}

func purpose(o Source) string { return "authorization header of vulnerability source " + o.Name }

// authorization is the Authorization header of a source.
func (s *Service) authorization(o Source) (string, error) {
	if o.Sealed == nil {
		return "", nil
	}
	header, err := s.box.Open(purpose(o), o.Sealed)
	if err != nil {
		return "", fmt.Errorf("the authorization header of %s cannot be read: %w", o.Name, err)
	}
	return string(header), nil
}

func (s *Service) connection(o Source, authorization string) Connection {
	return Connection{URL: o.URL, Authorization: authorization, CA: o.CA, SkipVerify: o.SkipVerify, Timeout: o.Timeout, Pause: s.opts.Pause}
}

// open returns a scanner for a source.
func (s *Service) open(o Source) (Scanner, error) {
	extension, err := s.extension(o.Extension)
	if err != nil {
		return nil, err
	}
	authorization, err := s.authorization(o)
	if err != nil {
		return nil, Refused("key", "%s: set the header again", err)
	}
	scanner, err := extension.Open(s.connection(o, authorization))
	var field *FieldError
	if errors.As(err, &field) {
		err = Refused("settings", "%s", field.Error())
	}
	return scanner, err
}

// Test asks a source whether it is what it should be, and returns what it says
// of itself, or the *Failure.
func (s *Service) Test(ctx context.Context, name string) (string, error) {
	o, err := s.Source(ctx, name)
	if err != nil {
		return "", err
	}
	o.Timeout = min(o.Timeout, 15*time.Second)
	scanner, err := s.open(o)
	if err != nil {
		return "", err
	}
	defer scanner.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, 2*o.Timeout, errSlow)
	defer cancel()
	return scanner.Probe(ctx)
}

var errSlow = errors.New("it took too long")

// Attachments lists the sources of a registry, the built-in analyser first, or
// returns ErrNotFound.
func (s *Service) Attachments(ctx context.Context, registry string) ([]Attachment, error) {
	return s.store.Attachments(ctx, registry)
}

// Attach makes a source one of a registry's, has it asked of the images that are
// there, and returns what the administrator should know. It returns ErrNotFound.
func (s *Service) Attach(ctx context.Context, registry, name string) (warnings []string, err error) {
	fresh, err := s.store.AttachSource(ctx, registry, name)
	if err != nil {
		return nil, err
	}
	s.opts.Changed()
	if name == BuiltIn {
		return nil, nil
	}
	if s.base(ctx) == "" {
		warnings = append(warnings, NoBase)
	}
	if fresh {
		err = s.opts.Later(ctx, name)
	}
	return warnings, err
}

// Detach ends that. It returns ErrNotFound.
func (s *Service) Detach(ctx context.Context, registry, name string) error {
	if err := s.store.DetachSource(ctx, registry, name); err != nil {
		return err
	}
	s.opts.Changed()
	return nil
}

// Ask has the external sources of an image asked again, and returns their names.
func (s *Service) Ask(ctx context.Context, digest string) ([]string, error) {
	if _, err := s.store.AskImage(ctx, digest); err != nil {
		return nil, err
	}
	scans, err := s.store.ScansOf(ctx, digest)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range scans {
		names = append(names, c.Source)
		if err := s.opts.Later(ctx, c.Source); err != nil {
			return nil, err
		}
	}
	return slices.Compact(names), nil
}

// ScansOf lists how far the external sources of an image are, by name, and
// whether the built-in analyser is one of its sources.
func (s *Service) ScansOf(ctx context.Context, digest string) (scans []Scan, builtIn bool, err error) {
	if builtIn, err = s.store.BuiltInCounts(ctx, digest); err != nil {
		return nil, false, err
	}
	scans, err = s.store.ScansOf(ctx, digest)
	return scans, builtIn, err
}

// Scans lists at most limit scans of a source with a larger id, in any state
// where that is "". It returns ErrNotFound.
func (s *Service) Scans(ctx context.Context, name string, state State, after int64, limit int) ([]Scan, error) {
	if _, err := s.Source(ctx, name); err != nil {
		return nil, err
	}
	return s.store.Scans(ctx, name, state, after, limit)
}
