package builtin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/sbom"
)

// What bills may add to one image.
const (
	maxBills     = 20 // manifests
	maxDocuments = 10 // of one manifest
	maxStated    = 100_000
)

// Unreadable is the code of warnings of bills and layers that cannot be read.
const unreadable = "unreadable"

// ManifestDeleted takes note of a manifest that a repository no longer has: the
// bills in it, or those of an image that is elsewhere, too, count no longer.
func (a *Analyser) ManifestDeleted(ctx context.Context, digest, mediaType string, content []byte) error {
	m, err := registry.Parse(mediaType, content)
	if err != nil {
		return err
	}
	subjects := []string{digest}
	for _, b := range m.Bills {
		subjects = append(subjects, b.Subject)
	}
	return a.Reconsider(ctx, subjects, digest+"-")
}

// Reconsider has those of the digests that are images settled anew, after their
// bills may have changed for the cause, which tells one change from another.
func (a *Analyser) Reconsider(ctx context.Context, digests []string, cause string) error {
	const page = 500
	for ; len(digests) > 0; digests = digests[min(page, len(digests)):] {
		known, err := a.store.KnownImages(ctx, digests[:min(page, len(digests))])
		if err != nil {
			return err
		}
		for _, d := range known {
			if err := a.queue.EnqueueImage(ctx, d, cause); err != nil {
				return fmt.Errorf("queue image %s: %w", d, err)
			}
		}
		// A push that adds a bill to an image or two should find it there.
		const few = 10
		for _, d := range known[:min(few, len(known))] {
			if _, err := a.settle(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// SettleImage brings an image's inventory up to date with its layers and bills.
func (a *Analyser) SettleImage(ctx context.Context, digest string) error {
	known, err := a.store.KnownImages(ctx, []string{digest})
	if err != nil || len(known) == 0 {
		return err
	}
	_, err = a.settle(ctx, digest)
	return err
}

// addBills adds what bills state of an image to what was found in its layers.
// They can add only: what was found stays as it is, and a package of the same
// name and version is not listed twice.
func (a *Analyser) addBills(ctx context.Context, img *inventory.Image, c chain) error {
	if len(c.bills) == 0 {
		return nil
	}
	stated := stating{img: img, layer: len(c.digests), known: make(map[identity]bool, len(img.Packages))}
	for _, p := range img.Packages {
		stated.known[identityOf(p.Package)] = true
	}
	for i, digest := range c.bills {
		if i == maxBills {
			stated.warn(digest, inventory.Limit, fmt.Sprintf("only the first %d manifests with bills are read", maxBills))
			break
		}
		if err := a.addManifest(ctx, &stated, digest); err != nil {
			return fmt.Errorf("bill %s: %w", digest, err)
		}
	}
	return nil
}

func (a *Analyser) addManifest(ctx context.Context, stated *stating, digest string) error {
	_, content, err := a.store.ManifestByDigest(ctx, digest)
	if err != nil {
		return err
	}
	documents, err := registry.Documents(content)
	if err != nil {
		stated.warn(digest, unreadable, err.Error())
		return nil
	}
	for i, r := range documents {
		if i == maxDocuments {
			stated.warn(digest, inventory.Limit, fmt.Sprintf("only the first %d bills are read", maxDocuments))
			break
		}
		document, err := a.readBill(ctx, r.Digest)
		switch {
		case errors.Is(err, sbom.ErrFormat), errors.Is(err, errGone):
			stated.warn(digest, unreadable, err.Error())
		case err != nil:
			return err
		default:
			stated.add(digest, document)
		}
	}
	return nil
}

var errGone = errors.New("its content is not stored")

func (a *Analyser) readBill(ctx context.Context, digest string) (sbom.Document, error) {
	exists, err := a.blobs.Exists(ctx, digest)
	if err != nil {
		return sbom.Document{}, err
	}
	if !exists {
		return sbom.Document{}, errGone
	}
	content, err := a.blobs.Open(ctx, digest)
	if err != nil {
		return sbom.Document{}, err
	}
	defer content.Close()
	return sbom.Read(content, sbom.Limits{})
}

// identity is by what a bill and an analysis are taken to mean the same package.
type identity struct{ kind, name, version string }

func identityOf(p inventory.Package) identity {
	name := p.Name
	switch p.Type {
	case "nuget", "composer", "golang", "npm":
		name = strings.ToLower(name)
	}
	return identity{p.Type, name, p.Version}
}

// stating adds what bills state to an inventory.
type stating struct {
	img   *inventory.Image
	layer int // the index of what is in no layer
	known map[identity]bool
	added int
}

func (s *stating) warn(digest, code, message string) {
	s.img.Warnings = append(s.img.Warnings, inventory.Warning{Code: code, Path: referrer(digest), Message: message})
}

// referrer is where a package was found that a manifest states.
func referrer(digest string) string { return "referrer:" + digest }

func (s *stating) add(digest string, d sbom.Document) {
	for _, w := range d.Warnings {
		if w.Code != inventory.NoDistribution { // the image may tell it
			s.warn(digest, w.Code, w.Message)
		}
	}
	homeless := 0
	for _, p := range d.Packages {
		if s.known[identityOf(p.Package)] {
			continue
		}
		if s.added == maxStated {
			s.warn(digest, inventory.Limit, fmt.Sprintf("only the first %d packages are read", maxStated))
			break
		}
		s.added++
		s.known[identityOf(p.Package)] = true
		if (inventory.Distribution{}).Makes(p.Type) && p.Distribution == "" {
			if s.img.Distribution.ID == "" || !s.img.Distribution.Makes(p.Type) {
				homeless++
			} else {
				p.Distribution = s.img.Distribution.String()
			}
		}
		evidence := p.Evidence
		if p.Path != "" {
			evidence = strings.TrimPrefix(evidence+", at "+p.Path, ", ")
		}
		s.img.Packages = append(s.img.Packages, inventory.Installed{
			Package: p.Package, LayerIndex: s.layer, Path: referrer(digest), Detector: "sbom", Evidence: evidence,
		})
	}
	if homeless > 0 {
		s.warn(digest, inventory.NoDistribution, fmt.Sprintf("the distribution of %d packages cannot be told", homeless))
	}
}
