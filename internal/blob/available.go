package blob

import (
	"fmt"
	"math"
	"os"
)

// Available is how many bytes can still be stored; known is false where the
// system does not say.
func (d *Dir) Available() (size int64, known bool, err error) {
	f, err := os.Open(d.root)
	if err != nil {
		return 0, false, fmt.Errorf("free space: %w", err)
	}
	defer func() { _ = f.Close() }()
	if size, err = available(f); err != nil {
		return 0, false, fmt.Errorf("free space of %s: %w", d.root, err)
	}
	return size, size != math.MaxInt64, nil
}
