package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/report"
)

// maxBill bounds a bill of materials, in bytes.
const maxBill = 64 << 20

// readBill reads a software bill of materials. What it returns is an inventory
// without layers.
func readBill(io.Reader) (inventory.Image, error) {
	return inventory.Image{}, errors.New("bills of materials cannot be read yet; scan the image itself")
}

// scanBill judges what a bill of materials lists, and adds it to the report.
func (s *Scanner) scanBill(ctx context.Context, r *report.Report, req ScanRequest, policy assess.Policy) error {
	path := req.Target.Rest
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", req.Target, err)
	}
	defer f.Close()
	hash := sha256.New()
	bounded := &io.LimitedReader{R: f, N: maxBill + 1}
	found, err := s.readBill(io.TeeReader(bounded, hash))
	if bounded.N == 0 {
		err = fmt.Errorf("it has more than %d bytes", maxBill)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", req.Target, err)
	}
	// A reader need not read on where its document ends.
	if _, err := io.Copy(hash, bounded); err != nil {
		return fmt.Errorf("%s: %w", req.Target, err)
	}
	id, err := s.store.SaveInventory(ctx, "bill/1:"+hex.EncodeToString(hash.Sum(nil)), found, match.Package)
	if err != nil {
		return fmt.Errorf("%s: %w", req.Target, err)
	}
	return s.add(ctx, r, path, image.Image{State: image.Done}, id, found, req, policy)
}
