package target_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/target"
	tt "github.com/pratique/pratique/internal/target/targettest"
)

// server is a registry of one repository, app, that can be made to misbehave.
type server struct {
	*httptest.Server
	files tt.Files
	tags  map[string]tt.Descriptor

	user, password string
	// realm is where tokens are had; Basic authentication where empty.
	realm string
	// breaks is how many downloads of layers break off half way; silent ones
	// stop and stay open. noRanges ignores Range.
	breaks           int
	silent, noRanges bool
	// redirect is where blobs are, "" for here.
	redirect string
	// manifest changes what is sent of a manifest.
	manifest func([]byte) []byte

	mu       sync.Mutex
	requests []*http.Request
}

func newServer(t *testing.T, start func(http.Handler) *httptest.Server) *server {
	t.Helper()
	s := &server{files: tt.Files{}, tags: make(map[string]tt.Descriptor)}
	s.Server = start(s)
	t.Cleanup(s.Close)
	// Nobody's own credentials get into a test.
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("REGISTRY_AUTH_FILE", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	return s
}

func (s *server) host() string {
	_, host, _ := strings.Cut(s.URL, "://")
	return host
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	user, password, basic := r.BasicAuth()
	right := basic && user == s.user && password == s.password
	if r.URL.Path == "/token" {
		if !right {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"token":"the-token"}`)
		return
	}
	if s.user != "" && !right && r.Header.Get("Authorization") != "Bearer the-token" {
		challenge := `Basic realm="x"`
		if s.realm != "" {
			challenge = fmt.Sprintf(`Bearer realm=%q,service="x",scope="repository:app:pull"`, s.realm)
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	kind, at, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/app/"), "/")
	switch kind {
	case "manifests":
		s.serveManifest(w, at)
	case "blobs":
		if s.redirect != "" {
			http.Redirect(w, r, s.redirect+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		s.serveBlob(w, r, at)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

func (s *server) serveManifest(w http.ResponseWriter, at string) {
	if d, tagged := s.tags[at]; tagged {
		at = d.Digest()
	}
	content, ok := s.files[tt.Path(at)]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	mediaType := registry.MediaTypeImage
	if bytes.Contains(content, []byte(`"manifests"`)) {
		mediaType = registry.MediaTypeIndex
	}
	if s.manifest != nil {
		content = s.manifest(content)
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", at)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
}

func (s *server) serveBlob(w http.ResponseWriter, r *http.Request, digest string) {
	content, ok := s.files[tt.Path(digest)]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if s.breaks > 0 && len(content) > 100_000 {
		s.breaks--
		from := 0
		if !s.noRanges {
			w.Header().Set("Accept-Ranges", "bytes")
			if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
			}
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(content)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = w.Write(content[from : from+(len(content)-from)/2])
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		if s.silent {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
	if s.noRanges {
		_, _ = w.Write(content)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// count counts requests with a part of the path.
func (s *server) count(part string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if strings.Contains(r.URL.Path, part) {
			n++
		}
	}
	return n
}

// push stores an image under a tag.
func (s *server) push(t *testing.T, tag string, layers ...tt.Layer) tt.Descriptor {
	t.Helper()
	d := s.files.Image(t, "linux/amd64", layers...)
	s.tags[tag] = d
	return d
}

func (s *server) open(t *testing.T, reference string, remote target.Remote) (*target.Image, error) {
	t.Helper()
	name, err := target.Parse(s.host() + "/app" + reference)
	if err != nil {
		t.Fatal(err)
	}
	source, err := target.Open(t.Context(), name, target.Options{Remote: remote})
	if err != nil {
		return nil, err
	}
	return source.Images[0], nil
}

// big is a layer that is more than one packet.
func big() tt.Layer {
	return tt.PlainLayer("COPY big", bytes.Repeat([]byte("0123456789"), 100_000))
}

func TestRemote(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, start)
			base, upper := layerOf(t, "a", "a"), big()
			manifest := s.push(t, "1", base, upper)
			s.tags["all"] = s.files.Index(t, manifest.For("linux/amd64"), s.push(t, "x", upper).For("linux/s390x"))
			for _, reference := range []string{":1", "@" + manifest.Digest()} {
				img, err := s.open(t, reference, target.Remote{})
				if err != nil {
					t.Fatal(err)
				}
				if img.Digest != manifest.Digest() || img.Name != s.host()+"/app"+reference {
					t.Errorf("got %+v", img)
				}
				sameContents(t, img, base.Content, upper.Content)
			}
			text := s.host() + "/app:all"
			images, err := open(t, text, "linux/s390x")
			if err != nil || len(images[0].Layers) != 1 {
				t.Errorf("got %+v, %v", images, err)
			}
			if images, err = open(t, text, "all"); err != nil || len(images) != 2 {
				t.Errorf("got %+v, %v", images, err)
			}
		})
	}
}

func TestRemoteCredentials(t *testing.T) {
	s := newServer(t, httptest.NewServer)
	s.push(t, "1", layerOf(t, "a", "a"))
	s.user, s.password = "me", "right"
	stored := func(host, password string) []byte {
		return tt.JSON(t, map[string]any{"auths": map[string]any{host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("me:" + password))}}})
	}
	for _, realm := range []string{"", s.URL + "/token"} {
		s.realm = realm
		for _, test := range []struct {
			name           string
			remote         target.Remote
			docker, podman []byte
			want           error
		}{
			{"given", target.Remote{Username: "me", Password: "right"}, nil, nil, nil},
			{"wrong", target.Remote{Username: "me", Password: "wrong"}, nil, nil, target.ErrUnauthorized},
			{"none", target.Remote{}, nil, nil, target.ErrUnauthorized},
			{"docker's", target.Remote{}, stored(s.host(), "right"), nil, nil},
			{"podman's", target.Remote{}, nil, stored(s.host(), "right"), nil},
			{"of another registry", target.Remote{}, stored("other.example", "right"), nil, target.ErrUnauthorized},
			{"given before docker's", target.Remote{Username: "me", Password: "right"}, stored(s.host(), "wrong"), nil, nil},
		} {
			t.Run(test.name+" "+strconv.Itoa(len(realm)), func(t *testing.T) {
				dir := t.TempDir()
				t.Setenv("DOCKER_CONFIG", dir)
				t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(dir, "auth.json"))
				for name, content := range map[string][]byte{"config.json": test.docker, "auth.json": test.podman} {
					if content != nil {
						if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
							t.Fatal(err)
						}
					}
				}
				_, err := s.open(t, ":1", test.remote)
				if !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if err != nil && (strings.Contains(err.Error(), "right") || strings.Contains(err.Error(), "wrong")) {
					t.Errorf("the password is told: %v", err)
				}
			})
		}
	}
}

// A registry cannot have a password sent to some other place that it names.
func TestRemoteRealmElsewhere(t *testing.T) {
	s, thief := newServer(t, httptest.NewServer), newServer(t, httptest.NewServer)
	s.push(t, "1", layerOf(t, "a", "a"))
	s.user, s.password = "me", "right"
	for _, realm := range []string{"http://127.1.2.3:1/token", "ftp://" + thief.host() + "/token", "http://169.254.169.254/token"} {
		s.realm = realm
		if _, err := s.open(t, ":1", target.Remote{Username: "me", Password: "right"}); err == nil || !strings.Contains(err.Error(), "realm") {
			t.Errorf("%s: got %v", realm, err)
		}
	}
}

func TestRemoteRedirectTakesNoCredentials(t *testing.T) {
	s, store := newServer(t, httptest.NewServer), newServer(t, httptest.NewServer)
	layer := big()
	s.push(t, "1", layer)
	store.files, s.redirect = s.files, store.URL
	s.user, s.password = "me", "right"
	img, err := s.open(t, ":1", target.Remote{Username: "me", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	sameContents(t, img, layer.Content)
	if n := store.count("/blobs/"); n < 2 {
		t.Errorf("%d requests for blobs", n)
	}
	for _, r := range store.requests {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s: it got the credentials", r.URL)
		}
	}
}

func TestDownloadGoesOn(t *testing.T) {
	for _, test := range []struct {
		name             string
		breaks           int
		silent, noRanges bool
		fails            bool
	}{
		{"with ranges", 3, false, false, false},
		{"without ranges", 2, false, true, false},
		{"silence", 1, true, false, false},
		{"never", 100, false, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, httptest.NewServer)
			layer := big()
			s.push(t, "1", layer)
			s.breaks, s.silent, s.noRanges = test.breaks, test.silent, test.noRanges
			img, err := s.open(t, ":1", target.Remote{Idle: 200 * time.Millisecond, Pause: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			content, err := img.Layer(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(content)
			if test.fails {
				if err == nil || !strings.Contains(err.Error(), "broke off") {
					t.Errorf("got %v", err)
				}
			} else if err != nil || !bytes.Equal(got, layer.Content) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if err := content.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRemoteRefuses(t *testing.T) {
	s := newServer(t, httptest.NewServer)
	layer := layerOf(t, "a", "a")
	manifest := s.push(t, "1", layer)
	if _, err := s.open(t, ":2", target.Remote{}); !errors.Is(err, target.ErrMissing) {
		t.Errorf("no such tag: got %v", err)
	}
	s.manifest = func(content []byte) []byte { return append(content, ' ') }
	for _, reference := range []string{":1", "@" + manifest.Digest()} {
		if _, err := s.open(t, reference, target.Remote{}); err == nil || !strings.Contains(err.Error(), "digest mismatch") {
			t.Errorf("%s: got %v", reference, err)
		}
	}
	s.manifest = func([]byte) []byte { return bytes.Repeat([]byte(" "), 5<<20) }
	if _, err := s.open(t, ":1", target.Remote{}); err == nil || !strings.Contains(err.Error(), "4194304") {
		t.Errorf("large manifest: got %v", err)
	}
	s.manifest = nil
	delete(s.files, tt.Path(layer.Digest()))
	img, err := s.open(t, ":1", target.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := img.Layer(t.Context(), 0); !errors.Is(err, target.ErrMissing) || !strings.Contains(err.Error(), layer.Digest()) {
		t.Errorf("missing layer: got %v", err)
	}
	s.Close()
	if _, err := s.open(t, ":1", target.Remote{}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: got %v", err)
	}
}

// Of a layer that is kept elsewhere, the URLs are not followed: who makes a
// manifest could have anything asked for.
func TestRemoteForeignLayer(t *testing.T) {
	s, elsewhere := newServer(t, httptest.NewServer), newServer(t, httptest.NewServer)
	layer := layerOf(t, "a", "a")
	config := s.files.Blob("application/vnd.oci.image.config.v1+json", tt.Config(t, "linux/amd64", layer))
	foreign := tt.Descriptor{
		"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": layer.Digest(), "size": len(layer.Content),
		"urls": []string{elsewhere.URL + "/layer", "http://169.254.169.254/"},
	}
	s.tags["1"] = s.files.Blob(registry.MediaTypeImage, tt.JSON(t, map[string]any{
		"schemaVersion": 2, "mediaType": registry.MediaTypeImage, "config": config, "layers": []any{foreign},
	}))
	img, err := s.open(t, ":1", target.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := img.Layer(t.Context(), 0); !errors.Is(err, target.ErrMissing) || !img.Layers[0].Foreign {
		t.Errorf("got %v, %+v", err, img.Layers[0])
	}
	if n := elsewhere.count("/"); n > 0 {
		t.Errorf("%d requests elsewhere", n)
	}
	s.files.Blob("", layer.Content) // some registries have it all the same
	sameContents(t, img, layer.Content)
}
