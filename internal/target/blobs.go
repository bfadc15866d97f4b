package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
)

// Bounds in bytes of what is read whole.
const (
	maxManifest = registry.MaxManifest
	maxConfig   = 8 << 20
)

// files are the files of a layout: a folder's, or the members of an archive.
type files interface {
	// open returns the content of a file and its size in bytes. The error wraps
	// ErrMissing where it is not there.
	open(ctx context.Context, name string) (io.ReadCloser, int64, error)
}

// folder is a folder on disk.
type folder string

func (f folder) open(_ context.Context, name string) (io.ReadCloser, int64, error) {
	path := filepath.Join(string(f), filepath.FromSlash(name))
	// Build systems link to blobs that are kept elsewhere, so links are followed;
	// what is no file could block, or never end.
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, fmt.Errorf("%s: %w", path, ErrMissing)
	case err != nil:
		return nil, 0, err
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf("%s: not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// readAll reads a file whole that has no more than limit bytes.
func readAll(ctx context.Context, from files, name string, limit int64) ([]byte, error) {
	content, _, err := from.open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	text, err := readBounded(content, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}

func readBounded(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, nil
}

// verify returns an error where the content has not the digest.
func verify(digest string, content []byte) error {
	algorithm, _, err := blob.ParseDigest(digest)
	if err != nil {
		return err
	}
	if got := algorithm.Of(content); got != digest {
		return fmt.Errorf("digest mismatch: want %s, got %s", digest, got)
	}
	return nil
}

// blobPath is where a layout keeps a blob (image-spec, image-layout.md, "blobs").
func blobPath(digest string) (string, error) {
	algorithm, hex, err := blob.ParseDigest(digest)
	if err != nil {
		return "", err
	}
	return "blobs/" + string(algorithm) + "/" + hex, nil
}

// readBlob reads a blob of a layout whole and checks its digest.
func readBlob(ctx context.Context, from files, digest string, limit int64) ([]byte, error) {
	path, err := blobPath(digest)
	if err != nil {
		return nil, err
	}
	text, err := readAll(ctx, from, path, limit)
	if err != nil {
		return nil, err
	}
	return text, verify(digest, text)
}
