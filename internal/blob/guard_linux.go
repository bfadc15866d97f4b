package blob

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// guard lets blobs be held and taken. A hold is a lock on one byte of a file
// that stays empty: the kernel keeps it, for all processes of the machine and,
// over NFS, of others, and ends it when the process dies. Locks are of open
// file descriptions (fcntl(2)), so that goroutines have theirs apart.
type guard struct{ path string }

// share waits while somebody has taken the place.
func (g *guard) share(ctx context.Context, place int64) (func(), error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		release, ok, err := g.lock(place, unix.F_RDLCK)
		if err != nil || ok {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// take reports false where somebody has the place.
func (g *guard) take(place int64) (release func(), alone bool, err error) {
	return g.lock(place, unix.F_WRLCK)
}

func (g *guard) lock(place int64, kind int16) (release func(), ok bool, err error) {
	f, err := os.OpenFile(g.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, err
	}
	for {
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: place, Len: 1})
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		// Closing it ends the lock; that it can fail in other ways is of no matter
		// to a file that nobody writes.
		return func() { _ = f.Close() }, true, nil
	}
	closed := f.Close()
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, false, closed
	}
	return nil, false, errors.Join(err, closed)
}
