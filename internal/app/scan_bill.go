package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/report"
	"github.com/pratique/pratique/internal/sbom"
	"github.com/pratique/pratique/internal/source/builtin"
)

// maxBill bounds a bill of materials, in bytes.
const maxBill = 64 << 20

// scanBill judges what a bill of materials lists, and adds it to the report.
func (s *Scanner) scanBill(ctx context.Context, r *report.Report, req ScanRequest, rules policy.Policy, tell func(image.Image)) error {
	path := req.Target.Rest
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", req.Target, err)
	}
	defer f.Close()
	hash := sha256.New()
	bounded := &io.LimitedReader{R: f, N: maxBill + 1}
	document, err := sbom.Read(io.TeeReader(bounded, hash), sbom.Limits{})
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
	document.Image.Warnings = append(document.Image.Warnings, builtin.Undetermined(document.Image.Packages)...)
	id, err := s.store.SaveInventory(ctx, "bill/2:"+hex.EncodeToString(hash.Sum(nil)), document.Image, match.Package)
	if err != nil {
		return fmt.Errorf("%s: %w", req.Target, err)
	}
	return s.add(ctx, r, path, image.Image{State: image.Done}, id, document.Image, req, rules, tell)
}
