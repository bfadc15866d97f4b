package blob

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Hold keeps a blob from being removed. One who removes it is waited for, which
// takes as long as asking whether it is unwanted.
func (d *Dir) Hold(ctx context.Context, digest string) (func(), error) {
	place, err := placeOf(digest)
	if err != nil {
		return nil, err
	}
	release, err := d.guard.share(ctx, place)
	if err != nil {
		return nil, fmt.Errorf("hold blob %s: %w", digest, err)
	}
	return release, nil
}

// Remove removes a blob that nobody holds if it is unwanted.
func (d *Dir) Remove(ctx context.Context, digest string, unwanted func(context.Context) (bool, error)) (removed bool, err error) {
	place, err := placeOf(digest)
	if err != nil {
		return false, err
	}
	release, alone, err := d.guard.take(place)
	if err != nil {
		return false, fmt.Errorf("remove blob %s: %w", digest, err)
	}
	if !alone { // whoever holds it is about to want it
		return false, nil
	}
	defer release()
	if yes, err := unwanted(ctx); err != nil || !yes {
		return false, err
	}
	if err := d.Delete(ctx, digest); err != nil {
		return false, err
	}
	return true, nil
}

// placeOf is a digest's place among those that can be held. Two that share one
// only wait for each other.
func placeOf(digest string) (int64, error) {
	_, encoded, err := ParseDigest(digest)
	if err != nil {
		return 0, err
	}
	var head [8]byte
	if _, err := hex.Decode(head[:], []byte(encoded[:16])); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrDigestMalformed, err)
	}
	return int64(binary.BigEndian.Uint64(head[:]) >> 2), nil // within what a file can have
}

// List visits the stored blobs.
func (d *Dir) List(ctx context.Context, visit func(Info) error) error {
	for _, algorithm := range []Algorithm{SHA256, SHA512} {
		root := filepath.Join(d.root, "blobs", string(algorithm))
		shards, err := os.ReadDir(root)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		for _, shard := range shards {
			if err := listShard(ctx, algorithm, filepath.Join(root, shard.Name()), visit); err != nil {
				return err
			}
		}
	}
	return nil
}

func listShard(ctx context.Context, algorithm Algorithm, path string, visit func(Info) error) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	defer dir.Close()
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		entries, err := dir.ReadDir(256)
		for _, entry := range entries {
			digest := string(algorithm) + ":" + entry.Name()
			if _, _, err := ParseDigest(digest); err != nil { // somebody else's file
				continue
			}
			info, err := entry.Info()
			if err != nil || !info.Mode().IsRegular() { // it went meanwhile
				continue
			}
			if err := visit(Info{Digest: digest, Size: info.Size(), StoredAt: info.ModTime()}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
	}
}
