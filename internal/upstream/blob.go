package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
)

// flight is a blob that is coming, once for all who ask for it.
type flight struct {
	size  int64
	file  *os.File
	users int // whoever reads, and who writes; under Service.mu

	mu      sync.Mutex
	news    chan struct{} // closed and replaced whenever something below changes
	started bool          // upstream gives it
	written int64
	done    bool // it is stored, or err
	err     error
}

func (f *flight) tell(change func()) {
	f.mu.Lock()
	change()
	close(f.news)
	f.news = make(chan struct{})
	f.mu.Unlock()
}

// Write is the side of who fetches.
func (f *flight) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	f.tell(func() { f.written += int64(n) })
	return n, err
}

// Blob reads a blob while it comes. Its last byte is held back until its digest
// is known to be right.
type Blob struct {
	// Size is in bytes, as the manifest says.
	Size    int64
	ctx     context.Context //nolint:containedctx // of the request that reads it
	service *Service
	flight  *flight
	offset  int64
	once    sync.Once
}

// Read waits for bytes to come.
func (b *Blob) Read(p []byte) (int, error) {
	for {
		b.flight.mu.Lock()
		visible, done, err, news := b.flight.written, b.flight.done, b.flight.err, b.flight.news
		b.flight.mu.Unlock()
		if done && err != nil {
			return 0, err
		}
		if !done {
			visible--
		}
		if b.offset < visible {
			n, err := b.flight.file.ReadAt(p[:min(int64(len(p)), visible-b.offset)], b.offset)
			b.offset += int64(n)
			if n > 0 {
				err = nil
			}
			return n, err
		}
		if done {
			return 0, io.EOF
		}
		select {
		case <-news:
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
}

// wait returns once a condition holds, or the flight is over.
func (b *Blob) wait(ctx context.Context, enough func(*flight) bool) error {
	for {
		b.flight.mu.Lock()
		ok, done, err, news := enough(b.flight), b.flight.done, b.flight.err, b.flight.news
		b.flight.mu.Unlock()
		if done {
			return err
		}
		if ok {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Wait returns when the blob is stored, or why it cannot be.
func (b *Blob) Wait(ctx context.Context) error {
	return b.wait(ctx, func(*flight) bool { return false })
}

// Close leaves; the blob goes on coming.
func (b *Blob) Close() error {
	b.once.Do(func() { b.service.leave(b.flight) })
	return nil
}

func (s *Service) leave(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.users--; f.users == 0 {
		_ = f.file.Close() // it has no name any more
	}
}

// Blob opens a blob that the registry lacks and a manifest from upstream refers
// to, once upstream gives it. It returns ErrUnknown, *registry.QuotaError or a
// *Failure.
func (s *Service) Blob(ctx context.Context, via, registryName, repository, digest string) (*Blob, error) {
	list, err := s.upstreams(ctx, registryName, repository)
	onward := s.onward(via)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || onward == "" {
		return nil, ErrUnknown
	}
	r, err := s.store.Repository(ctx, registryName, repository)
	if errors.Is(err, registry.ErrRepositoryUnknown) || errors.Is(err, registry.ErrRegistryUnknown) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return s.open(ctx, r, digest, onward)
}

func (s *Service) open(ctx context.Context, r registry.Repository, digest, via string) (*Blob, error) {
	m, err := s.store.Wanted(ctx, r.ID, digest)
	if errors.Is(err, registry.ErrBlobUnknown) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	parsed, err := registry.Parse(m.MediaType, m.Content)
	if err != nil {
		return nil, err
	}
	size := int64(-1)
	for _, ref := range parsed.References {
		if ref.Digest == digest && ref.Kind != registry.KindManifest {
			size = ref.Size
		}
	}
	if size < 0 {
		return nil, ErrUnknown
	}
	if err := s.store.Room(ctx, r.ID, size); err != nil {
		return nil, err
	}
	f, err := s.join(r, digest, size, via)
	if err != nil {
		return nil, err
	}
	b := &Blob{Size: size, ctx: ctx, service: s, flight: f}
	if err := b.wait(ctx, func(f *flight) bool { return f.started }); err != nil {
		_ = b.Close()
		return nil, err
	}
	return b, nil
}

// join takes part in a flight, which it starts where there is none.
func (s *Service) join(r registry.Repository, digest string, size int64, via string) (*flight, error) {
	key := fmt.Sprintf("%d %s %d", r.ID, digest, size)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.work.Err() != nil {
		return nil, s.work.Err()
	}
	if f, ok := s.flights[key]; ok {
		f.users++
		return f, nil
	}
	file, err := s.spool()
	if err != nil {
		return nil, fmt.Errorf("file for blob %s: %w", digest, err)
	}
	f := &flight{size: size, file: file, users: 2, news: make(chan struct{})}
	s.flights[key] = f
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		err := s.fetch(s.work, f, r, digest, via)
		s.mu.Lock()
		delete(s.flights, key)
		s.mu.Unlock()
		f.tell(func() { f.done, f.err = true, err })
		s.leave(f)
	}()
	return f, nil
}

// fetch stores a blob. It comes from upstream even where another repository has
// it: who writes a manifest upstream must not reach by it what is kept here.
func (s *Service) fetch(ctx context.Context, f *flight, r registry.Repository, digest, via string) error {
	list, err := s.upstreams(ctx, r.Registry, r.Name)
	if err != nil {
		return err
	}
	// Another flight may have ended just now.
	if _, err := s.store.RepositoryBlob(ctx, r.ID, digest); err == nil {
		content, _, err := s.blobs.Open(ctx, digest)
		if err != nil {
			return err
		}
		defer content.Close()
		f.tell(func() { f.started = true })
		_, err = io.Copy(f, content)
		return err
	}
	var failure error
	for _, c := range list {
		body, err := c.blob(ctx, r.Name, digest, f.size, via)
		var failed *Failure
		switch {
		case err == nil:
			f.tell(func() { f.started = true })
			err = s.keep(ctx, f, c, r, digest, body)
			_ = body.Close()
			return err
		case errors.Is(err, ErrUnknown):
		case errors.As(err, &failed):
			s.opts.Log.WarnContext(ctx, "upstream failed", "connector", c.connector.Name, "repository", r.String(), "blob", digest, "error", err)
			failure = errors.Join(failure, err)
		default:
			return err
		}
	}
	if failure == nil {
		failure = ErrUnknown
	}
	return failure
}

func (s *Service) keep(ctx context.Context, f *flight, c *client, r registry.Repository, digest string, body io.Reader) (err error) {
	algorithm, _, err := blob.ParseDigest(digest)
	if err != nil {
		return err
	}
	id, err := s.blobs.Start(ctx, algorithm)
	if err != nil {
		return err
	}
	finished := false
	defer func() {
		if finished {
			return
		}
		ctx := context.WithoutCancel(ctx)
		if e := s.blobs.Abort(ctx, id); e != nil && !errors.Is(e, blob.ErrUploadUnknown) {
			err = errors.Join(err, e)
		}
		if e := s.store.DeleteUpload(ctx, id); e != nil && !errors.Is(e, registry.ErrUploadUnknown) {
			err = errors.Join(err, e)
		}
	}()
	if err := s.store.CreateUpload(ctx, id, r.ID); err != nil {
		return err
	}
	fail := func(reason string, err error) error {
		failed := &Failure{Connector: c.connector.Name, Reason: "blob " + digest + ": " + reason, Status: 502, Err: err}
		s.opts.Log.WarnContext(ctx, "upstream gave no good blob: nothing of it is kept", "connector", c.connector.Name, "upstream", c.connector.URL, "repository", r.String(), "blob", digest, "error", failed)
		return failed
	}
	size, err := s.blobs.Append(ctx, id, 0, io.TeeReader(io.LimitReader(body, f.size+1), f))
	switch {
	case errors.Is(err, blob.ErrFull):
		return err
	case err != nil:
		return fail("it broke off: "+plain(err), err)
	case size != f.size:
		return fail(fmt.Sprintf("it has %d bytes or more, the manifest says %d", size, f.size), nil)
	}
	release, err := s.blobs.Hold(ctx, digest)
	if err != nil {
		return err
	}
	defer release()
	var lie *blob.DigestError
	if _, err = s.blobs.Commit(ctx, id, digest); errors.As(err, &lie) {
		return fail("its digest is "+lie.Actual, err)
	} else if err != nil {
		return err
	}
	if err := s.store.FinishUpload(context.WithoutCancel(ctx), registry.Upload{ID: id, RepositoryID: r.ID}, digest, size); err != nil {
		return err
	}
	finished = true
	if err := s.observer.BlobCommitted(ctx, digest); err != nil {
		s.opts.Log.ErrorContext(ctx, "blob was stored, but not looked at", "blob", digest, "error", err)
	}
	return nil
}
