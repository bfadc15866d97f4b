package source

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pratique/pratique/internal/image"
)

// WorkStore hands out scans and takes what becomes of them. A scan that was
// claimed is left alone by others for the lease, which is renewed; whoever lost
// it gets ErrTaken.
type WorkStore interface {
	Source(ctx context.Context, name string) (Source, error)
	// ClaimScans takes at most limit scans that are due, as far as the source's
	// concurrency goes. One that tries tries never finished is given up.
	ClaimScans(ctx context.Context, sourceID int64, owner string, limit, tries int, now, until time.Time) ([]Scan, error)
	HoldScan(ctx context.Context, id int64, owner, handle string, until time.Time) error
	AnswerScan(ctx context.Context, id int64, owner string, r Report) error
	FailScan(ctx context.Context, id int64, owner, reason string, next time.Time, counts bool) error
	DropScan(ctx context.Context, id int64, owner string) error
	PostponeScans(ctx context.Context, sourceID int64, reason string, now, until time.Time) error
	// ReleaseScans has what workers of a replica are doing be due now, and returns
	// how many scans that is.
	ReleaseScans(ctx context.Context, replica string, now time.Time) (int, error)
	// NextScan is when the next one will be due that is not yet; zero where none will.
	NextScan(ctx context.Context, sourceID int64) (time.Time, error)

	ImageByDigest(ctx context.Context, digest string) (image.Image, error)
	// ScanPlace returns a repository from which a source may fetch an image, and
	// which layers are stored there; ErrNotFound where there is none.
	ScanPlace(ctx context.Context, sourceID int64, digest string) (repository string, layers map[string]bool, err error)
}

// WorkerOptions are the choices of a Worker.
type WorkerOptions struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	Log *slog.Logger
	// Token makes a pull token for a source.
	Token func(source, repository string, digests []string, lifetime time.Duration) (string, error)
	// Wake has a source worked on at a time.
	Wake func(ctx context.Context, name string, at time.Time) error
	// Lease is how long a scan is left alone after its process fell silent; a
	// minute where zero.
	Lease time.Duration
	// Replica is a name that this worker's process has alone, and had when it ran
	// before; "" where there is none.
	Replica string
	// Tries is how many tries a scan has; 5 where zero.
	Tries int
	// Backoff is the pause after the try of that number (from 1) failed.
	Backoff func(try int) time.Duration
}

// Worker asks sources what is due.
type Worker struct {
	store   WorkStore
	service *Service
	opts    WorkerOptions
	owner   string
}

// NewWorker returns a worker for the sources of a service.
func NewWorker(store WorkStore, service *Service, opts WorkerOptions) *Worker {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Wake == nil {
		opts.Wake = func(context.Context, string, time.Time) error { return nil }
	}
	if opts.Lease == 0 {
		opts.Lease = time.Minute
	}
	if opts.Tries == 0 {
		opts.Tries = 5
	}
	if opts.Backoff == nil {
		opts.Backoff = DefaultBackoff
	}
	owner := rand.Text()
	if opts.Replica != "" {
		owner = opts.Replica + "/" + owner
	}
	return &Worker{store: store, service: service, opts: opts, owner: owner}
}

// Resume takes back what this replica was doing when its process before was killed,
// without waiting for the leases. It is called before Work.
func (w *Worker) Resume(ctx context.Context) error {
	if w.opts.Replica == "" {
		return nil
	}
	n, err := w.store.ReleaseScans(ctx, w.opts.Replica, w.opts.Now())
	if n > 0 {
		w.opts.Log.WarnContext(ctx, "scans of a process that was killed are done again", "scans", n)
	}
	return err
}

// DefaultBackoff is half a minute, 2, 8 and 32 minutes, give or take a quarter.
func DefaultBackoff(try int) time.Duration {
	pause := 30 * time.Second << (2 * (min(max(try, 1), 4) - 1))
	return time.Duration(float64(pause) * (0.75 + mathrand.Float64()/2))
}

// The worker ends after a while, and is woken again, lest one source keep the
// place of others; without a base URL it looks again after postponed.
const (
	maxWork   = 15 * time.Minute
	postponed = time.Minute
)

// Work does what is due of a source, and returns how many scans it was.
func (w *Worker) Work(ctx context.Context, name string) (done int, err error) {
	o, err := w.store.Source(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return 0, nil // it was deleted meanwhile
	}
	if err != nil {
		return 0, err
	}
	if w.service.base(ctx) == "" {
		now := w.opts.Now()
		return 0, w.store.PostponeScans(ctx, o.ID, NoBase, now, now.Add(postponed))
	}
	began := time.Now()
	var mu sync.Mutex
	group, running := errgroup.WithContext(ctx)
	for range o.Concurrency {
		group.Go(func() error {
			for running.Err() == nil && time.Since(began) < maxWork {
				now := w.opts.Now()
				claimed, err := w.store.ClaimScans(running, o.ID, w.owner, 1, w.opts.Tries, now, now.Add(w.opts.Lease))
				if errors.Is(err, ErrNotFound) || err == nil && len(claimed) == 0 {
					return nil
				}
				if err != nil {
					return err
				}
				if err := w.scan(running, o, claimed[0]); err != nil {
					return err
				}
				mu.Lock()
				done++
				mu.Unlock()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return done, err
	}
	next, err := w.store.NextScan(ctx, o.ID)
	if err != nil || next.IsZero() {
		return done, err
	}
	return done, w.opts.Wake(ctx, name, next)
}

// scan does one scan and stores what became of it. Its errors are the store's.
func (w *Worker) scan(ctx context.Context, o Source, c Scan) error {
	report, err := w.ask(ctx, o, c)
	// What became of it is stored even while the process is told to end.
	stored, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	switch {
	case err == nil:
		if err = w.store.AnswerScan(stored, c.ID, w.owner, report); err == nil {
			w.service.opts.Changed()
		}
	case errors.Is(err, ErrTaken):
	case errors.Is(err, ErrNotFound):
		err = w.store.DropScan(stored, c.ID, w.owner)
	case ctx.Err() != nil:
		err = w.store.FailScan(stored, c.ID, w.owner, c.Error, w.opts.Now(), false)
	default:
		err = w.fail(stored, o, c, FailureOf(err))
	}
	if errors.Is(err, ErrTaken) {
		w.opts.Log.WarnContext(ctx, "another process has taken a scan over", "source", o.Name, "image", c.Image)
		return nil
	}
	return err
}

func (w *Worker) fail(ctx context.Context, o Source, c Scan, f *Failure) error {
	var next time.Time
	if !f.Permanent && c.Attempts < w.opts.Tries {
		next = w.opts.Now().Add(w.opts.Backoff(c.Attempts))
	}
	w.opts.Log.WarnContext(ctx, "a vulnerability source did not answer", "source", o.Name, "image", c.Image, "try", c.Attempts, "reason", f.Reason, "given_up", next.IsZero())
	return w.store.FailScan(ctx, c.ID, w.owner, f.Reason, next, true)
}

// ask asks a source about an image, and keeps the scan from others meanwhile.
func (w *Worker) ask(ctx context.Context, o Source, c Scan) (Report, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	held := make(chan struct{})
	defer func() { <-held }()
	hold, release := context.WithCancel(ctx)
	defer release()
	go func() {
		defer close(held)
		w.hold(hold, c, stop)
	}()
	limited, cancel := context.WithTimeoutCause(ctx, o.Timeout, errSlow)
	defer cancel()
	report, err := w.request(limited, o, c)
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrTaken):
		return Report{}, ErrTaken
	case err != nil && ctx.Err() == nil && limited.Err() != nil:
		return Report{}, Fail(TooSlow, err, "it did not finish within %v", o.Timeout)
	case err != nil:
		return Report{}, err
	}
	return report, report.clean()
}

// hold renews the lease until ctx ends.
func (w *Worker) hold(ctx context.Context, c Scan, stop context.CancelCauseFunc) {
	ticker := time.NewTicker(w.opts.Lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := w.store.HoldScan(ctx, c.ID, w.owner, "", w.opts.Now().Add(w.opts.Lease))
		if errors.Is(err, ErrTaken) {
			stop(ErrTaken)
			return
		}
	}
}

func (w *Worker) request(ctx context.Context, o Source, c Scan) (Report, error) {
	repository, stored, err := w.store.ScanPlace(ctx, o.ID, c.Image)
	if err != nil {
		return Report{}, err
	}
	img, err := w.store.ImageByDigest(ctx, c.Image)
	if err != nil {
		return Report{}, fmt.Errorf("image %s: %w", c.Image, err)
	}
	scanner, err := w.service.open(o)
	if err != nil {
		return Report{}, err
	}
	defer scanner.Close()
	job := Job{
		Digest: img.Digest, MediaType: img.MediaType, Config: img.ConfigDigest, Repository: repository, Handle: c.Handle,
		BaseURL: w.service.base(ctx),
		Token: func(digests ...string) (string, error) {
			return w.opts.Token(o.Name, repository, digests, o.Timeout+time.Minute)
		},
		Keep: func(ctx context.Context, handle string) error {
			return w.store.HoldScan(ctx, c.ID, w.owner, handle, w.opts.Now().Add(w.opts.Lease))
		},
	}
	chains := img.Chains()
	for i, l := range img.Layers {
		if stored[l.Digest] { // others are kept elsewhere
			job.Layers = append(job.Layers, Layer{Digest: l.Digest, Chain: chains[i]})
		}
	}
	return scanner.Scan(ctx, job)
}
