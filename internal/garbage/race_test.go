package garbage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/garbage"
	"github.com/pratique/pratique/internal/oci"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	grace        = 24 * time.Hour
)

// all lets everybody do everything, and observes nothing.
type all struct{}

func (all) Authorize(*http.Request, ...auth.Access) (auth.Principal, error) {
	return auth.Principal{UserID: 1, Name: "admin"}, nil
}
func (all) May(context.Context, auth.Principal, auth.Access) (bool, error) { return true, nil }
func (all) Check(context.Context, policy.Pull) (policy.Verdict, error) {
	return policy.Verdict{}, nil
}
func (all) BlobCommitted(context.Context, string) error                   { return nil }
func (all) ManifestStored(context.Context, string, string, []byte) error  { return nil }
func (all) ManifestDeleted(context.Context, string, string, []byte) error { return nil }

// clock is ahead of the disk's, so that no blob is too young to be deleted.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

var errCrash = errors.New("the process was killed")

// faulty loses its process at some calls: what follows of the request, or of
// the collection, does not happen. Its sides are before and after the call.
type faulty struct {
	share  float64
	struck *atomic.Int64
	days   int // in the trash
}

func (f faulty) strike() error {
	if rand.Float64() < f.share {
		f.struck.Add(1)
		return errCrash
	}
	return nil
}

// faultyStore is what a handler or a collector sees of the store.
type faultyStore struct {
	*store.Store
	faulty
}

func (s faultyStore) FinishUpload(ctx context.Context, u registry.Upload, digest string, size int64) error {
	return errors.Join(or(s.strike(), func() error { return s.Store.FinishUpload(ctx, u, digest, size) }), s.strike())
}

func (s faultyStore) PutManifest(ctx context.Context, id int64, m *registry.Manifest, tags []string) error {
	return or(s.strike(), func() error { return s.Store.PutManifest(ctx, id, m, tags) })
}

// DeleteManifest puts some manifests into the trash.
func (s faultyStore) DeleteManifest(ctx context.Context, id int64, digest string, d registry.Deletion) ([]string, error) {
	if rand.IntN(4) == 0 {
		d.Days = s.days
	}
	return s.Store.DeleteManifest(ctx, id, digest, d)
}

func (s faultyStore) UnlinkUnreferenced(ctx context.Context, id int64, before time.Time) (int, error) {
	n, err := s.Store.UnlinkUnreferenced(ctx, id, before)
	return n, errors.Join(err, s.strike())
}

func (s faultyStore) LinkedBlobs(ctx context.Context, digests []string) (map[string]bool, error) {
	linked, err := s.Store.LinkedBlobs(ctx, digests)
	return linked, errors.Join(err, s.strike())
}

func or(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

type faultyBlobs struct {
	blob.Store
	faulty
}

func (b faultyBlobs) Commit(ctx context.Context, id, digest string) (int64, error) {
	size, err := b.Store.Commit(ctx, id, digest)
	return size, errors.Join(err, b.strike())
}

func (b faultyBlobs) Remove(ctx context.Context, digest string, unwanted func(context.Context) (bool, error)) (bool, error) {
	removed, err := b.Store.Remove(ctx, digest, unwanted)
	return removed, errors.Join(err, b.strike())
}

// replica is one process of a server.
type replica struct {
	handler   http.Handler
	collector *garbage.Collector
}

// yard is several replicas over one database and one folder.
type yard struct {
	t        *testing.T
	clock    *clock
	store    *store.Store
	blobs    *blob.Dir
	root     string
	replicas []replica
	struck   atomic.Int64
	requests atomic.Int64
	restored atomic.Int64

	// session is held for reading from when a client is told of a blob to when
	// it has pushed a manifest, and for writing while the clock jumps.
	session sync.RWMutex

	mu sync.Mutex
	// pushed are the manifests that were answered, by repository and digest: what
	// they refer to.
	pushed map[string]map[string][]string
	pins   map[string]*sync.Mutex // per repository and manifest

	// tell is told of what is done, and choose chooses the repository.
	tell   func(what, repository, digest string, parts []string)
	choose func() string
}

func newYardAt(t *testing.T, location, root string, replicas int, share float64, days int) *yard {
	t.Helper()
	y := &yard{t: t, clock: &clock{}, root: root, pushed: map[string]map[string][]string{}, pins: map[string]*sync.Mutex{}}
	y.clock.ahead.Store(int64(3 * grace))
	y.tell = func(string, string, string, []string) {}
	y.choose = func() string { return repositories[rand.IntN(len(repositories))] }
	for i := range replicas {
		s, err := store.Open(t.Context(), location, store.Options{Now: y.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		blobs, err := blob.NewDir(y.root, blob.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			y.store, y.blobs = s, blobs
			for _, name := range []string{"main", "other"} {
				if _, err := s.CreateRegistry(t.Context(), registry.Registry{Name: name}); err != nil && !errors.Is(err, registry.ErrRegistryExists) {
					t.Fatal(err)
				}
			}
		}
		faults := faulty{share, &y.struck, days}
		y.replicas = append(y.replicas, replica{
			handler: oci.New(faultyStore{s, faults}, faultyBlobs{blobs, faults}, all{}, all{}, all{},
				oci.Options{Now: y.clock.Now, GarbageGrace: grace, Logger: slog.New(slog.DiscardHandler)}),
			collector: garbage.New(faultyStore{s, faults}, faultyBlobs{blobs, faults}, garbage.Options{Now: y.clock.Now, Grace: grace}),
		})
	}
	return y
}

func (y *yard) do(method, path string, body []byte, header ...string) *httptest.ResponseRecorder {
	y.requests.Add(1)
	request := httptest.NewRequest(method, "/v2/"+path, bytes.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	y.replicas[rand.IntN(len(y.replicas))].handler.ServeHTTP(w, request)
	return w
}

func sum(content []byte) string {
	h := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(h[:])
}

var repositories = []string{"main/a", "main/b", "other/c"}

// content is one of few blobs, so that clients meet.
func content(i int) []byte { return []byte(fmt.Sprintf("content %d", i)) }

const contents = 8

// bring makes a blob readable in a repository, in one of the ways that clients
// know, and reports whether it was told that it is.
func (y *yard) bring(repository string, bytes []byte) bool {
	digest := sum(bytes)
	switch rand.IntN(4) {
	case 0, 1: // look first
		if w := y.do("HEAD", repository+"/blobs/"+digest, nil); w.Code == http.StatusOK {
			return true
		}
	case 2: // mount, from a named repository or any
		query := "?mount=" + digest
		if rand.IntN(2) == 0 {
			query += "&from=" + repositories[rand.IntN(len(repositories))]
		}
		w := y.do("POST", repository+"/blobs/uploads/"+query, nil)
		if w.Code == http.StatusCreated {
			return true
		}
		if w.Code == http.StatusAccepted && rand.IntN(2) == 0 { // go on with the upload
			return y.do("PUT", strings.TrimPrefix(w.Header().Get("Location"), "/v2/")+"?digest="+digest, bytes).Code == http.StatusCreated
		}
	}
	if rand.IntN(2) == 0 {
		return y.do("POST", repository+"/blobs/uploads/?digest="+digest, bytes).Code == http.StatusCreated
	}
	w := y.do("POST", repository+"/blobs/uploads/", nil)
	if w.Code != http.StatusAccepted {
		return false
	}
	return y.do("PUT", strings.TrimPrefix(w.Header().Get("Location"), "/v2/")+"?digest="+digest, bytes).Code == http.StatusCreated
}

// push pushes an image as a client does; whatever it was told is there must be
// there when its manifest comes.
func (y *yard) push(worker int) {
	y.session.RLock()
	defer y.session.RUnlock()
	repository := y.choose()
	first := rand.IntN(contents)
	parts := [][]byte{content(first), content((first + 1 + rand.IntN(2)) % contents)}
	for _, part := range parts {
		if !y.bring(repository, part) {
			return
		}
	}
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	m, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": descriptor{"application/vnd.oci.image.config.v1+json", sum(parts[0]), len(parts[0])},
		"layers": []descriptor{{"application/vnd.oci.image.layer.v1.tar", sum(parts[1]), len(parts[1])}},
	})
	if err != nil {
		y.t.Error(err)
		return
	}
	digest := sum(m)
	// Of one manifest in one repository, one client at a time pushes or deletes:
	// else nobody can say what must be there afterwards.
	pin := y.pin(repository, digest)
	pin.Lock()
	defer pin.Unlock()
	w := y.do("PUT", repository+"/manifests/"+digest, m, "Content-Type", manifestType)
	switch {
	case w.Code == http.StatusCreated:
		texts := []string{string(parts[0]), string(parts[1])}
		y.note(repository, digest, texts)
		y.tell("PUSHED", repository, digest, texts)
		for _, part := range parts {
			y.read("just after its push by "+strconv.Itoa(worker), repository, part)
		}
	case w.Code == http.StatusInternalServerError:
	default:
		y.t.Errorf("a manifest whose blobs the client was told of: %d %s", w.Code, w.Body)
	}
}

// note takes note of a manifest that is there, or for nil is not.
func (y *yard) note(repository, digest string, parts []string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if parts == nil {
		delete(y.pushed[repository], digest)
		return
	}
	if y.pushed[repository] == nil {
		y.pushed[repository] = map[string][]string{}
	}
	y.pushed[repository][digest] = parts
}

func (y *yard) pin(repository, digest string) *sync.Mutex {
	y.mu.Lock()
	defer y.mu.Unlock()
	name := repository + "@" + digest
	if y.pins[name] == nil {
		y.pins[name] = new(sync.Mutex)
	}
	return y.pins[name]
}

// read checks that a blob of a stored manifest is there.
func (y *yard) read(when, repository string, want []byte) {
	w := y.do("GET", repository+"/blobs/"+sum(want), nil)
	if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), want) {
		y.t.Errorf("LOST %s: %s of %s: %d %s", when, sum(want), repository, w.Code, w.Body)
	}
}

// some returns a manifest that is stored, with its repository, pinned.
func (y *yard) some() (repository, digest string, parts []string, pin *sync.Mutex) {
	y.mu.Lock()
	repository = y.choose()
	for digest = range y.pushed[repository] {
		break
	}
	y.mu.Unlock()
	if digest == "" {
		return "", "", nil, nil
	}
	pin = y.pin(repository, digest)
	pin.Lock()
	y.mu.Lock()
	parts = y.pushed[repository][digest]
	y.mu.Unlock()
	if parts == nil {
		pin.Unlock()
		return "", "", nil, nil
	}
	return repository, digest, parts, pin
}

func (y *yard) pull() {
	repository, digest, parts, pin := y.some()
	if pin == nil {
		return
	}
	defer pin.Unlock()
	if w := y.do("GET", repository+"/manifests/"+digest, nil); w.Code != http.StatusOK {
		y.t.Errorf("LOST manifest %s of %s: %d", digest, repository, w.Code)
	}
	for _, part := range parts {
		y.read("at a pull", repository, []byte(part))
	}
}

func (y *yard) remove() {
	repository, digest, _, pin := y.some()
	if pin == nil {
		return
	}
	defer pin.Unlock()
	y.tell("DELETING", repository, digest, nil)
	if w := y.do("DELETE", repository+"/manifests/"+digest, nil); w.Code != http.StatusAccepted {
		y.t.Errorf("delete %s of %s: %d %s", digest, repository, w.Code, w.Body)
	}
	y.note(repository, digest, nil)
}

// trashed returns something in the trash of a repository.
func (y *yard) trashed() (entry registry.Trashed, ok bool) {
	name, repository, _ := registry.SplitName(y.choose())
	list, err := y.store.Trash(context.Background(), name, repository, 0, 20)
	if err != nil {
		y.t.Error(err)
	}
	if len(list) == 0 {
		return entry, false
	}
	return list[rand.IntN(len(list))], true
}

// restore brings something back from the trash: all that it refers to is there.
func (y *yard) restore() {
	if entry, ok := y.trashed(); ok {
		y.bringBack(entry)
	}
}

// empty deletes for good something that is in the trash, or all of it.
func (y *yard) empty() {
	entry, ok := y.trashed()
	if !ok {
		return
	}
	if rand.IntN(10) == 0 {
		entry.ID = 0
	}
	if _, err := y.store.EmptyTrash(context.Background(), entry.Registry, entry.ID, "admin"); err != nil && !errors.Is(err, registry.ErrNotInTrash) {
		y.t.Errorf("empty the trash: %v", err)
	}
}

func (y *yard) bringBack(entry registry.Trashed) {
	repository := entry.Registry + "/" + entry.Repository
	pin := y.pin(repository, entry.Digest)
	pin.Lock()
	defer pin.Unlock()
	back, err := y.store.Restore(context.Background(), entry.Registry, entry.ID)
	if errors.Is(err, registry.ErrNotInTrash) { // somebody was faster
		return
	}
	if err != nil {
		y.t.Errorf("LOST in the trash: %v", err)
		return
	}
	y.restored.Add(1)
	var texts []string
	for _, part := range back.Manifests[0].References {
		for i := range contents {
			if sum(content(i)) == part.Digest {
				texts = append(texts, string(content(i)))
				y.read("just after it came back from the trash", repository, content(i))
			}
		}
	}
	y.note(repository, entry.Digest, texts)
	y.tell("RESTORED", repository, entry.Digest, texts)
}

// jump lets everything be garbage that no client under way was told of.
func (y *yard) jump() {
	y.session.Lock()
	defer y.session.Unlock()
	y.clock.ahead.Add(int64(grace + time.Second))
}

// collect is what the collectors do, one or more at a time.
func (y *yard) collect(ctx context.Context, r replica) garbage.Result {
	result, err := r.collector.Collect(ctx, func(garbage.Result) {})
	if err != nil && !errors.Is(err, errCrash) {
		y.t.Errorf("collect: %v", err)
	}
	return result
}

// operations is how many operations a race has: $PRATIQUE_GARBAGE_OPERATIONS, or few.
func operations(t *testing.T) int64 {
	if text := os.Getenv("PRATIQUE_GARBAGE_OPERATIONS"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 2000
}

// TestRace: while clients push, mount, look, pull and delete, and processes are
// killed, collectors find everything to be garbage that can be; nothing that a
// client was told of is lost, and in the end nothing is left that is not needed.
func TestRace(t *testing.T) {
	for engine, location := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		t.Run(engine, func(t *testing.T) {
			y := newYardAt(t, location(t), t.TempDir(), 3, 0.01, 1)
			want := operations(t)
			done := make(chan struct{})
			var collectors, clients sync.WaitGroup
			var removed, unlinked atomic.Int64
			for i := range 2 {
				collectors.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
						}
						if i == 0 {
							y.jump()
						}
						if i == 0 {
							if _, err := y.store.ExpireTrash(context.Background(), y.clock.Now()); err != nil {
								t.Error(err)
							}
						}
						r := y.collect(context.Background(), y.replicas[rand.IntN(len(y.replicas))])
						removed.Add(int64(r.Removed))
						unlinked.Add(int64(r.Unlinked))
					}
				})
			}
			for worker := range 6 {
				clients.Go(func() {
					for y.requests.Load() < want && !t.Failed() {
						switch rand.IntN(10) {
						case 0, 1, 2, 3:
							y.push(worker)
						case 4, 5, 6:
							y.remove()
						case 7:
							y.restore()
						case 8:
							if rand.IntN(10) == 0 {
								y.empty()
							}
						default:
							y.pull()
						}
					}
				})
			}
			clients.Wait()
			close(done)
			collectors.Wait()
			y.settle()
			t.Logf("%d requests, %d times a process was killed; %d links and %d blobs were deleted; %d manifests came back from the trash",
				y.requests.Load(), y.struck.Load(), unlinked.Load(), removed.Load(), y.restored.Load())
			if removed.Load() < 1 || y.restored.Load() < 1 || unlinked.Load() < 10 || y.struck.Load() < 10 {
				t.Error("the race was none")
			}
		})
	}
}

// settle checks what is there when everybody has gone.
func (y *yard) settle() {
	ctx := context.Background()
	y.jump()
	// What is in the trash still can come back; then nothing refers to it.
	for _, name := range []string{"main", "other"} {
		list, err := y.store.Trash(ctx, name, "", 0, 1000)
		if err != nil {
			y.t.Fatal(err)
		}
		for _, entry := range list[:(len(list)+1)/2] {
			y.bringBack(entry)
		}
		if _, err := y.store.EmptyTrash(ctx, name, 0, "admin"); err != nil {
			y.t.Fatal(err)
		}
	}
	calm := garbage.New(y.store, y.blobs, garbage.Options{Now: y.clock.Now, Grace: grace})
	for range 2 {
		if _, err := calm.Collect(ctx, func(garbage.Result) {}); err != nil {
			y.t.Fatal(err)
		}
	}
	needed := map[string]bool{}
	handler := oci.New(y.store, y.blobs, all{}, all{}, all{}, oci.Options{Now: y.clock.Now, GarbageGrace: grace})
	for i := range y.replicas {
		y.replicas[i].handler = handler
	}
	for repository, manifests := range y.pushed {
		for digest, parts := range manifests {
			if w := y.do("GET", repository+"/manifests/"+digest, nil); w.Code != http.StatusOK {
				y.t.Errorf("LOST in the end: manifest %s of %s: %d", digest, repository, w.Code)
			}
			for _, part := range parts {
				needed[sum([]byte(part))] = true
				y.read("in the end", repository, []byte(part))
			}
		}
	}
	// A push that was cut off may have stored its manifest all the same.
	err := y.blobs.List(ctx, func(b blob.Info) error {
		linked, err := y.store.LinkedBlobs(ctx, []string{b.Digest})
		if err == nil && !linked[b.Digest] {
			y.t.Errorf("%s is left, and nothing refers to it", b.Digest)
		}
		delete(needed, b.Digest)
		return err
	})
	if err != nil {
		y.t.Error(err)
	}
	if len(needed) > 0 {
		y.t.Errorf("LOST from the disk: %v", needed)
	}
	if _, err := os.Stat(filepath.Join(y.root, "holds")); err != nil {
		y.t.Error(err)
	}
}
