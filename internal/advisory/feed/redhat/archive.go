package redhat

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// The bounds of an archive. Red Hat's has some 60,000 documents, of 100 MB at
// most, and 20 GB in all.
const (
	maxDocument = 256 << 20
	maxArchive  = 256 << 30
	maxFiles    = 2_000_000
	maxWindow   = 128 << 20
)

// archiveName is what archive_latest.txt names.
var archiveName = regexp.MustCompile(`^csaf_vex_([0-9]{4}-[0-9]{2}-[0-9]{2})\.tar\.zst$`)

// archivePath is a document's in the archive.
var archivePath = regexp.MustCompile(`^(?:\./)?(?:[A-Za-z0-9_-]+/)?([0-9]{4}/cve-[0-9]{4}-[0-9]{4,19}\.json)$`)

// archive is a file of all documents.
type archive struct {
	name string
	made time.Time // the day
}

// latest finds out which archive there is. feed.ErrNotPublished says that there is none.
func (c *crawl) latest(ctx context.Context) (_ archive, err error) {
	doc, err := c.Fetch(ctx, base+"archive_latest.txt", feed.Validators{})
	if err != nil {
		return archive{}, err
	}
	defer func() { err = errors.Join(err, doc.Close()) }()
	text, err := io.ReadAll(io.LimitReader(doc.Reader(), 200))
	if err != nil {
		return archive{}, err
	}
	a, err := parseArchiveName(string(text))
	if err != nil {
		return archive{}, fmt.Errorf("%s: %w", doc.Location, err)
	}
	return a, nil
}

// readArchive visits all documents of an archive.
func readArchive(ctx context.Context, r io.Reader, skipped *feed.Skipped, visit func(path string, r io.Reader) error) error {
	unpacked, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer unpacked.Close()
	files := tar.NewReader(&limited{r: unpacked, left: maxArchive})
	seen, documents := make(map[string]bool), 0
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		head, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("file %d: %w", n, err)
		}
		if n > maxFiles {
			return fmt.Errorf("file %d: more than %d files", n, maxFiles)
		}
		if head.Typeflag == tar.TypeDir {
			continue
		}
		path := archivePath.FindStringSubmatch(head.Name)
		switch {
		case path == nil || head.Typeflag != tar.TypeReg:
			skipped.Add(head.Name, "it is no document's file")
			continue
		case seen[path[1]]:
			skipped.Add(group(path[1]), "it is there twice; the first counts")
			continue
		}
		seen[path[1]] = true
		documents++
		if err := visit(path[1], files); err != nil {
			return err
		}
	}
	if documents == 0 {
		return errors.New("the archive has no documents")
	}
	// What follows the end is checked as the rest is.
	if _, err := io.Copy(io.Discard, &limited{r: unpacked, left: maxDocument}); err != nil {
		return fmt.Errorf("after the last file: %w", err)
	}
	return nil
}

func parseArchiveName(text string) (archive, error) {
	text = strings.TrimSpace(text)
	match := archiveName.FindStringSubmatch(text)
	if match == nil {
		return archive{}, fmt.Errorf("%.100q names no archive", text)
	}
	made, err := time.Parse(time.DateOnly, match[1])
	if err != nil {
		return archive{}, fmt.Errorf("%q names no archive: %w", text, err)
	}
	return archive{name: text, made: made}, nil
}
