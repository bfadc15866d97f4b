package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Dir stores blobs in a directory: blobs/ALGORITHM/XX/HEX, where XX are the
// first two digits of HEX, and uploads/ID. Several processes may share one.
type Dir struct {
	root string
	opts Options
	// shards holds the directories that are known to exist.
	shards sync.Map // string -> struct{}

	mu       sync.Mutex
	sessions map[string]*session
	buffers  sync.Pool
	guard    guard
}

// Options are the choices of a Dir.
type Options struct {
	// NoSync leaves it to the operating system when bytes reach the disk: a
	// loss of power may then lose blobs whose push was answered.
	NoSync bool
	// Reserve is how many bytes of the file system uploads leave free, for
	// the database beside them; 64 MiB where zero, none where negative.
	Reserve int64
}

// NewDir returns a store in the directory root, which is made where it is not there.
func NewDir(root string, opts Options) (*Dir, error) {
	if opts.Reserve == 0 {
		opts.Reserve = 64 << 20
	}
	d := &Dir{root: root, opts: opts, sessions: make(map[string]*session)}
	d.guard.path = filepath.Join(root, "holds")
	d.buffers.New = func() any { return new([bufferSize]byte) }
	for _, dir := range []string{root, filepath.Join(root, "uploads"), filepath.Join(root, "blobs")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("blob storage: %w", err)
		}
	}
	return d, nil
}

func (d *Dir) blob(digest string) (shard, path string, err error) {
	algorithm, encoded, err := ParseDigest(digest)
	if err != nil {
		return "", "", err
	}
	shard = filepath.Join(d.root, "blobs", string(algorithm), encoded[:2])
	return shard, filepath.Join(shard, encoded), nil
}

// Open returns a blob as an *os.File.
func (d *Dir) Open(_ context.Context, digest string) (io.ReadSeekCloser, int64, error) {
	_, path, err := d.blob(digest)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, unknownBlob(digest, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("blob %s: %w", digest, err), f.Close())
	}
	return f, info.Size(), nil
}

// Stat returns a blob's size in bytes.
func (d *Dir) Stat(_ context.Context, digest string) (int64, error) {
	_, path, err := d.blob(digest)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, unknownBlob(digest, err)
	}
	return info.Size(), nil
}

// Delete removes a blob.
func (d *Dir) Delete(_ context.Context, digest string) error {
	shard, path, err := d.blob(digest)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return unknownBlob(digest, err)
	}
	if err := d.syncDir(shard); err != nil {
		return fmt.Errorf("blob %s: %w", digest, err)
	}
	return nil
}

func unknownBlob(digest string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w %s", ErrUnknown, digest)
	}
	return fmt.Errorf("blob %s: %w", digest, err)
}

// shard makes a shard's directory, durably.
func (d *Dir) shard(path string) error {
	if _, ok := d.shards.Load(path); ok {
		return nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if err := d.syncDir(dir); err != nil {
			return err
		}
		if dir == d.root || dir == filepath.Dir(dir) {
			break
		}
	}
	d.shards.Store(path, struct{}{})
	return nil
}

func (d *Dir) syncDir(path string) error {
	if d.opts.NoSync {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Stale lists the uploads to which nothing was added since a time.
func (d *Dir) Stale(ctx context.Context, since time.Time) ([]string, error) {
	d.forgetEnded()
	dir, err := os.Open(filepath.Join(d.root, "uploads"))
	if err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	defer dir.Close()
	var stale []string
	for {
		entries, err := dir.ReadDir(256)
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil { // it went meanwhile
				continue
			}
			if checkUpload(entry.Name()) == nil && info.ModTime().Before(since) {
				stale = append(stale, entry.Name())
			}
		}
		if errors.Is(err, io.EOF) {
			return stale, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return stale, fmt.Errorf("list uploads: %w", err)
		}
	}
}

// forgetEnded drops what is remembered of uploads that another process ended.
func (d *Dir) forgetEnded() {
	d.mu.Lock()
	ids := slices.Collect(maps.Keys(d.sessions))
	d.mu.Unlock()
	for _, id := range ids {
		if _, err := os.Stat(d.upload(id)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		d.mu.Lock()
		if s, ok := d.sessions[id]; ok && s.holders == 0 {
			delete(d.sessions, id)
		}
		d.mu.Unlock()
	}
}
