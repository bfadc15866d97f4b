package blob

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// session is what this process remembers of an upload beside its file: the
// hash of the first bytes. The file's length says what the upload holds.
type session struct {
	// turn holds a token while nobody works on the upload.
	turn chan struct{}
	// holders counts who waits for the turn or has it; guarded by Dir.mu.
	holders int

	algorithm Algorithm
	hash      hash.Hash
	// hashed is how many bytes the hash has seen.
	hashed int64
	// ended is set when the upload was committed or aborted.
	ended bool
}

func checkUpload(id string) error {
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return fmt.Errorf("%w %q", ErrUploadUnknown, clip(id))
	}
	return nil
}

func (d *Dir) upload(id string) string { return filepath.Join(d.root, "uploads", id) }

// take waits for the caller's turn on an upload. The session is forgotten by
// the last who leaves it once it has ended, or where it never was one.
func (d *Dir) take(ctx context.Context, id string) (*session, error) {
	d.mu.Lock()
	s, ok := d.sessions[id]
	if !ok {
		s = &session{turn: make(chan struct{}, 1), algorithm: SHA256}
		s.turn <- struct{}{}
		d.sessions[id] = s
	}
	s.holders++
	d.mu.Unlock()
	select {
	case <-s.turn:
		return s, nil
	case <-ctx.Done():
		d.leave(id, s)
		return nil, fmt.Errorf("upload %s: %w", id, ctx.Err())
	}
}

func (d *Dir) put(id string, s *session) {
	d.leave(id, s)
	s.turn <- struct{}{}
}

func (d *Dir) leave(id string, s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.holders--; s.holders == 0 && (s.ended || s.hash == nil) {
		delete(d.sessions, id)
	}
}

// open returns an upload's file, which no other process then works on.
func (d *Dir) open(ctx context.Context, id string, s *session) (_ *os.File, _ int64, err error) {
	defer func() { s.ended = errors.Is(err, ErrUploadUnknown) }()
	path := d.upload(id)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, 0, unknownUpload(id, err)
	}
	if err := lock(ctx, f); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("upload %s: %w", id, err), f.Close())
	}
	// While this process waited, another one may have made a blob of the file.
	opened, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("upload %s: %w", id, err), f.Close())
	}
	named, err := os.Stat(path)
	if err != nil {
		return nil, 0, errors.Join(unknownUpload(id, err), f.Close())
	}
	if !os.SameFile(opened, named) {
		return nil, 0, errors.Join(fmt.Errorf("%w %s", ErrUploadUnknown, id), f.Close())
	}
	return f, opened.Size(), nil
}

func unknownUpload(id string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w %s", ErrUploadUnknown, id)
	}
	return fmt.Errorf("upload %s: %w", id, err)
}

// Start begins an upload.
func (d *Dir) Start(_ context.Context, algorithm Algorithm) (string, error) {
	if _, err := ParseAlgorithm(string(algorithm)); err != nil {
		return "", err
	}
	random, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("start upload: %w", err)
	}
	id := random.String()
	f, err := os.OpenFile(d.upload(id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return "", fmt.Errorf("start upload: %w", full(err))
	}
	s := &session{turn: make(chan struct{}, 1), algorithm: algorithm, hash: algorithm.New()}
	s.turn <- struct{}{}
	d.mu.Lock()
	d.sessions[id] = s
	d.mu.Unlock()
	return id, nil
}

// Size returns how many bytes an upload holds.
func (d *Dir) Size(_ context.Context, id string) (int64, error) {
	if err := checkUpload(id); err != nil {
		return 0, err
	}
	info, err := os.Stat(d.upload(id))
	if err != nil {
		return 0, unknownUpload(id, err)
	}
	return info.Size(), nil
}

// Append adds to an upload. Requests for one upload wait for each other.
func (d *Dir) Append(ctx context.Context, id string, offset int64, content io.Reader) (size int64, err error) {
	if err := checkUpload(id); err != nil {
		return 0, err
	}
	s, err := d.take(ctx, id)
	if err != nil {
		return 0, err
	}
	defer d.put(id, s)
	f, size, err := d.open(ctx, id, s)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if offset >= 0 && offset != size {
		return size, &OffsetError{Have: size, Want: offset}
	}
	if s.hashed == size && s.hash == nil {
		s.hash = s.algorithm.New()
	}
	// Bytes that came by another process, or before a restart, are hashed at
	// the commit, together with all that follow them.
	follow := s.hash
	if s.hashed != size {
		follow = nil
	}
	n, err := d.copy(ctx, f, size, content, follow)
	if follow != nil {
		s.hashed += n
	}
	if err != nil {
		return size + n, fmt.Errorf("upload %s: %w", id, err)
	}
	return size + n, nil
}

// Commit makes an upload the blob of digest.
func (d *Dir) Commit(ctx context.Context, id, digest string) (size int64, err error) {
	if err := checkUpload(id); err != nil {
		return 0, err
	}
	algorithm, _, err := ParseDigest(digest)
	if err != nil {
		return 0, err
	}
	s, err := d.take(ctx, id)
	if err != nil {
		return 0, err
	}
	defer d.put(id, s)
	f, size, err := d.open(ctx, id, s)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if s.algorithm != algorithm || s.hash == nil || s.hashed > size {
		s.algorithm, s.hash, s.hashed = algorithm, algorithm.New(), 0
	}
	n, err := d.rehash(ctx, f, s.hashed, size, s.hash)
	s.hashed += n
	if err != nil {
		return 0, fmt.Errorf("upload %s: %w", id, err)
	}
	if actual := algorithm.Digest(s.hash); actual != digest {
		return 0, &DigestError{Stated: digest, Actual: actual}
	}
	if err := d.place(f, id, digest); err != nil {
		return 0, fmt.Errorf("upload %s: %w", id, full(err))
	}
	s.ended = true
	return size, nil
}

// place moves an upload's file to where its blob belongs.
func (d *Dir) place(f *os.File, id, digest string) error {
	shard, path, err := d.blob(digest)
	if err != nil {
		return err
	}
	if err := d.shard(shard); err != nil {
		return err
	}
	if !d.opts.NoSync {
		if err := f.Sync(); err != nil {
			// The kernel may now take the lost pages for written, so that a
			// second try would succeed wrongly: the upload cannot be trusted.
			return errors.Join(err, os.Remove(d.upload(id)))
		}
	}
	// The age of a blob is that of its last commit, however long the upload took.
	now := time.Now()
	if err := os.Chtimes(d.upload(id), now, now); err != nil {
		return err
	}
	if err := os.Rename(d.upload(id), path); err != nil {
		return err
	}
	return d.syncDir(shard)
}

// Abort drops an upload, after what is being done to it.
func (d *Dir) Abort(ctx context.Context, id string) error {
	if err := checkUpload(id); err != nil {
		return err
	}
	s, err := d.take(ctx, id)
	if err != nil {
		return err
	}
	defer d.put(id, s)
	f, _, err := d.open(ctx, id, s)
	if err != nil {
		return err
	}
	s.ended = true
	if err := errors.Join(os.Remove(d.upload(id)), f.Close()); err != nil {
		return fmt.Errorf("upload %s: %w", id, err)
	}
	return nil
}

// full marks the errors of a storage without room.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
