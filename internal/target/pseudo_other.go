//go:build !linux

package target

import (
	"io/fs"
	"os"
	"slices"
)

// pseudo reports the directories of a Linux system that its kernel fills.
func pseudo(_ *os.Root, at string, _, _ fs.FileInfo) bool {
	return slices.Contains([]string{"proc", "sys", "dev"}, at)
}
