// Package indexing fetches the layers that clients of the Clair APIs name, from
// where the client says, and has them analysed.
//
// It must not know a wire format.
package indexing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/clairapi/throttle"
	"github.com/pratique/pratique/internal/egress"
	"github.com/pratique/pratique/internal/source/builtin"
)

// What can go wrong, besides the errors of clairapi, layer.ErrCorrupt,
// layer.ErrLimit and builtin.ErrNoDistribution.
var (
	// ErrDownload is returned where the layer cannot be had; it wraps an *egress.Error.
	ErrDownload = errors.New("layer cannot be downloaded")
	// ErrDigest is returned where the bytes are not those that the name promises.
	ErrDigest = errors.New("layer has another digest than its name")
	// ErrBusy is returned where too many layers wait already.
	ErrBusy = errors.New("too many layers are being indexed")
	// ErrRate is returned where a client has had too much downloaded of late.
	ErrRate = errors.New("too many downloads for this client")
	// ErrPending is returned where the indexing goes on after the context ended.
	ErrPending = errors.New("layer is still being indexed")
	// ErrPanic is returned where the analysis broke down; its text is for the log only.
	ErrPanic = errors.New("panic")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("shutting down")
)

// Indexer analyses layers.
type Indexer interface {
	// Index analyses the layer read from r, compressed or not, and returns the
	// digest of its bytes. Content that cannot be read gives layer.ErrCorrupt
	// or layer.ErrLimit.
	Index(ctx context.Context, r io.Reader) (digest string, err error)
	// Known reports whether a layer was analysed by the present detectors.
	Known(ctx context.Context, digest string) (bool, error)
	// Inventory coalesces a chain of analysed layers, base first, has its
	// packages matched and returns its id, the same for the same chain. It
	// returns builtin.ErrNoDistribution for packages that no distribution can
	// be found for, which layers from the same origin, a repository's URL, may
	// help to find.
	Inventory(ctx context.Context, chain []string, origin string) (id int64, err error)
	// ManifestInventory is Inventory for the layers of an image, which need no
	// distribution.
	ManifestInventory(ctx context.Context, layers []string) (id int64, err error)
	// State names the present detectors.
	State() string
}

// Store keeps named layers.
type Store interface {
	// ClairChain returns the layers that lead to name, base first, name last;
	// clairapi.ErrNotFound where name is unknown.
	ClairChain(ctx context.Context, name string) ([]clairapi.Layer, error)
	// SaveClairLayer keeps a layer. One that is known keeps its first parent,
	// and all else too where l has another. It returns clairapi.ErrUnknownParent
	// or clairapi.ErrChainTooLong.
	SaveClairLayer(ctx context.Context, l clairapi.Layer) error
	// ClairManifest returns a manifest, or clairapi.ErrNotFound.
	ClairManifest(ctx context.Context, hash string) (clairapi.Manifest, error)
	// SaveClairManifest keeps a manifest in place of what was known of it.
	SaveClairManifest(ctx context.Context, m clairapi.Manifest) error
}

// Options are the choices that New leaves to its caller. The zero value is usable.
type Options struct {
	// Downloads is how many layers are fetched and analysed at a time; 4 where zero.
	Downloads int
	// Queue is how many more may wait; 16 where zero, none where negative.
	Queue int
	// Fetches bounds how often each client may have something downloaded; nil is
	// no bound.
	Fetches *throttle.Throttle
	// Folder holds layers that may be read as files; "" is none, which is how it
	// should be: a client of the API could otherwise read the server's files.
	Folder string
	// Logger; slog.Default() where nil.
	Logger *slog.Logger
}

// Service indexes named layers. It is safe for use by several goroutines.
type Service struct {
	indexer Indexer
	store   Store
	client  *egress.Client
	opts    Options
	// layers are those being fetched for manifests, by hash.
	layers singleflight.Group

	ctx    context.Context //nolint:containedctx // of the indexing, which outlives requests
	cancel context.CancelFunc
	slots  chan struct{}

	mu      sync.Mutex
	flights map[string]*flight
	closed  bool
	running sync.WaitGroup
}

// flight is a layer being indexed.
type flight struct {
	done chan struct{}
	err  error // set before done is closed
	// waiting counts the requests that want the outcome; guarded by Service.mu.
	waiting int
}

// New returns a service that downloads with client. Close ends it.
func New(indexer Indexer, store Store, client *egress.Client, opts Options) *Service {
	if opts.Downloads == 0 {
		opts.Downloads = 4
	}
	if opts.Queue == 0 {
		opts.Queue = 16
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	s := &Service{
		indexer: indexer, store: store, client: client, opts: opts,
		slots: make(chan struct{}, opts.Downloads), flights: make(map[string]*flight),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Request asks for a layer to be indexed.
type Request struct {
	Name string
	// URL is where the layer is, Header what is sent there.
	URL    string
	Header map[string]string
	// ParentName is "" for a base layer.
	ParentName string
	Format     string
	// Client is who asks, for the bound on downloads.
	Client string `json:"-"`
}

// Index has a layer indexed unless its name is known, and waits for it. Where
// ctx ends first the indexing goes on and the error is ErrPending: a later
// request for the layer finds it done, or joins.
func (s *Service) Index(ctx context.Context, r Request) error {
	if !clairapi.ValidName(r.Name) {
		return clairapi.ErrName
	}
	if fresh, err := s.fresh(ctx, r.Name); err != nil || fresh {
		return err
	}
	key, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("layer %s: %w", r.Name, err)
	}
	return s.await(ctx, "layer "+string(key), r.Name, func(ctx context.Context) error { return s.index(ctx, r) })
}

// await runs work unless the same is under way, and waits for it. Where ctx
// ends first the work goes on.
func (s *Service) await(ctx context.Context, key, name string, work func(context.Context) error) error {
	f, err := s.join(key, name, work)
	if err != nil {
		return err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	default:
		f.waiting--
		return fmt.Errorf("%w: %w", ErrPending, ctx.Err())
	}
}

// fresh reports whether the layer is indexed by the present detectors. Where
// another way has brought its analyses up to date, its inventory follows.
func (s *Service) fresh(ctx context.Context, name string) (bool, error) {
	chain, err := s.store.ClairChain(ctx, name)
	if errors.Is(err, clairapi.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if chain[len(chain)-1].Detectors == s.indexer.State() {
		return true, nil
	}
	digests := digestsOf(chain)
	if known, err := s.known(ctx, digests); err != nil || !known {
		return false, err
	}
	id, err := s.indexer.Inventory(ctx, digests, chain[len(chain)-1].Origin)
	if errors.Is(err, builtin.ErrNoDistribution) {
		// It had one when it was indexed, inferred from images that are gone.
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("layer %s: %w", name, err)
	}
	l := chain[len(chain)-1]
	l.InventoryID, l.Detectors = id, s.indexer.State()
	return true, s.store.SaveClairLayer(ctx, l)
}

func (s *Service) known(ctx context.Context, digests []string) (bool, error) {
	for _, d := range digests {
		if known, err := s.indexer.Known(ctx, d); err != nil || !known {
			return false, err
		}
	}
	return true, nil
}

func digestsOf(chain []clairapi.Layer) []string {
	digests := make([]string, len(chain))
	for i, l := range chain {
		digests[i] = l.Digest
	}
	return digests
}

// join returns the flight of an equal request, or starts one.
func (s *Service) join(key, name string, work func(context.Context) error) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if f := s.flights[key]; f != nil {
		f.waiting++
		return f, nil
	}
	if len(s.flights) >= s.opts.Downloads+max(s.opts.Queue, 0) {
		return nil, fmt.Errorf("%w: %d", ErrBusy, len(s.flights))
	}
	f := &flight{done: make(chan struct{}), waiting: 1}
	s.flights[key] = f
	s.running.Go(func() {
		err := s.run(name, work)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.flights, key)
		f.err = err
		close(f.done)
		if err != nil && f.waiting == 0 {
			s.opts.Logger.Warn("could not be indexed, and its client has gone", "name", name, "error", err)
		}
	})
	return f, nil
}

func (s *Service) run(name string, work func(context.Context) error) (err error) {
	defer func() {
		// The bytes are foreign: what they bring down is this layer only.
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %w: %v\n%s", name, ErrPanic, p, debug.Stack())
		}
	}()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-s.ctx.Done():
		return ErrClosed
	}
	if err := work(s.ctx); err != nil {
		if s.ctx.Err() != nil {
			return ErrClosed
		}
		return err
	}
	return nil
}

// Close refuses new layers, waits for those under way until ctx ends, then
// cancels them. It returns when none runs any more.
func (s *Service) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	defer s.cancel()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		s.running.Wait()
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		s.cancel()
		<-idle
	}
}
