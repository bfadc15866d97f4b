package app

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile reports whether this process alone has the file, until it is closed.
func lockFile(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
