package builtin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/source/builtin"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/test/sample"
)

// blobs keeps content by digest.
type blobs struct {
	mu      sync.Mutex
	content map[string][]byte
	opened  map[string]int
}

func newBlobs() *blobs {
	return &blobs{content: make(map[string][]byte), opened: make(map[string]int)}
}

func (b *blobs) put(digest string, content []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.content[digest] = content
}

func (b *blobs) opens(digest string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened[digest]
}

func (b *blobs) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened[digest]++
	c, ok := b.content[digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", digest, os.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(c)), nil
}

func (b *blobs) Exists(_ context.Context, digest string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.content[digest]
	return ok, nil
}

// queue runs each layer once, in the background, as the durable queue does.
type queue struct {
	analyse func(context.Context, string) error
	mu      sync.Mutex
	queued  map[string]bool
	wait    sync.WaitGroup
	images  []string
	held    chan struct{} // jobs wait for it where it is not nil
}

func (q *queue) EnqueueLayer(_ context.Context, digest string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queued[digest] {
		return nil
	}
	q.queued[digest] = true
	q.wait.Go(func() {
		if q.held != nil {
			<-q.held
		}
		if err := q.analyse(context.Background(), digest); err != nil {
			panic(err)
		}
	})
	return nil
}

// EnqueueImage leaves images to the call that found them changed.
func (q *queue) EnqueueImage(_ context.Context, digest, cause string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.images = append(q.images, digest+" "+cause)
	return nil
}

type fixture struct {
	*builtin.Analyser
	store *store.Store
	blobs *blobs
	queue *queue
}

func newFixture(t *testing.T, s *store.Store, opts builtin.Options) fixture {
	t.Helper()
	f := fixture{store: s, blobs: newBlobs(), queue: &queue{queued: make(map[string]bool)}}
	f.Analyser = builtin.New(s, f.blobs, f.queue, opts)
	f.queue.analyse = f.AnalyseLayer
	t.Cleanup(f.queue.wait.Wait) // before the database is closed
	return f
}

func (f fixture) layer(t *testing.T, files ...sample.File) sample.Layer {
	t.Helper()
	l, err := sample.NewLayer("RUN x", files...)
	if err != nil {
		t.Fatal(err)
	}
	f.blobs.put(l.Digest(), l.Content)
	return l
}

// manifest makes an image of the layers.
func (f fixture) manifest(t *testing.T, layers ...sample.Layer) []byte {
	t.Helper()
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
	}
	config := []byte(`{"os":"linux","architecture":"amd64","history":[{"created_by":"ADD base"}]}`)
	f.blobs.put("sha256:config", config)
	m := struct {
		Config descriptor   `json:"config"`
		Layers []descriptor `json:"layers"`
	}{Config: descriptor{"application/vnd.oci.image.config.v1+json", "sha256:config"}}
	for _, l := range layers {
		m.Layers = append(m.Layers, descriptor{"application/vnd.oci.image.layer.v1.tar+gzip", l.Digest()})
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func alpineFiles(version string) []sample.File {
	return []sample.File{
		{Path: "etc/os-release", Content: "ID=alpine\nVERSION_ID=3.7.3\n"},
		{Path: "lib/apk/db/installed", Content: sample.Installed(sample.AlpinePackage{Name: "musl", Version: version, Origin: "musl"})},
	}
}

func TestPushedImageIsJudgedWhenThePushReturns(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		f := newFixture(t, s, builtin.Options{Settle: time.Minute})
		base := f.layer(t, alpineFiles("1.1.18-r3")...)
		if err := f.BlobCommitted(ctx, base.Digest()); err != nil {
			t.Fatal(err)
		}
		if err := f.ManifestStored(ctx, "sha256:image", "m", f.manifest(t, base)); err != nil {
			t.Fatal(err)
		}
		img, err := s.ImageByDigest(ctx, "sha256:image")
		if err != nil {
			t.Fatal(err)
		}
		if img.State != image.Done || img.Packages != 1 || img.Distribution != "alpine:v3.7" || img.Layers[0].CreatedBy != "ADD base" || img.OS != "linux" {
			t.Errorf("got %+v", img)
		}
		f.queue.wait.Wait()
		if n := f.blobs.opens(base.Digest()); n != 2 { // one look at its head, one analysis
			t.Errorf("the layer was opened %d times", n)
		}
		// A second image of the same layer costs no analysis.
		if err := f.ManifestStored(ctx, "sha256:second", "m", f.manifest(t, base)); err != nil {
			t.Fatal(err)
		}
		second, err := s.ImageByDigest(ctx, "sha256:second")
		if err != nil || second.State != image.Done || second.InventoryID != img.InventoryID || f.blobs.opens(base.Digest()) != 2 {
			t.Errorf("second image: %+v, %v", second, err)
		}
	})
}

func TestManifestBeforeAnalysis(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	ctx := context.Background()
	changes := make(chan struct{}, 10)
	f := newFixture(t, s, builtin.Options{Settle: time.Millisecond, OnChange: func() { changes <- struct{}{} }})
	f.queue.held = make(chan struct{})
	base := f.layer(t, alpineFiles("1.1.18-r3")...)
	if err := f.ManifestStored(ctx, "sha256:image", "m", f.manifest(t, base)); err != nil {
		t.Fatal(err)
	}
	if img, err := s.ImageByDigest(ctx, "sha256:image"); err != nil || img.State != image.Pending {
		t.Errorf("before the analysis: %+v, %v", img, err)
	}
	close(f.queue.held)
	f.queue.wait.Wait()
	if img, err := s.ImageByDigest(ctx, "sha256:image"); err != nil || img.State != image.Done {
		t.Errorf("after the analysis: %+v, %v", img, err)
	}
	if len(changes) == 0 {
		t.Error("no change was announced")
	}
}

func TestUnreadableLayerMakesTheImageUnknown(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	ctx := context.Background()
	f := newFixture(t, s, builtin.Options{Settle: time.Minute})
	base := f.layer(t, alpineFiles("1.1.18-r3")...)
	upper := f.layer(t, sample.File{Path: "x", Content: strings.Repeat("unlike any other text ", 1000)})
	upper.Content = upper.Content[:len(upper.Content)-20]
	f.blobs.put(upper.Digest(), upper.Content)
	if err := f.ManifestStored(ctx, "sha256:image", "m", f.manifest(t, base, upper)); err != nil {
		t.Fatal(err)
	}
	img, err := s.ImageByDigest(ctx, "sha256:image")
	if err != nil {
		t.Fatal(err)
	}
	if img.State != image.Failed || !strings.Contains(img.Error, upper.Digest()) {
		t.Errorf("state %s, error %q, want one that names %s", img.State, img.Error, upper.Digest())
	}
	if img.Packages != 1 {
		t.Errorf("the readable layer's packages were lost: %d", img.Packages)
	}
}

func TestIncomparableVersionIsUndetermined(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	ctx := context.Background()
	f := newFixture(t, s, builtin.Options{Settle: time.Minute})
	base := f.layer(t, alpineFiles("not-a-version")...)
	if err := f.ManifestStored(ctx, "sha256:image", "m", f.manifest(t, base)); err != nil {
		t.Fatal(err)
	}
	img, err := s.ImageByDigest(ctx, "sha256:image")
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Warnings) != 1 || img.Warnings[0].Code != "undetermined" || !strings.Contains(img.Warnings[0].Message, "not-a-version") {
		t.Errorf("warnings %+v", img.Warnings)
	}
}

func TestBlobThatIsNoLayerIsLeftAlone(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t, store.Options{}), builtin.Options{})
	f.blobs.put("sha256:config", []byte(`{"os":"linux"}`))
	if err := f.BlobCommitted(context.Background(), "sha256:config"); err != nil {
		t.Fatal(err)
	}
	if len(f.queue.queued) != 0 {
		t.Errorf("queued %v", f.queue.queued)
	}
}

func TestUpperLayerAloneTakesTheDistributionOfItsImages(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	ctx := context.Background()
	f := newFixture(t, s, builtin.Options{Settle: time.Minute})
	base := f.layer(t, alpineFiles("1.1.18-r3")...)
	upper := f.layer(t, sample.File{Path: "lib/apk/db/installed", Content: sample.Installed(sample.AlpinePackage{Name: "zlib", Version: "1.2.11-r1", Origin: "zlib"})})
	digest, err := f.Index(ctx, bytes.NewReader(upper.Content))
	if err != nil || digest != upper.Digest() {
		t.Fatalf("digest %s, %v; want %s", digest, err, upper.Digest())
	}
	if _, err := f.Inventory(ctx, []string{digest}, ""); !errors.Is(err, builtin.ErrNoDistribution) {
		t.Errorf("before any image holds the layer: %v", err)
	}
	if err := f.ManifestStored(ctx, "sha256:image", "m", f.manifest(t, base, upper)); err != nil {
		t.Fatal(err)
	}
	if id, err := f.Inventory(ctx, []string{digest}, ""); err != nil || id == 0 {
		t.Errorf("got %d, %v", id, err)
	}
	if known, err := f.Known(ctx, digest); err != nil || !known {
		t.Errorf("known: %v, %v", known, err)
	}
}

func TestResumeFinishesWhatACrashLeft(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	ctx := context.Background()
	dead := newFixture(t, s, builtin.Options{Settle: time.Millisecond})
	dead.queue.held = make(chan struct{}) // its jobs never ran
	base := dead.layer(t, alpineFiles("1.1.18-r3")...)
	if err := dead.ManifestStored(ctx, "sha256:image", "m", dead.manifest(t, base)); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, s, builtin.Options{})
	f.blobs.content = dead.blobs.content
	if err := f.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	f.queue.wait.Wait()
	if img, err := s.ImageByDigest(ctx, "sha256:image"); err != nil || img.State != image.Done {
		t.Errorf("got %+v, %v", img, err)
	}
	close(dead.queue.held)
	dead.queue.wait.Wait()
}

// TestGivenUpLayer: its image is judged without it and says why; it is not tried
// again until somebody asks for that.
func TestGivenUpLayer(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		f := newFixture(t, s, builtin.Options{Settle: time.Millisecond})
		f.queue.held = make(chan struct{})
		layer := f.layer(t, alpineFiles("1.1.18-r3")...)
		if err := f.ManifestStored(ctx, "sha256:image", "m", f.manifest(t, layer)); err != nil {
			t.Fatal(err)
		}
		if err := f.GiveUp(ctx, layer.Digest(), "it kills whoever reads it"); err != nil {
			t.Fatal(err)
		}
		if img, err := s.ImageByDigest(ctx, "sha256:image"); err != nil || img.State != image.Failed || img.Error != "it kills whoever reads it" {
			t.Errorf("got %+v, %v", img, err)
		}
		if stale, err := s.StaleLayers(ctx, "", "", 10); err != nil || len(stale) != 1 { // of other detectors only
			t.Errorf("got %v, %v", stale, err)
		}
		close(f.queue.held)
		f.queue.wait.Wait() // the job that was under way finds it settled
		clear(f.queue.queued)
		if err := f.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		if len(f.queue.queued) > 0 {
			t.Errorf("a start tries it again: %v", f.queue.queued)
		}
		if n, err := f.TryGivenUp(ctx); err != nil || n != 1 {
			t.Errorf("got %d, %v; want 1", n, err)
		}
		f.queue.wait.Wait()
		if img, err := s.ImageByDigest(ctx, "sha256:image"); err != nil || img.State != image.Done || img.Error != "" {
			t.Errorf("got %+v, %v", img, err)
		}
		// One that was read after all is not given up.
		if err := f.GiveUp(ctx, layer.Digest(), "late"); err != nil {
			t.Fatal(err)
		}
		if img, err := s.ImageByDigest(ctx, "sha256:image"); err != nil || img.State != image.Done {
			t.Errorf("got %+v, %v", img, err)
		}
	})
}
