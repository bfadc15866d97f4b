package indexing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/pratique/pratique/internal/clairapi"
)

// index downloads and analyses a layer that is not known by its name, or was
// indexed by other detectors.
func (s *Service) index(ctx context.Context, r Request) error {
	parent, err := s.parent(ctx, r)
	if err != nil {
		return err
	}
	var above []string
	if parent != "" {
		chain, err := s.store.ClairChain(ctx, parent)
		if errors.Is(err, clairapi.ErrNotFound) {
			return fmt.Errorf("layer %s: %w: %s", r.Name, clairapi.ErrUnknownParent, parent)
		}
		if err != nil {
			return fmt.Errorf("layer %s: %w", r.Name, err)
		}
		if len(chain) >= clairapi.MaxChain {
			return fmt.Errorf("layer %s: %w: more than %d", r.Name, clairapi.ErrChainTooLong, clairapi.MaxChain)
		}
		above = digestsOf(chain)
		// Ancestors that other detectors read are to be sent again.
		if known, err := s.known(ctx, above); err != nil {
			return fmt.Errorf("layer %s: %w", r.Name, err)
		} else if !known {
			return fmt.Errorf("layer %s: %w: %s is to be indexed again", r.Name, clairapi.ErrUnknownParent, parent)
		}
	}
	digest, err := s.analyse(ctx, r)
	if err != nil {
		return fmt.Errorf("layer %s: %w", r.Name, err)
	}
	from := originOf(r.URL)
	id, err := s.indexer.Inventory(ctx, append(above, digest), from)
	if err != nil {
		return fmt.Errorf("layer %s: %w", r.Name, err)
	}
	return s.store.SaveClairLayer(ctx, clairapi.Layer{Name: r.Name, ParentName: parent, Digest: digest, Format: r.Format, InventoryID: id, Origin: from, Detectors: s.indexer.State()})
}

// parent is the parent that counts: the first that was ever given.
func (s *Service) parent(ctx context.Context, r Request) (string, error) {
	chain, err := s.store.ClairChain(ctx, r.Name)
	if err == nil {
		return chain[len(chain)-1].ParentName, nil
	}
	if !errors.Is(err, clairapi.ErrNotFound) {
		return "", fmt.Errorf("layer %s: %w", r.Name, err)
	}
	if r.ParentName != "" && !clairapi.ValidName(r.ParentName) {
		return "", fmt.Errorf("layer %s: %w", r.Name, clairapi.ErrUnknownParent)
	}
	return r.ParentName, nil
}

var sha256Digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// analyse returns the digest of the layer, whose analysis is stored then.
//
// A layer that is named by its digest (ProGet, reg) and known, from a push to
// the registry or under another name, is not downloaded. So someone who knows
// the digest of a blob that he may not read can have its packages listed;
// digests cannot be guessed, and this API knows no rights anyway. The bytes
// that come under such a name must have that digest, or one client could pass
// off a harmless layer as another's.
func (s *Service) analyse(ctx context.Context, r Request) (string, error) {
	named := sha256Digest.MatchString(r.Name)
	if named {
		if known, err := s.indexer.Known(ctx, r.Name); err != nil {
			return "", err
		} else if known {
			return r.Name, nil
		}
	}
	body, err := s.fetch(ctx, r.Client, r.URL, downloadHeader(r.Header))
	if err != nil {
		return "", err
	}
	defer body.Close()
	source := &source{inner: body}
	digest, err := s.indexer.Index(ctx, source)
	switch {
	case source.failed != nil:
		return "", fmt.Errorf("%w: %w", ErrDownload, source.failed)
	case err != nil:
		return "", err
	case named && digest != r.Name:
		return "", fmt.Errorf("%w: %s", ErrDigest, digest)
	}
	return digest, nil
}

// source remembers that reading failed, whatever becomes of the error on its
// way through the analysis: then the layer is not to blame.
type source struct {
	inner  io.Reader
	failed error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.inner.Read(p)
	if err != nil && err != io.EOF {
		s.failed = err
	}
	return n, err
}

// downloadHeader is what is sent to the registry. ProGet's extension misspells
// Authorization; klar sends it empty where it has none.
func downloadHeader(given map[string]string) http.Header {
	const misspelt, name = "Autorization", "Authorization"
	header := make(http.Header, len(given))
	alias := ""
	for k, v := range given {
		switch {
		case strings.EqualFold(k, misspelt):
			alias = v
		case strings.EqualFold(k, name):
			if v != "" {
				header.Set(name, v)
			}
		default:
			header[k] = append(header[k], v) // egress judges the names
		}
	}
	if alias != "" && header.Get(name) == "" {
		header.Set(name, alias)
	}
	return header
}
