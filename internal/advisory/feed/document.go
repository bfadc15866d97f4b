package feed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// Document is a fetched document, spooled so that it can be read twice.
type Document struct {
	// Location is where it was read.
	Location string
	// Digest is "sha256:" and the hex of the content, decompressed.
	Digest string
	// Size is in bytes, decompressed.
	Size int64
	// Validators are for the next request.
	Validators
	file *os.File
}

// Reader reads the document from its start.
func (d *Document) Reader() io.Reader { return io.NewSectionReader(d.file, 0, d.Size) }

// Close gives its disk space back.
func (d *Document) Close() error {
	removed := os.Remove(d.file.Name())
	if errors.Is(removed, os.ErrNotExist) {
		removed = nil
	}
	return errors.Join(d.file.Close(), removed)
}

var (
	errTooLarge = errors.New("the document is too large")
	errPage     = errors.New("the answer is a web page")
)

// spool copies content to a temporary file. Where the system allows, the file
// has no name any more: it goes with the process, however that ends.
func (f *Fetcher) spool(content io.Reader, location string) (doc *Document, err error) {
	file, err := os.CreateTemp(f.opts.TempDir, "pratique-feed-*")
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	_ = os.Remove(file.Name()) // else Close does
	doc = &Document{Location: location, file: file}
	defer func() {
		if err != nil {
			err = errors.Join(err, doc.Close())
			doc = nil
		}
	}()
	var head bytes.Buffer
	if _, err = io.CopyN(&head, content, 512); err != nil && err != io.EOF { // CopyN passes a broken source's error on
		return doc, err
	}
	if head.Len() == 0 {
		return doc, ErrEmpty
	}
	if strings.HasPrefix(http.DetectContentType(head.Bytes()), "text/html") {
		return doc, errPage
	}
	hash := sha256.New()
	limited := io.LimitReader(io.MultiReader(&head, content), f.opts.MaxSize+1)
	if doc.Size, err = io.Copy(io.MultiWriter(file, hash), limited); err != nil {
		return doc, err
	}
	if doc.Size > f.opts.MaxSize {
		return doc, fmt.Errorf("%w: the limit is %d bytes", errTooLarge, f.opts.MaxSize)
	}
	doc.Digest = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	return doc, nil
}
