package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory/bundle"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/alpine"
	"github.com/pratique/pratique/internal/advisory/feed/amazon"
	"github.com/pratique/pratique/internal/advisory/feed/azure"
	"github.com/pratique/pratique/internal/advisory/feed/debian"
	"github.com/pratique/pratique/internal/advisory/feed/epss"
	"github.com/pratique/pratique/internal/advisory/feed/kev"
	"github.com/pratique/pratique/internal/advisory/feed/nvd"
	"github.com/pratique/pratique/internal/advisory/feed/oracle"
	"github.com/pratique/pratique/internal/advisory/feed/osv"
	"github.com/pratique/pratique/internal/advisory/feed/photon"
	"github.com/pratique/pratique/internal/advisory/feed/redhat"
	"github.com/pratique/pratique/internal/advisory/feed/suse"
	"github.com/pratique/pratique/internal/advisory/feed/wolfi"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/target"
)

// Feeds are the feeds that this installation keeps up to date.
type Feeds struct {
	updater *feed.Updater
	fetcher *feed.Fetcher
	store   *store.Store
	program string // its version
	spool   string // folder for temporary files
	now     func() time.Time
	// own is set where the store is not shared with a server.
	own     bool
	changed func()
}

// OpenFeeds opens what `pratique feeds` needs, beside a server or without one.
func OpenFeeds(ctx context.Context, storage config.Storage, feeds config.Feeds, opts Options) (*Feeds, error) {
	if err := os.MkdirAll(storage.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	s, err := store.Open(ctx, storage.DatabaseURL(), store.Options{Now: opts.Now})
	if err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if err := rekey(ctx, s, opts.Log); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	f, err := newFeeds(s, feeds, storage.Data+"/tmp", opts)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	f.own = true
	return f, nil
}

func newFeeds(s *store.Store, c config.Feeds, spool string, opts Options) (*Feeds, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return nil, fmt.Errorf("folder for documents: %w", err)
	}
	redirects := make(map[string]string, len(c.FeedsRedirect))
	for _, r := range c.FeedsRedirect {
		from, to, _ := strings.Cut(r, "=")
		redirects[from] = to
	}
	fetcher, err := feed.NewFetcher(feed.FetcherOptions{Mirror: c.FeedsMirror, Redirects: redirects, TempDir: spool, UserAgent: "pratique/" + opts.Version})
	if err != nil {
		return nil, err
	}
	chosen, err := choose(publishers(c), c)
	if err != nil {
		return nil, errors.Join(err, fetcher.Close())
	}
	return &Feeds{
		updater: feed.New(s, fetcher, chosen, match.Package, feed.Options{Now: opts.Now, Log: opts.Log}),
		fetcher: fetcher, store: s, program: opts.Version, spool: spool, now: opts.Now, changed: func() {},
	}, nil
}

// publishers are all feeds that there are.
func publishers(c config.Feeds) []feed.Feed {
	return append([]feed.Feed{
		debian.New(), alpine.New(), wolfi.New(), wolfi.NewChainguard(),
		redhat.New(), redhat.NewRepositories(), oracle.New(), amazon.New(), suse.New(), azure.New(), photon.New(),
		nvd.New(nvd.Options{Key: c.NVDAPIKey}), epss.New(), kev.New(),
	}, osv.Feeds()...)
}

// choose leaves the feeds that the settings name, and have not switched off.
func choose(all []feed.Feed, c config.Feeds) ([]feed.Feed, error) {
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.Name()
	}
	for _, list := range [][]string{c.Feeds, c.FeedsOff} {
		for _, name := range list {
			if !slices.Contains(names, name) {
				return nil, fmt.Errorf("feeds: %q: %w; there are %s", name, feed.ErrUnknown, strings.Join(names, ", "))
			}
		}
	}
	return slices.DeleteFunc(all, func(f feed.Feed) bool {
		return len(c.Feeds) > 0 && !slices.Contains(c.Feeds, f.Name()) || slices.Contains(c.FeedsOff, f.Name())
	}), nil
}

// Status says how current each feed is.
func (f *Feeds) Status(ctx context.Context) ([]feed.Status, error) { return f.updater.Status(ctx) }

// Update brings feeds up to date, all where none is named.
func (f *Feeds) Update(ctx context.Context, request feed.Request) ([]feed.Result, error) {
	defer f.changed()
	return f.updater.Update(ctx, request)
}

// BundleIn is the prefix of a place for bundles that is in a registry.
const BundleIn = "oci:"

// maxBundle bounds a bundle that is pulled from a registry, in bytes.
const maxBundle = 16 << 30

// Export writes what is stored of the feeds to a file, or to a registry where
// the place is "oci:HOST/REPOSITORY:TAG", as a bundle that the key in a file
// signs. The key is made where there is none.
func (f *Feeds) Export(ctx context.Context, place, keyFile string, remote target.Remote) (m bundle.Manifest, madeKey bool, err error) {
	key, madeKey, err := bundle.SigningKey(keyFile)
	if err != nil {
		return m, false, err
	}
	folder := filepath.Dir(place)
	ref, inRegistry := strings.CutPrefix(place, BundleIn)
	if inRegistry {
		folder = f.spool
	}
	out, err := os.CreateTemp(folder, ".pratique-bundle-")
	if err != nil {
		return m, madeKey, fmt.Errorf("export: %w", err)
	}
	// Nobody finds half a bundle under its name.
	defer func() {
		err = errors.Join(err, ignore(out.Close(), os.ErrClosed), ignore(os.Remove(out.Name()), os.ErrNotExist))
	}()
	if m, err = bundle.Export(ctx, out, f.store, f.updater.Names(), key, f.program, f.spool, f.now()); err != nil {
		return m, madeKey, err
	}
	if inRegistry {
		size, err := out.Seek(0, io.SeekEnd)
		if err == nil {
			_, err = out.Seek(0, io.SeekStart)
		}
		if err != nil {
			return m, madeKey, fmt.Errorf("export: %w", err)
		}
		_, err = target.PushArtifact(ctx, ref, bundle.MediaType, out, size, remote)
		return m, madeKey, err
	}
	if err := errors.Join(out.Chmod(0o644), out.Sync(), out.Close()); err != nil {
		return m, madeKey, fmt.Errorf("export: %w", err)
	}
	if err := os.Rename(out.Name(), place); err != nil {
		return m, madeKey, fmt.Errorf("export: %w", err)
	}
	return m, madeKey, nil
}

func ignore(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

// Import stores the bundle in a file, or in a registry as for Export, once its
// signature by the public key in a file was verified.
func (f *Feeds) Import(ctx context.Context, place, publicKey string, remote target.Remote, opts bundle.Options) (_ bundle.Result, err error) {
	key, err := bundle.PublicKey(publicKey)
	if err != nil {
		return bundle.Result{}, err
	}
	var content *os.File
	if ref, inRegistry := strings.CutPrefix(place, BundleIn); inRegistry {
		if content, err = os.CreateTemp(f.spool, "pratique-bundle-"); err != nil {
			return bundle.Result{}, fmt.Errorf("import: %w", err)
		}
		defer func() { err = errors.Join(err, content.Close(), os.Remove(content.Name())) }()
		if err := target.PullArtifact(ctx, ref, bundle.MediaType, content, maxBundle, remote); err != nil {
			return bundle.Result{}, fmt.Errorf("import: %w", err)
		}
	} else {
		if content, err = os.Open(place); err != nil {
			return bundle.Result{}, fmt.Errorf("import: %w", err)
		}
		defer func() { err = errors.Join(err, content.Close()) }()
	}
	info, err := content.Stat()
	if err != nil {
		return bundle.Result{}, fmt.Errorf("import: %w", err)
	}
	b, err := bundle.Open(content, info.Size(), key)
	if err != nil {
		return bundle.Result{}, fmt.Errorf("import %s: %w", place, err)
	}
	defer f.changed()
	return b.Import(ctx, f.store, match.Package, opts)
}

// Close releases what the feeds hold.
func (f *Feeds) Close() error {
	err := f.fetcher.Close()
	if f.own {
		err = errors.Join(err, f.store.Close())
	}
	return err
}

// feedJobs is the feeds as the REST interface sees them.
type feedJobs struct {
	*Feeds
	queue *job.Queue
	watch *feedWatch
}

func (f feedJobs) Stale(ctx context.Context, statuses []feed.Status) (map[string]string, error) {
	return f.watch.stale(ctx, statuses)
}

func (f feedJobs) Enqueue(ctx context.Context, names []string, acceptLoss bool) (int64, error) {
	for _, name := range names {
		if !slices.Contains(f.updater.Names(), name) {
			return 0, fmt.Errorf("feed %q: %w", name, feed.ErrUnknown)
		}
	}
	key := strings.Join(names, ",")
	if acceptLoss {
		key += " accept loss"
	}
	return f.queue.Enqueue(ctx, updateFeeds, key, feedsPayload{Feeds: names, AcceptLoss: acceptLoss}, job.EnqueueOptions{})
}

// enqueueFirst has those feeds updated of which nothing is stored, so that a new
// installation, or one whose advisories a migration made anew, need not wait for
// the schedule.
func (f feedJobs) enqueueFirst(ctx context.Context) error {
	statuses, err := f.Status(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range statuses {
		if len(s.Parts) == 0 {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	_, err = f.Enqueue(ctx, names, false)
	return err
}

// isClosed reports a listener that the server closed.
func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
