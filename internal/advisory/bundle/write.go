package bundle

import (
	"archive/tar"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
)

// Source is where the advisories come from.
type Source interface {
	// FeedStatus returns what is stored of a feed.
	FeedStatus(ctx context.Context, feed string) (feed.Status, error)
	// Groups calls each with every group of a document, in the order of names.
	Groups(ctx context.Context, feed, part string, each func(feed.Entry) error) error
	// Scores calls each with every score that is stored.
	Scores(ctx context.Context, each func(feed.Score) error) error
	// AllProducts returns what is known of repositories.
	AllProducts(ctx context.Context) (match.Products, error)
}

// Export writes the feeds of a source as a bundle. The advisories are spooled in
// a folder for temporary files ("" is the system's) until their digest is known.
func Export(ctx context.Context, w io.Writer, source Source, feeds []string, key ed25519.PrivateKey, program, folder string, now time.Time) (m Manifest, err error) {
	m = Manifest{Format: format, Created: now.UTC().Truncate(time.Second), Program: program}
	spool, err := os.CreateTemp(folder, "pratique-bundle-")
	if err != nil {
		return m, fmt.Errorf("export: %w", err)
	}
	defer func() { err = errors.Join(err, spool.Close(), os.Remove(spool.Name())) }()
	hash := sha256.New()
	counted := &counter{w: io.MultiWriter(spool, hash)}
	packed, err := zstd.NewWriter(counted, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return m, fmt.Errorf("export: %w", err)
	}
	lines := json.NewEncoder(packed)
	for _, name := range feeds {
		count, err := exportFeed(ctx, lines, source, name)
		if err != nil {
			return m, errors.Join(fmt.Errorf("export feed %s: %w", name, err), packed.Close())
		}
		if count.Parts > 0 {
			m.Feeds = append(m.Feeds, count)
		}
	}
	if err := packed.Close(); err != nil {
		return m, fmt.Errorf("export: %w", err)
	}
	if len(m.Feeds) == 0 {
		return m, errors.New("export: there are no advisories; update the feeds first")
	}
	m.Digest, m.Size = "sha256:"+hex.EncodeToString(hash.Sum(nil)), counted.n
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, fmt.Errorf("export: %w", err)
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return m, fmt.Errorf("export: %w", err)
	}
	archive := tar.NewWriter(w)
	for _, entry := range []struct {
		name    string
		size    int64
		content io.Reader
	}{
		{manifestName, int64(len(text)), bytesOf(text)},
		{signatureName, ed25519.SignatureSize, bytesOf(ed25519.Sign(key, text))},
		{advisoriesName, m.Size, spool},
	} {
		if err := archive.WriteHeader(&tar.Header{Name: entry.name, Size: entry.size, Mode: 0o644, ModTime: m.Created, Format: tar.FormatPAX}); err != nil {
			return m, fmt.Errorf("export: %w", err)
		}
		if _, err := io.Copy(archive, entry.content); err != nil {
			return m, fmt.Errorf("export: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return m, fmt.Errorf("export: %w", err)
	}
	return m, nil
}

func exportFeed(ctx context.Context, lines *json.Encoder, source Source, name string) (Count, error) {
	status, err := source.FeedStatus(ctx, name)
	if err != nil {
		return Count{}, err
	}
	count := Count{Name: name, LastSuccess: status.LastSuccess}
	for _, part := range status.Parts {
		if part.Checked.IsZero() {
			continue // it was never read
		}
		part.Error = ""
		if err := lines.Encode(line{Feed: name, Part: &part}); err != nil {
			return Count{}, err
		}
		count.Parts++
		if part.OfScores() {
			if err := exportScores(ctx, lines, source); err != nil {
				return Count{}, err
			}
			continue
		}
		if name == redHatRepositories {
			if err := exportProducts(ctx, lines, source); err != nil {
				return Count{}, err
			}
			continue
		}
		if err := source.Groups(ctx, name, part.Part, func(e feed.Entry) error {
			count.Groups++
			return lines.Encode(line{Group: &group{Name: e.Name, Fingerprint: e.Fingerprint[:], Advisories: e.Advisories, Details: e.Details}})
		}); err != nil {
			return Count{}, err
		}
	}
	return count, nil
}

func exportScores(ctx context.Context, lines *json.Encoder, source Source) error {
	const some = 1000
	l := line{Scores: make([]feed.Score, 0, some)}
	err := source.Scores(ctx, func(s feed.Score) error {
		if l.Scores = append(l.Scores, s); len(l.Scores) < some {
			return nil
		}
		err := lines.Encode(l)
		l.Scores = l.Scores[:0]
		return err
	})
	if err != nil || len(l.Scores) == 0 {
		return err
	}
	return lines.Encode(l)
}

// redHatRepositories is the feed that tells of products instead of vulnerabilities.
const redHatRepositories = "redhat-repositories"

func exportProducts(ctx context.Context, lines *json.Encoder, source Source) error {
	all, err := source.AllProducts(ctx)
	if err != nil {
		return err
	}
	const some = 500
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(all)), some) {
		products := make(match.Products, len(ids))
		for _, id := range ids {
			products[id] = all[id]
		}
		if err := lines.Encode(line{Products: products}); err != nil {
			return err
		}
	}
	return nil
}

// counter counts what goes through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
