package upstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/secret"
)

// Store keeps connectors and what came by them. Its errors are those of this
// package and of package registry.
type Store interface {
	Connectors(ctx context.Context) ([]Connector, error)
	Connector(ctx context.Context, name string) (Connector, error)
	CreateConnector(ctx context.Context, c Connector) (Connector, error)
	ChangeConnector(ctx context.Context, c Connector) (Connector, error)
	DeleteConnector(ctx context.Context, name string, version int64) error
	AttachedConnectors(ctx context.Context, registry string) ([]Connector, error)
	AttachConnectors(ctx context.Context, registry string, names []string) error

	Repository(ctx context.Context, registryName, name string) (registry.Repository, error)
	EnsureRepository(ctx context.Context, registryName, name string) (registry.Repository, error)
	Manifest(ctx context.Context, repositoryID int64, digest string) (*registry.Manifest, error)
	CachedTag(ctx context.Context, repositoryID int64, tag string) (CachedTag, error)
	// CacheManifest stores a manifest of which nothing else need be there, and
	// points a tag at it unless that is "".
	CacheManifest(ctx context.Context, repositoryID int64, m *registry.Manifest, tag, connector string) error
	TagChecked(ctx context.Context, repositoryID int64, tag string) error
	ManifestPulled(ctx context.Context, repositoryID int64, digest string) error
	// Wanted returns a manifest of a repository that came from upstream and
	// refers to a blob, or registry.ErrBlobUnknown.
	Wanted(ctx context.Context, repositoryID int64, digest string) (*registry.Manifest, error)

	RepositoryBlob(ctx context.Context, repositoryID int64, digest string) (int64, error)
	Room(ctx context.Context, repositoryID, size int64) error
	CreateUpload(ctx context.Context, id string, repositoryID int64) error
	FinishUpload(ctx context.Context, u registry.Upload, digest string, size int64) error
	DeleteUpload(ctx context.Context, id string) error
}

// CachedTag is what is known of a tag here.
type CachedTag struct {
	// Digest is "" where there is no such tag.
	Digest string
	// Local says that it was pushed: upstream is not asked.
	Local     bool
	Connector string
	CheckedAt time.Time
}

// Observer is told of what is stored.
type Observer interface {
	BlobCommitted(ctx context.Context, digest string) error
	// ManifestNoted is told of a manifest whose layers may not be here yet.
	ManifestNoted(ctx context.Context, digest, mediaType string, content []byte) error
	// ManifestStored waits for a while for the analysis.
	ManifestStored(ctx context.Context, digest, mediaType string, content []byte) error
}

// Options are the choices of a Service.
type Options struct {
	Now func() time.Time
	Log *slog.Logger
	// Dir is where blobs are while they come; the system's where "".
	Dir string
}

// Service pulls through.
type Service struct {
	store    Store
	blobs    blob.Store
	observer Observer
	box      *secret.Box
	opts     Options
	id       string // of this process, for Via

	group   singleflight.Group
	running sync.WaitGroup
	work    context.Context //nolint:containedctx // the life of fetches, which outlive those who ask
	stop    context.CancelFunc

	mu       sync.Mutex
	clients  map[int64]*client
	attached map[string]remembered
	flights  map[string]*flight
}

type remembered struct {
	list  []*client
	until time.Time
}

// New returns a service. Close ends what it fetches.
func New(store Store, blobs blob.Store, observer Observer, box *secret.Box, opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	s := &Service{store: store, blobs: blobs, observer: observer, box: box, opts: opts, id: strings.ToLower(rand.Text()),
		clients: map[int64]*client{}, attached: map[string]remembered{}, flights: map[string]*flight{}}
	s.work, s.stop = context.WithCancel(context.Background())
	return s
}

// Close ends what is fetched, and waits for that.
func (s *Service) Close() error {
	s.stop()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		c.egress.Close()
	}
	return nil
}

// attachedFor bounds how long a change by another replica goes unnoticed.
const attachedFor = 2 * time.Second

func (s *Service) forget() {
	s.mu.Lock()
	clear(s.attached)
	s.mu.Unlock()
}

// upstreams are the clients of those connectors of a registry that are asked for
// a repository, in their order.
func (s *Service) upstreams(ctx context.Context, registry, repository string) ([]*client, error) {
	now := s.opts.Now()
	s.mu.Lock()
	known, ok := s.attached[registry]
	s.mu.Unlock()
	if !ok || !now.Before(known.until) {
		list, err := s.store.AttachedConnectors(ctx, registry)
		if errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		known = remembered{until: now.Add(attachedFor)}
		for _, c := range list {
			opened, err := s.client(c)
			if err != nil {
				s.opts.Log.ErrorContext(ctx, "connector cannot be used", "connector", c.Name, "error", err)
				continue
			}
			known.list = append(known.list, opened)
		}
		s.mu.Lock()
		if len(s.attached) > 1000 {
			clear(s.attached)
		}
		s.attached[registry] = known
		s.mu.Unlock()
	}
	var admitting []*client
	for _, c := range known.list {
		if c.connector.Admits(repository) {
			admitting = append(admitting, c)
		}
	}
	return admitting, nil
}

// client is the one of a connector as it is now.
func (s *Service) client(c Connector) (*client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.clients[c.ID]; ok && known.connector.Version == c.Version {
		return known, nil
	}
	password, err := s.password(c)
	if err != nil {
		return nil, err
	}
	opened, err := newClient(c, password, s.opts.Now)
	if err != nil {
		return nil, err
	}
	if old, ok := s.clients[c.ID]; ok {
		old.egress.Close()
	}
	s.clients[c.ID] = opened
	return opened, nil
}

// Loops bounds through how many registries a request may come.
const maxHops = 5

// onward is the Via of requests on behalf of one that came with via; "" where it
// must not go on.
func (s *Service) onward(via string) string {
	hops := strings.FieldsFunc(via, func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(hops, s.id) || len(hops) >= maxHops {
		return ""
	}
	return strings.Join(append(hops, s.id), ", ")
}

// Refresh sees to it that what a tag or digest names is here, as new as the
// connectors of the registry want it. It reports whether something changed. It
// returns ErrUnknown where upstream says that a tag is gone, and a *Failure where
// nothing is here and upstream fails.
func (s *Service) Refresh(ctx context.Context, via, registryName, repository, reference string) (changed bool, err error) {
	list, err := s.upstreams(ctx, registryName, repository)
	if err != nil || len(list) == 0 {
		return false, err
	}
	onward := s.onward(via)
	if onward == "" {
		return false, nil
	}
	fresh, err := s.fresh(ctx, list, registryName, repository, reference)
	if err != nil || fresh {
		return false, err
	}
	// One asks for all, and goes on though the first of them leaves.
	answers := s.group.DoChan(registryName+"/"+repository+"@"+reference, func() (any, error) {
		s.running.Add(1)
		defer s.running.Done()
		return s.refresh(s.work, list, registryName, repository, reference, onward)
	})
	select {
	case answer := <-answers:
		changed, _ := answer.Val.(bool)
		return changed, answer.Err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// cached is what is here of a reference.
func (s *Service) cached(ctx context.Context, registryName, repository, reference string) (CachedTag, error) {
	r, err := s.store.Repository(ctx, registryName, repository)
	if errors.Is(err, registry.ErrRepositoryUnknown) || errors.Is(err, registry.ErrRegistryUnknown) {
		return CachedTag{}, nil
	}
	if err != nil {
		return CachedTag{}, err
	}
	if !strings.Contains(reference, ":") {
		return s.store.CachedTag(ctx, r.ID, reference)
	}
	_, err = s.store.Manifest(ctx, r.ID, reference)
	if errors.Is(err, registry.ErrManifestUnknown) {
		return CachedTag{}, nil
	}
	return CachedTag{Digest: reference, Local: true}, err // a digest does not change
}

func (s *Service) fresh(ctx context.Context, list []*client, registryName, repository, reference string) (bool, error) {
	known, err := s.cached(ctx, registryName, repository, reference)
	if err != nil || known.Local {
		return known.Local, err
	}
	return known.Digest != "" && s.opts.Now().Before(known.CheckedAt.Add(list[0].connector.TagAge)), nil
}

func (s *Service) refresh(ctx context.Context, list []*client, registryName, repository, reference, via string) (bool, error) {
	known, err := s.cached(ctx, registryName, repository, reference)
	if err != nil || known.Local {
		return false, err
	}
	var failure error
	for _, c := range list {
		changed, err := s.refreshFrom(ctx, c, known, registryName, repository, reference, via)
		if err == nil {
			return changed, nil
		}
		var failed *Failure
		switch {
		case errors.Is(err, ErrUnknown):
		case errors.As(err, &failed):
			s.opts.Log.WarnContext(ctx, "upstream failed", "connector", c.connector.Name, "repository", registryName+"/"+repository, "reference", reference, "error", err)
			failure = errors.Join(failure, err)
		default:
			return false, err
		}
	}
	if failure == nil {
		return false, fmt.Errorf("%s/%s@%s: %w", registryName, repository, reference, ErrUnknown)
	}
	if known.Digest != "" {
		s.opts.Log.WarnContext(ctx, "upstream cannot be asked: what is here is served", "repository", registryName+"/"+repository, "tag", reference,
			"manifest", known.Digest, "age", s.opts.Now().Sub(known.CheckedAt).Round(time.Second).String())
		return false, nil
	}
	return false, failure
}

func (s *Service) refreshFrom(ctx context.Context, c *client, known CachedTag, registryName, repository, reference, via string) (changed bool, err error) {
	wanted := reference
	if !strings.Contains(reference, ":") {
		digest, err := c.digest(ctx, repository, reference, via)
		if err != nil {
			return false, err
		}
		if digest != "" {
			wanted = digest
		}
	}
	r, err := s.store.EnsureRepository(ctx, registryName, repository)
	if err != nil {
		return false, err
	}
	if known.Digest != "" && wanted == known.Digest {
		return false, s.store.TagChecked(ctx, r.ID, reference)
	}
	m, err := c.manifest(ctx, repository, wanted, via)
	if err != nil {
		return false, err
	}
	tag := ""
	if !strings.Contains(reference, ":") {
		tag = reference
	}
	if err := s.store.CacheManifest(ctx, r.ID, m, tag, c.connector.Name); err != nil {
		var immutable *registry.ImmutableError
		if errors.As(err, &immutable) && known.Digest != "" {
			s.opts.Log.WarnContext(ctx, "upstream moved a tag that must stay", "connector", c.connector.Name, "repository", r.String(), "tag", reference, "manifest", m.Digest)
			return false, s.store.TagChecked(ctx, r.ID, reference)
		}
		return false, err
	}
	// What is in the configuration is shown of an image, and judged by.
	for _, ref := range m.References {
		if ref.Kind == registry.KindConfig && ref.Size <= maxConfig {
			if err := s.have(ctx, r, ref.Digest, via); err != nil {
				s.opts.Log.WarnContext(ctx, "configuration of an image cannot be fetched", "connector", c.connector.Name, "blob", ref.Digest, "error", err)
			}
		}
	}
	if err := s.observer.ManifestNoted(ctx, m.Digest, m.MediaType, m.Content); err != nil {
		return false, fmt.Errorf("manifest %s was stored, but not looked at: %w", m.Digest, err)
	}
	return true, nil
}

const maxConfig = 8 << 20 // bytes

// Pulled takes note of a pull.
func (s *Service) Pulled(ctx context.Context, registryName, repository, digest string) {
	if list, err := s.upstreams(ctx, registryName, repository); err != nil || len(list) == 0 {
		return
	}
	r, err := s.store.Repository(ctx, registryName, repository)
	if err == nil {
		err = s.store.ManifestPulled(ctx, r.ID, digest)
	}
	if err != nil {
		s.opts.Log.ErrorContext(ctx, "pull was not noted", "manifest", digest, "error", err)
	}
}

// Complete fetches all blobs of an image and waits for a while for its analysis.
// It reports false where it can do nothing about what is not known of the image.
func (s *Service) Complete(ctx context.Context, via, registryName, repository string, m *registry.Manifest) (bool, error) {
	list, err := s.upstreams(ctx, registryName, repository)
	onward := s.onward(via)
	if err != nil || len(list) == 0 || onward == "" || m.IsIndex() {
		return false, err
	}
	r, err := s.store.Repository(ctx, registryName, repository)
	if err != nil {
		return false, err
	}
	parsed, err := registry.Parse(m.MediaType, m.Content)
	if err != nil {
		return false, err
	}
	for _, ref := range parsed.References {
		if ref.Optional {
			continue
		}
		if err := s.have(ctx, r, ref.Digest, onward); err != nil {
			return false, err
		}
	}
	return true, s.observer.ManifestStored(ctx, m.Digest, m.MediaType, m.Content)
}

// have sees to it that a blob is in a repository.
func (s *Service) have(ctx context.Context, r registry.Repository, digest, via string) error {
	if _, err := s.store.RepositoryBlob(ctx, r.ID, digest); !errors.Is(err, registry.ErrBlobUnknown) {
		return err
	}
	b, err := s.open(ctx, r, digest, via)
	if err != nil {
		return err
	}
	defer b.Close()
	return b.Wait(ctx)
}

// spool is a file for a blob that is coming.
func (s *Service) spool() (*os.File, error) {
	if s.opts.Dir != "" {
		if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
			return nil, err
		}
	}
	f, err := os.CreateTemp(s.opts.Dir, "upstream-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name()) // it is gone with the last who reads it
}
