package config

import (
	"fmt"
	"math"

	"github.com/dustin/go-humanize"
)

// Bytes is a number of bytes, written as 64GiB, 500MB or 1048576.
type Bytes int64

// UnmarshalText reads a size with or without a unit, decimal or binary.
func (b *Bytes) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("want a size such as 512MiB or 64GB, got %q", text)
	}
	*b = Bytes(n)
	return nil
}

// String is the size in the largest binary unit, rounded.
func (b Bytes) String() string { return humanize.IBytes(uint64(max(b, 0))) }
