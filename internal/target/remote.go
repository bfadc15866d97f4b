package target

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/image"
	manifests "github.com/pratique/pratique/internal/oci/registry"
)

// Remote says how registries are talked to. The zero value is usable.
type Remote struct {
	// Username and Password are for the registry of the target; where there is no
	// Username, the configuration of docker says, or that of podman.
	Username, Password string
	// Insecure allows plain HTTP and certificates that nobody vouches for. It is
	// set for this machine, as docker has it.
	Insecure bool
	// UserAgent is sent with every request.
	UserAgent string
	// Idle is how long a download may rest before it is begun again; a minute
	// where zero.
	Idle time.Duration
	// Pause is how long to wait before a download goes on where it broke off; it
	// doubles each time; 200 ms where zero.
	Pause time.Duration
}

// repository is a repository of a registry.
type repository struct {
	*remote.Repository
	opts Remote
	// top is the manifest that the reference led to.
	top    descriptor
	topRaw []byte
}

// openRemote opens an image of a registry. Layers that are kept elsewhere are
// asked for at the registry, and never at the URLs that a manifest gives.
func openRemote(ctx context.Context, named reference.Named, choice choice, opts Remote) (*Source, error) {
	if opts.Idle == 0 {
		opts.Idle = time.Minute
	}
	if opts.Pause == 0 {
		opts.Pause = 200 * time.Millisecond
	}
	r, err := newRepository(ctx, named, opts)
	if err != nil {
		return nil, err
	}
	if err := r.resolve(ctx, named); err != nil {
		return nil, err
	}
	images, err := choice.images(ctx, r, named.String(), []descriptor{r.top})
	if err != nil {
		return nil, err
	}
	return &Source{Images: images}, nil
}

func newRepository(ctx context.Context, named reference.Named, opts Remote) (*repository, error) {
	host := reference.Domain(named)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
	r := &repository{opts: opts, Repository: &remote.Repository{
		Reference:          registry.Reference{Registry: host, Repository: reference.Path(named)},
		MaxMetadataBytes:   maxManifest,
		ManifestMediaTypes: []string{manifests.MediaTypeIndex, manifests.MediaTypeImage, manifests.MediaTypeDockerList, manifests.MediaTypeDockerImage},
	}}
	if opts.Insecure || isLocal(host) {
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // asked for, or this machine
		plain, err := speaksPlain(ctx, transport, host)
		if err != nil {
			return nil, err
		}
		r.PlainHTTP = plain
	}
	client := &auth.Client{
		Client: &http.Client{Transport: retry.NewTransport(transport)},
		Cache:  auth.NewCache(),
	}
	if opts.Insecure {
		client.BlockedRealmPrefixes = []netip.Prefix{}
	}
	client.SetUserAgent(opts.UserAgent)
	if opts.Username != "" {
		client.Credential = auth.StaticCredential(r.Reference.Host(), auth.Credential{Username: opts.Username, Password: opts.Password})
	} else {
		stored, err := storedCredentials()
		if err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		client.Credential = credentials.Credential(stored)
	}
	r.Client = client
	return r, nil
}

// storedCredentials are those that `docker login` wrote, then those of podman.
func storedCredentials() (credentials.Store, error) {
	var stores []credentials.Store
	if docker, err := credentials.NewStoreFromDocker(credentials.StoreOptions{}); err == nil {
		stores = append(stores, docker)
	} else if home, _ := os.UserHomeDir(); home != "" || os.Getenv("DOCKER_CONFIG") != "" {
		return nil, err
	}
	path := os.Getenv("REGISTRY_AUTH_FILE")
	if dir := os.Getenv("XDG_RUNTIME_DIR"); path == "" && dir != "" {
		path = dir + "/containers/auth.json"
	}
	if path != "" {
		podman, err := credentials.NewStore(path, credentials.StoreOptions{})
		if err != nil {
			return nil, err
		}
		stores = append(stores, podman)
	}
	if len(stores) == 0 {
		return credentials.NewMemoryStore(), nil
	}
	return credentials.NewStoreWithFallbacks(stores[0], stores[1:]...), nil
}

// isLocal reports hosts that are this machine.
func isLocal(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	address, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && address.IsLoopback()
}

// speaksPlain finds out, without credentials, whether a registry speaks HTTP
// where it does not speak HTTPS.
func speaksPlain(ctx context.Context, transport http.RoundTripper, host string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ping := func(scheme string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+host+"/v2/", nil)
		if err != nil {
			return err
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
	encrypted := ping("https")
	if encrypted == nil {
		return false, nil
	}
	if err := ping("http"); err != nil {
		return false, fmt.Errorf("registry %s: %w, and over http: %w", host, encrypted, err)
	}
	return true, nil
}

// resolve reads the manifest that the reference leads to. A digest wins over a tag.
func (r *repository) resolve(ctx context.Context, named reference.Named) error {
	at, wanted := "", ""
	if tagged, ok := named.(reference.Tagged); ok {
		at = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		wanted = digested.Digest().String()
		at = wanted
	}
	found, content, err := r.Manifests().FetchReference(ctx, at)
	if err != nil {
		return explain(err)
	}
	defer content.Close()
	if r.topRaw, err = readBounded(content, maxManifest); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	r.top = descriptor{MediaType: found.MediaType, Digest: found.Digest.String(), Size: int64(len(r.topRaw))}
	if wanted != "" {
		r.top.Digest = wanted
	}
	return verify(r.top.Digest, r.topRaw)
}

// explain makes sentinels of a registry's answers.
func explain(err error) error {
	var answer *errcode.ErrorResponse
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return fmt.Errorf("%w: %w", ErrMissing, err)
	case errors.Is(err, auth.ErrBasicCredentialNotFound),
		errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%w: %w", ErrUnauthorized, err)
	}
	return err
}

func (d descriptor) oci() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: digest.Digest(d.Digest), Size: d.Size}
}

func (r *repository) manifest(ctx context.Context, d descriptor) ([]byte, error) {
	if d.Digest == r.top.Digest {
		return r.topRaw, nil
	}
	if _, _, err := blob.ParseDigest(d.Digest); err != nil {
		return nil, err
	}
	return r.fetch(ctx, r.Manifests(), d, maxManifest)
}

func (r *repository) config(ctx context.Context, d descriptor) ([]byte, error) {
	return r.fetch(ctx, r.Blobs(), d, maxConfig)
}

// fetcher fetches what a descriptor stands for.
type fetcher interface {
	Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error)
}

func (r *repository) fetch(ctx context.Context, from fetcher, d descriptor, limit int64) ([]byte, error) {
	content, err := from.Fetch(ctx, d.oci())
	if err != nil {
		return nil, explain(err)
	}
	defer content.Close()
	text, err := readBounded(content, limit)
	if err != nil {
		return nil, err
	}
	return text, verify(d.Digest, text)
}

func (r *repository) layer(ctx context.Context, l image.Layer) (io.ReadCloser, error) {
	d := descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}
	content, err := newDownload(ctx, r.Blobs(), d.oci(), r.opts)
	if err != nil {
		return nil, explain(err)
	}
	return content, nil
}
