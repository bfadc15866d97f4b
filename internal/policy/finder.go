package policy

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/pratique/pratique/internal/assess"
)

// What Find says of references that name no image here.
var (
	// ErrReference is returned for text that is no reference of an image.
	ErrReference = errors.New("not the name of an image")
	// ErrElsewhere is returned for an image of another server's.
	ErrElsewhere = errors.New("the image is not on this server")
	// ErrAbsent is returned for an image that would be here, and is not.
	ErrAbsent = errors.New("this server has no such image")
)

// FinderStore knows what tags and digests name.
type FinderStore interface {
	// ManifestDigest returns the digest of the manifest that a tag, or a digest,
	// names in a repository, or ErrNotFound.
	ManifestDigest(ctx context.Context, registry, repository, reference string) (string, error)
}

// Finder finds the images that references name.
type Finder struct {
	store   FinderStore
	baseURL func(context.Context) string
}

// NewFinder returns a finder for a server that is reached at baseURL, which may
// be "".
func NewFinder(store FinderStore, baseURL func(context.Context) string) *Finder {
	return &Finder{store: store, baseURL: baseURL}
}

// host is the server's own, "" where it is not known.
func (f *Finder) host(ctx context.Context) string {
	u, err := url.Parse(f.baseURL(ctx))
	if err != nil {
		return ""
	}
	return canonical(u.Host)
}

// Find returns what a reference such as registry.example.com/main/app:1 asks
// for. The server is known by its base URL and by hosts; bare says that a
// reference without a host means this server, else it means Docker Hub, as it
// does to docker. It returns ErrReference, ErrElsewhere or ErrAbsent.
func (f *Finder) Find(ctx context.Context, text string, hosts []string, bare bool) (Pull, error) {
	const longest = 1024
	if len(text) > longest {
		return Pull{}, fmt.Errorf("%w: it has more than %d bytes", ErrReference, longest)
	}
	if bare && !hasHost(text) {
		text = here + "/" + text
	}
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return Pull{}, fmt.Errorf("%w: %q: %w", ErrReference, strings.TrimPrefix(text, here+"/"), err)
	}
	host, path := canonical(reference.Domain(named)), reference.Path(named)
	own := f.host(ctx)
	if !(bare && host == here) && (own == "" || host != own) && !slices.ContainsFunc(hosts, func(h string) bool { return canonical(h) == host }) {
		return Pull{}, fmt.Errorf("%s: %w", text, ErrElsewhere)
	}
	registry, repository, _ := strings.Cut(path, "/")
	pull := Pull{Place: assess.Place{Registry: registry, Repository: repository}}
	asked := "latest"
	if tagged, ok := named.(reference.Tagged); ok {
		asked = tagged.Tag()
	}
	pull.Tag = asked
	if digested, ok := named.(reference.Digested); ok {
		pull.ByDigest, asked = true, digested.Digest().String()
		if _, tagged := named.(reference.Tagged); !tagged {
			pull.Tag = ""
		}
	}
	pull.Digest, err = f.store.ManifestDigest(ctx, registry, repository, asked)
	if errors.Is(err, ErrNotFound) {
		return Pull{}, fmt.Errorf("%s: %w", strings.TrimPrefix(text, here+"/"), ErrAbsent)
	}
	return pull, err
}

// here stands for this server in references without a host. Nobody can have it.
const here = "this.server.invalid"

// hasHost reports whether a reference begins with a host, as docker tells: by a
// dot, a colon, or by the word localhost.
func hasHost(text string) bool {
	first, _, more := strings.Cut(text, "/")
	return more && (strings.ContainsAny(first, ".:") || first == "localhost")
}

// canonical is a host without the port that https has anyway.
func canonical(host string) string { return strings.TrimSuffix(strings.ToLower(host), ":443") }
