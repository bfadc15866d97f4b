// Package builtin is the built-in vulnerability source: it analyses layers once
// each, coalesces them into the inventories of images, and has their packages
// matched.
package builtin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/layer"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/sbom"
)

// ErrNoDistribution is returned for packages of an operating system that cannot
// be told, so that their versions mean nothing.
var ErrNoDistribution = errors.New("packages without a distribution")

// Store is what the analyser needs remembered. Errors wrap the store's ErrNotFound
// where a row is missing.
type Store interface {
	LayerStates(ctx context.Context, digests []string, detectors inventory.DetectorSet) (map[string]inventory.State, error)
	Layer(ctx context.Context, digest string, detectors inventory.DetectorSet) (*inventory.Layer, error)
	SaveLayer(ctx context.Context, l *inventory.Layer, detectors inventory.DetectorSet) error
	FailLayer(ctx context.Context, digest string, detectors inventory.DetectorSet, reason string) error
	// GiveUpLayer is FailLayer for one that may be read another day;
	// TakeGivenUp forgets that of at most limit of them, and lists them.
	GiveUpLayer(ctx context.Context, digest string, detectors inventory.DetectorSet, reason string) error
	TakeGivenUp(ctx context.Context, limit int) ([]string, error)
	StaleLayers(ctx context.Context, detectors inventory.DetectorSet, after string, limit int) ([]string, error)

	InventoryID(ctx context.Context, key string) (id int64, known bool, err error)
	SaveInventory(ctx context.Context, key string, img inventory.Image, decide match.Decide) (int64, error)
	DistributionsOfLayer(ctx context.Context, digest string) ([]inventory.Distribution, error)
	DistributionsOfOrigin(ctx context.Context, origin string) ([]inventory.Distribution, error)

	SaveImage(ctx context.Context, img image.Image) error
	SettleImage(ctx context.Context, digest string, state image.State, reason string, inventory int64) error
	ImagesOfLayer(ctx context.Context, digest string) ([]string, error)
	UnfinishedImages(ctx context.Context, after string, limit int) ([]string, error)
	ImageByDigest(ctx context.Context, digest string) (image.Image, error)

	// Bills lists manifests that hold software bills of materials of an image,
	// BillSubjects the manifests of which one is, or says where, such bills are.
	Bills(ctx context.Context, image string, limit int) ([]string, error)
	BillSubjects(ctx context.Context, manifest string) ([]string, error)
	BilledImages(ctx context.Context, after string, limit int) ([]string, error)
	KnownImages(ctx context.Context, digests []string) ([]string, error)
	ManifestByDigest(ctx context.Context, digest string) (mediaType string, content []byte, err error)
}

// Blobs reads stored blobs.
type Blobs interface {
	Open(ctx context.Context, digest string) (io.ReadCloser, error)
	Exists(ctx context.Context, digest string) (bool, error)
}

// Queue has AnalyseLayer called for a layer, and SettleImage for an image, soon,
// once, and again after a crash. The cause of one change of an image differs
// from that of the next.
type Queue interface {
	EnqueueLayer(ctx context.Context, digest string) error
	EnqueueImage(ctx context.Context, digest, cause string) error
}

// Options are the analyser's choices. The zero value is usable.
type Options struct {
	// Detectors; inventory.Detectors() where nil.
	Detectors []inventory.Detector
	// Limits of the layer pass.
	Limits layer.Options
	// Variant tells detectors apart that have other limits; layers are analysed
	// once for each. It is a word, or "".
	Variant string
	// Settle is how long the push of a manifest waits for its analysis, so that
	// the findings are there when it returns; 10 s where zero.
	Settle time.Duration
	// OnChange is called after the findings of some image may have changed.
	OnChange func()
	// OnSettled is called when an image has another inventory, or may be stored
	// in one more place.
	OnSettled func(ctx context.Context, digest string) error
	Logger    *slog.Logger
}

func (o Options) set() inventory.DetectorSet {
	set := inventory.SetOf(o.Detectors)
	if o.Variant != "" {
		set += inventory.DetectorSet(" limits/" + o.Variant)
	}
	return set
}

// Analyser is the built-in vulnerability source.
type Analyser struct {
	store Store
	blobs Blobs
	queue Queue
	opts  Options
	set   inventory.DetectorSet

	mu     sync.Mutex
	change chan struct{} // closed and replaced when a layer or image settles here
	// reading is held while bills are read: they are large beside what is kept.
	reading chan struct{}
}

// New returns an analyser. Layers are analysed when the queue calls AnalyseLayer.
func New(store Store, blobs Blobs, queue Queue, opts Options) *Analyser {
	if opts.Detectors == nil {
		opts.Detectors = inventory.Detectors()
	}
	if opts.Settle == 0 {
		opts.Settle = 10 * time.Second
	}
	if opts.OnChange == nil {
		opts.OnChange = func() {}
	}
	if opts.OnSettled == nil {
		opts.OnSettled = func(context.Context, string) error { return nil }
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return &Analyser{
		store: store, blobs: blobs, queue: queue, opts: opts,
		set: opts.set(), change: make(chan struct{}), reading: make(chan struct{}, 1),
	}
}

// BlobCommitted queues the analysis of a blob that looks like a layer: it is
// called before anyone has said what the blob is for.
func (a *Analyser) BlobCommitted(ctx context.Context, digest string) error {
	content, err := a.blobs.Open(ctx, digest)
	if err != nil {
		return fmt.Errorf("look at blob %s: %w", digest, err)
	}
	defer content.Close()
	head := make([]byte, layer.SniffLength)
	n, err := io.ReadFull(content, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("look at blob %s: %w", digest, err)
	}
	if !layer.Sniff(head[:n]) {
		return nil
	}
	return a.enqueue(ctx, []string{digest})
}

// enqueue queues those of the layers that are not analysed yet.
func (a *Analyser) enqueue(ctx context.Context, digests []string) error {
	states, err := a.store.LayerStates(ctx, digests, a.set)
	if err != nil {
		return err
	}
	for _, d := range digests {
		if _, known := states[d]; known {
			continue
		}
		if err := a.queue.EnqueueLayer(ctx, d); err != nil {
			return fmt.Errorf("queue layer %s: %w", d, err)
		}
	}
	return nil
}

// ManifestStored takes note of a manifest. Where it is an image's, its layers
// are queued unless they are known, and the call returns when the image is
// judged or the settling time is over. Where it holds bills of an image that is
// stored, that image is judged anew.
func (a *Analyser) ManifestStored(ctx context.Context, digest, mediaType string, content []byte) error {
	img, ok, err := image.Parse(digest, mediaType, content)
	if err != nil {
		return err
	}
	if ok {
		if err := a.imageStored(ctx, img); err != nil {
			return err
		}
	}
	subjects, err := a.store.BillSubjects(ctx, digest)
	if err != nil {
		return err
	}
	return a.Reconsider(ctx, subjects, digest+"+")
}

// ManifestNoted is ManifestStored for a manifest whose layers may not be here yet:
// it does not wait for them.
func (a *Analyser) ManifestNoted(ctx context.Context, digest, mediaType string, content []byte) error {
	img, ok, err := image.Parse(digest, mediaType, content)
	if err != nil || !ok {
		return err
	}
	if err := a.noted(ctx, img); err != nil {
		return err
	}
	if _, err := a.settle(ctx, img.Digest); err != nil {
		return err
	}
	a.settled(ctx, img.Digest)
	return nil
}

func (a *Analyser) imageStored(ctx context.Context, img image.Image) error {
	if err := a.noted(ctx, img); err != nil {
		return err
	}
	if err := a.await(ctx, img.Digest); err != nil {
		return err
	}
	a.settled(ctx, img.Digest)
	return nil
}

// noted remembers an image and has those of its layers analysed that are here.
func (a *Analyser) noted(ctx context.Context, img image.Image) error {
	if err := a.describe(ctx, &img); err != nil {
		// The platform and the instructions are for people; the packages are in the layers.
		a.opts.Logger.WarnContext(ctx, "image configuration cannot be read", "image", img.Digest, "error", err)
	}
	if err := a.store.SaveImage(ctx, img); err != nil {
		return err
	}
	stored := make([]string, 0, len(img.Layers))
	for _, l := range img.Layers {
		if exists, err := a.blobs.Exists(ctx, l.Digest); err != nil {
			return fmt.Errorf("image %s: layer %s: %w", img.Digest, l.Digest, err)
		} else if exists {
			stored = append(stored, l.Digest)
		}
	}
	return a.enqueue(ctx, stored)
}

func (a *Analyser) describe(ctx context.Context, img *image.Image) error {
	const limit = 8 << 20 // configurations are a few kB
	content, err := a.blobs.Open(ctx, img.ConfigDigest)
	if err != nil {
		return err
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, limit+1))
	if err != nil {
		return err
	}
	if len(text) > limit {
		return fmt.Errorf("configuration %s is larger than %d bytes", img.ConfigDigest, limit)
	}
	return img.Describe(text)
}

// AnalyseLayer analyses a stored layer unless that was done, and settles the
// images that waited for it. It returns an error only where another try may
// help: a layer that cannot be read is remembered as such.
func (a *Analyser) AnalyseLayer(ctx context.Context, digest string) error {
	states, err := a.store.LayerStates(ctx, []string{digest}, a.set)
	if err != nil {
		return err
	}
	if _, known := states[digest]; !known {
		if err := a.readLayer(ctx, digest); err != nil {
			return err
		}
		a.announce()
	}
	images, err := a.store.ImagesOfLayer(ctx, digest)
	if err != nil {
		return err
	}
	for _, img := range images {
		if _, err := a.settle(ctx, img); err != nil {
			return err
		}
	}
	return nil
}

func (a *Analyser) readLayer(ctx context.Context, digest string) error {
	content, err := a.blobs.Open(ctx, digest)
	if err != nil {
		return fmt.Errorf("layer %s: %w", digest, err)
	}
	defer content.Close()
	analysed, err := inventory.Analyse(ctx, content, digest, a.opts.Detectors, a.opts.Limits)
	switch {
	case err == nil:
		return a.store.SaveLayer(ctx, analysed, a.set)
	case layer.Permanent(err):
		return a.store.FailLayer(ctx, digest, a.set, err.Error())
	}
	return err
}

// settle stores an image's inventory once all its layers are analysed, and
// reports whether that is so.
func (a *Analyser) settle(ctx context.Context, digest string) (bool, error) {
	// What is written may be out of date by then: of two that settle an image, the
	// one that writes last sees what the other saw, or is followed by a job.
	const tries = 5
	for range tries {
		settled, changed, err := a.settleOnce(ctx, digest)
		if err != nil || !settled || !changed {
			return settled, err
		}
	}
	return true, nil
}

func (a *Analyser) settleOnce(ctx context.Context, digest string) (settled, changed bool, err error) {
	img, err := a.store.ImageByDigest(ctx, digest)
	if err != nil {
		return false, false, err
	}
	chain, err := a.chain(ctx, img.Layers)
	if err != nil || !chain.complete {
		return false, false, err
	}
	if chain.bills, err = a.store.Bills(ctx, digest, maxBills+1); err != nil {
		return false, false, err
	}
	id, err := a.save(ctx, chain)
	if err != nil {
		return false, false, fmt.Errorf("image %s: %w", digest, err)
	}
	state := image.Done
	if chain.problem != "" {
		state = image.Failed
	}
	if img.State == state && img.InventoryID == id && img.Error == chain.problem {
		return true, false, nil
	}
	if err := a.store.SettleImage(ctx, digest, state, chain.problem, id); err != nil {
		return false, false, err
	}
	a.announce()
	a.settled(ctx, digest)
	return true, true, nil
}

func (a *Analyser) settled(ctx context.Context, digest string) {
	if err := a.opts.OnSettled(ctx, digest); err != nil {
		a.opts.Logger.ErrorContext(ctx, "image was settled, but not all that follows was done", "image", digest, "error", err)
	}
}

// chain is a chain of layers with how far their analyses are.
type chain struct {
	digests []string
	// unread holds, by position, why a layer's content is not in the inventory.
	unread map[int]string
	// foreign holds positions of layers that are not stored here.
	foreign  map[int]bool
	complete bool
	// problem names the first layer that cannot be read.
	problem string
	// bills are the digests of manifests that hold bills of the image.
	bills []string
}

func (a *Analyser) chain(ctx context.Context, layers []image.Layer) (chain, error) {
	c := chain{unread: make(map[int]string), foreign: make(map[int]bool), complete: true}
	for _, l := range layers {
		c.digests = append(c.digests, l.Digest)
	}
	states, err := a.store.LayerStates(ctx, c.digests, a.set)
	if err != nil {
		return chain{}, err
	}
	for i, l := range layers {
		state, known := states[l.Digest]
		switch {
		case known && state.Failed == "":
		case known:
			c.unread[i] = state.Failed
			if c.problem == "" {
				c.problem = state.Failed
			}
		case l.Foreign:
			exists, err := a.blobs.Exists(ctx, l.Digest)
			if err != nil {
				return chain{}, fmt.Errorf("layer %s: %w", l.Digest, err)
			}
			if exists {
				c.complete = false
				continue
			}
			c.foreign[i] = true
			c.unread[i] = "the layer is kept elsewhere and was not read"
		default:
			c.complete = false
		}
	}
	return c, nil
}

// save stores the inventory of a chain and returns its id.
func (a *Analyser) save(ctx context.Context, c chain) (int64, error) {
	key := a.key(c, "")
	if id, known, err := a.store.InventoryID(ctx, key); err != nil || known {
		return id, err
	}
	if len(c.bills) > 0 {
		select {
		case a.reading <- struct{}{}:
			defer func() { <-a.reading }()
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if id, known, err := a.store.InventoryID(ctx, key); err != nil || known {
			return id, err
		}
	}
	img, err := a.coalesce(ctx, c)
	if err != nil {
		return 0, err
	}
	return a.store.SaveInventory(ctx, key, img, match.Package)
}

// key identifies an inventory: the detectors, the chain with what could not be
// read, the bills, and the distribution where it was inferred from elsewhere.
func (a *Analyser) key(c chain, inferred string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", a.set, inferred)
	for i, d := range c.digests {
		mark := ""
		if c.unread[i] != "" {
			mark = "!"
		}
		fmt.Fprintf(h, "%s%s\n", mark, d)
	}
	for _, d := range c.bills {
		fmt.Fprintf(h, "bill/%d %s\n", sbom.Revision, d)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (a *Analyser) coalesce(ctx context.Context, c chain) (inventory.Image, error) {
	layers := make([]*inventory.Layer, len(c.digests))
	for i, d := range c.digests {
		if reason := c.unread[i]; reason != "" {
			code := unreadable
			if c.foreign[i] {
				code = "foreign"
			}
			layers[i] = &inventory.Layer{Digest: d, Warnings: []inventory.Warning{{Code: code, Message: reason}}}
			continue
		}
		var err error
		if layers[i], err = a.store.Layer(ctx, d, a.set); err != nil {
			return inventory.Image{}, err
		}
	}
	img := inventory.Coalesce(layers)
	if err := a.addBills(ctx, &img, c); err != nil {
		return inventory.Image{}, err
	}
	img.Warnings = append(img.Warnings, Undetermined(img.Packages)...)
	return img, nil
}
