package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/test/sample"
)

// upstreamOf is a registry behind a door that counts who comes, and can do harm.
type upstreamOf struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]int // by method and path
	harm  func(w http.ResponseWriter, r *http.Request) bool
}

func newUpstream(t *testing.T, s *server) *upstreamOf {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	u := &upstreamOf{asked: map[string]int{}}
	proxy := httputil.NewSingleHostReverseProxy(target)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.asked[r.Method+" "+r.URL.Path]++
		harm := u.harm
		u.mu.Unlock()
		if harm == nil || !harm(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstreamOf) does(harm func(w http.ResponseWriter, r *http.Request) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.harm = harm
}

// times counts those requests for good whose method and path begin so, and end so.
func (u *upstreamOf) times(method, end string) (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for request, times := range u.asked {
		if strings.HasPrefix(request, method+" ") && strings.HasSuffix(request, end) {
			n += times
		}
	}
	return n
}

// connect makes a registry that pulls through.
func connect(t *testing.T, s *server, registry, upstream string, more map[string]any) {
	t.Helper()
	body := map[string]any{"name": registry, "url": upstream, "username": "admin", "password": password}
	for k, v := range more {
		body[k] = v
	}
	if made := call[map[string]any](t, s, "POST", "/connectors", body, http.StatusCreated); made["has_password"] != true || strings.Contains(fmt.Sprint(made), password) {
		t.Fatalf("connector: %v", made)
	}
	if registry != "main" {
		call[struct{}](t, s, "POST", "/registries", map[string]any{"name": registry}, http.StatusCreated)
	}
	call[struct{}](t, s, "PUT", "/registries/"+registry+"/connectors", map[string]any{"connectors": []string{registry}}, http.StatusOK)
}

// get asks as a client does, and says whether the whole answer came.
func (s *server) get(t *testing.T, path string) (status int, body []byte, whole bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, false
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err == nil
}

// TestPullThrough: an image that only an upstream has is pulled, once for all who
// want it, found wanting, and still there when upstream is not.
func TestPullThrough(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		origin := start(t, t.TempDir())
		layer := muslImage(t)
		digest, err := origin.registry().Push(t.Context(), "main/app", "1", layer)
		if err != nil {
			t.Fatal(err)
		}
		upstream := newUpstream(t, origin)
		s := start(t, t.TempDir(), "--database", database, "--feeds-mirror", muslFeed(t), "--feeds", "alpine")
		updateFeeds(t, s)
		connect(t, s, "through", upstream.URL, map[string]any{"denied": []string{"main/secret*"}})
		type tested struct {
			OK      bool
			Message string
		}
		if got := call[tested](t, s, "POST", "/connectors/through/test", nil, http.StatusOK); !got.OK {
			t.Errorf("test: %+v", got)
		}
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				if status, _, _ := s.get(t, "/v2/through/main/app/manifests/1"); status != http.StatusOK {
					t.Errorf("manifest: %d", status)
				}
				if status, content, whole := s.get(t, "/v2/through/main/app/blobs/"+layer.Digest()); status != http.StatusOK || !whole || !bytes.Equal(content, layer.Content) {
					t.Errorf("blob: %d, %d bytes, whole %v", status, len(content), whole)
				}
			})
		}
		group.Wait()
		if m, b := upstream.times("GET", "/manifests/"+digest), upstream.times("GET", "/blobs/"+layer.Digest()); m != 1 || b != 1 {
			t.Errorf("upstream was asked %d times for the manifest and %d times for the blob by 50 clients", m, b)
		}
		waitFor(t, "the finding", func() bool { return len(findings(t, s, digest)) == 1 })
		if status, _, _ := s.get(t, "/v2/through/main/secrets/manifests/1"); status != http.StatusNotFound {
			t.Errorf("a denied repository: %d", status)
		}
		if status, _, _ := s.get(t, "/v2/through/main/app/manifests/2"); status != http.StatusNotFound {
			t.Errorf("a tag that upstream lacks: %d", status)
		}
		// A tag that moves upstream moves here once it is looked at again.
		second, err := origin.registry().Push(t.Context(), "main/app", "1", layer, marked(t, "second"))
		if err != nil {
			t.Fatal(err)
		}
		heads := upstream.times("HEAD", "/manifests/1")
		if _, content, _ := s.get(t, "/v2/through/main/app/manifests/1"); digestOf(content) != digest || upstream.times("HEAD", "/manifests/1") != heads {
			t.Error("the tag was asked for again too early")
		}
		s.clock.Advance(6 * time.Minute)
		if _, content, _ := s.get(t, "/v2/through/main/app/manifests/1"); digestOf(content) != second {
			t.Error("the tag did not move")
		}
		upstream.Close()
		s.clock.Advance(6 * time.Minute)
		if status, content, _ := s.get(t, "/v2/through/main/app/manifests/1"); status != http.StatusOK || digestOf(content) != second {
			t.Errorf("upstream is down: %d %s", status, content)
		}
		if status, content, _ := s.get(t, "/v2/through/main/app/blobs/"+layer.Digest()); status != http.StatusOK || !bytes.Equal(content, layer.Content) {
			t.Errorf("upstream is down: blob %d", status)
		}
		if status, text, _ := s.get(t, "/v2/through/main/app/manifests/3"); status != http.StatusBadGateway {
			t.Errorf("upstream is down, and nothing is here: %d %s", status, text)
		}
	})
}

// TestPullThroughPolicy: an image that its registry keeps out is not given even the
// first time.
func TestPullThroughPolicy(t *testing.T) {
	origin := start(t, t.TempDir())
	if _, err := origin.registry().Push(t.Context(), "main/app", "1", muslImage(t)); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), "--feeds-mirror", muslFeed(t), "--feeds", "alpine")
	updateFeeds(t, s)
	connect(t, s, "through", newUpstream(t, origin).URL, nil)
	call[struct{}](t, s, "PATCH", "/registries/through", map[string]any{"policy": map[string]any{"require_analysis": true}}, http.StatusOK)
	call[struct{}](t, s, "POST", "/assessments", map[string]any{"vulnerability": "CVE-2025-26519", "type": "Block", "scope": map[string]any{"kind": "registry", "value": "through"}}, http.StatusCreated)
	if status, text, _ := s.get(t, "/v2/through/main/app/manifests/1"); status != http.StatusForbidden || !strings.Contains(string(text), "CVE-2025-26519") {
		t.Errorf("%d %s", status, text)
	}
	if _, err := origin.registry().Push(t.Context(), "main/other", "1", marked(t, "no package")); err != nil {
		t.Fatal(err)
	}
	if status, text, _ := s.get(t, "/v2/through/main/other/manifests/1"); status != http.StatusOK {
		t.Errorf("an image that may be pulled: %d %s", status, text)
	}
}

// TestUpstreamThatHarms: whatever an upstream does, clients get no wrong bytes, and
// nothing wrong is kept.
func TestUpstreamThatHarms(t *testing.T) {
	origin := start(t, t.TempDir())
	s := start(t, t.TempDir())
	for name, test := range map[string]struct {
		harm           func(w http.ResponseWriter, r *http.Request, l sample.Layer) bool
		manifest, blob int
	}{
		"lies about a blob": {func(w http.ResponseWriter, r *http.Request, l sample.Layer) bool {
			if !strings.HasSuffix(r.URL.Path, l.Digest()) {
				return false
			}
			_, _ = w.Write(bytes.Repeat([]byte("x"), len(l.Content)))
			return true
		}, http.StatusOK, 0},
		"lies about a manifest": {func(w http.ResponseWriter, r *http.Request, _ sample.Layer) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			_, _ = io.WriteString(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
			return true
		}, http.StatusBadGateway, http.StatusNotFound},
		"gives a web page": {func(w http.ResponseWriter, r *http.Request, _ sample.Layer) bool {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>sign in</html>")
			return true
		}, http.StatusBadGateway, http.StatusNotFound},
		"gives without end": {func(w http.ResponseWriter, r *http.Request, l sample.Layer) bool {
			if !strings.HasSuffix(r.URL.Path, l.Digest()) {
				return false
			}
			for part := bytes.Repeat([]byte("x"), 1<<20); ; {
				if _, err := w.Write(part); err != nil {
					return true
				}
			}
		}, http.StatusOK, 0},
		"announces 10 GB": {func(w http.ResponseWriter, r *http.Request, l sample.Layer) bool {
			if !strings.HasSuffix(r.URL.Path, l.Digest()) {
				return false
			}
			w.Header().Set("Content-Length", "10737418240")
			_, _ = w.Write([]byte("x"))
			return true
		}, http.StatusOK, http.StatusBadGateway},
		"hangs": {func(_ http.ResponseWriter, r *http.Request, _ sample.Layer) bool {
			<-r.Context().Done()
			return true
		}, http.StatusBadGateway, http.StatusNotFound},
		"leads to a private address": {func(w http.ResponseWriter, r *http.Request, l sample.Layer) bool {
			if !strings.HasSuffix(r.URL.Path, l.Digest()) {
				return false
			}
			http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusTemporaryRedirect)
			return true
		}, http.StatusOK, http.StatusBadGateway},
		"leads to the metadata of a cloud": {func(w http.ResponseWriter, r *http.Request, _ sample.Layer) bool {
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusTemporaryRedirect)
			return true
		}, http.StatusBadGateway, http.StatusNotFound},
		"has enough": {func(w http.ResponseWriter, _ *http.Request, _ sample.Layer) bool {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}, http.StatusBadGateway, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			layer := marked(t, name)
			if _, err := origin.registry().Push(t.Context(), "main/app", "1", layer); err != nil {
				t.Fatal(err)
			}
			registry := strings.ReplaceAll(strings.ToLower(name), " ", "-")
			upstream := newUpstream(t, origin)
			upstream.does(func(w http.ResponseWriter, r *http.Request) bool { return test.harm(w, r, layer) })
			connect(t, s, registry, upstream.URL, map[string]any{"timeout_seconds": 1})
			if status, text, _ := s.get(t, "/v2/"+registry+"/main/app/manifests/1"); status != test.manifest {
				t.Errorf("manifest: %d %s, want %d", status, text, test.manifest)
			}
			status, content, whole := s.get(t, "/v2/"+registry+"/main/app/blobs/"+layer.Digest())
			// Who is quick to notice refuses it, else what was begun breaks off.
			refused := status == http.StatusBadGateway
			if test.blob == 0 && whole && !refused || test.blob != 0 && status != test.blob {
				t.Errorf("blob: %d, whole %v, %.100s", status, whole, content)
			}
			// Nothing of it stays: once upstream is good, what it gives is right.
			upstream.does(nil)
			s.clock.Advance(2 * time.Hour)
			if status, _, _ := s.get(t, "/v2/"+registry+"/main/app/manifests/1"); status != http.StatusOK {
				t.Errorf("manifest afterwards: %d", status)
			}
			if status, content, whole := s.get(t, "/v2/"+registry+"/main/app/blobs/"+layer.Digest()); status != http.StatusOK || !whole || !bytes.Equal(content, layer.Content) {
				t.Errorf("blob afterwards: %d, whole %v", status, whole)
			}
		})
	}
	t.Run("is itself", func(t *testing.T) {
		connect(t, s, "self", s.url, nil)
		if status, text, _ := s.get(t, "/v2/self/self/app/manifests/1"); status != http.StatusNotFound {
			t.Errorf("%d %s", status, text)
		}
	})
}

// TestPushWhileUpstreamFails: who may push, and asks by HEAD whether something is
// here, is told that it is not; who pulls is told why they cannot know.
func TestPushWhileUpstreamFails(t *testing.T) {
	origin := start(t, t.TempDir())
	layer := marked(t, "base")
	digest, err := origin.registry().Push(t.Context(), "main/app", "1", layer)
	if err != nil {
		t.Fatal(err)
	}
	upstream := newUpstream(t, origin)
	s := start(t, t.TempDir())
	connect(t, s, "through", upstream.URL, nil)
	if status, text, _ := s.get(t, "/v2/through/main/app/manifests/1"); status != http.StatusOK { // its layers stay there
		t.Fatalf("manifest: %d %s", status, text)
	}
	upstream.Close()
	token := func(actions string) (answer struct{ Token string }) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v2/_auth?service=pratique&scope=repository:through/main/app:"+actions, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("admin", password)
		decode(t, request, http.StatusOK, &answer)
		return answer
	}
	pull, push := token("pull").Token, token("pull,push").Token
	for _, test := range []struct {
		method, path, token string
		want                int
	}{
		{http.MethodHead, "/manifests/2", pull, http.StatusBadGateway},
		{http.MethodHead, "/manifests/2", push, http.StatusNotFound},
		{http.MethodGet, "/manifests/2", push, http.StatusBadGateway},
		{http.MethodHead, "/manifests/" + digest, push, http.StatusOK},
		{http.MethodHead, "/blobs/" + layer.Digest(), pull, http.StatusBadGateway},
		{http.MethodHead, "/blobs/" + layer.Digest(), push, http.StatusNotFound},
		{http.MethodGet, "/blobs/" + layer.Digest(), push, http.StatusBadGateway},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, s.url+"/v2/through/main/app"+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+test.token)
		decode(t, request, test.want, nil)
	}
	pushed, err := s.registry().Push(t.Context(), "through/main/app", "2", layer)
	if err != nil || pushed != digest {
		t.Fatalf("push of %s: %v", pushed, err)
	}
	if status, content, whole := s.get(t, "/v2/through/main/app/blobs/"+layer.Digest()); status != http.StatusOK || !whole || !bytes.Equal(content, layer.Content) {
		t.Errorf("what was pushed: %d, %d bytes", status, len(content))
	}
}

// TestPullThroughIndex: of an image for two platforms the one is fetched that is
// asked for, from the second connector where the first has enough.
func TestPullThroughIndex(t *testing.T) {
	origin := start(t, t.TempDir())
	var children [2]string
	var listed []string
	for i, architecture := range []string{"amd64", "arm64"} {
		var err error
		if children[i], err = origin.registry().Push(t.Context(), "main/app", architecture, marked(t, architecture)); err != nil {
			t.Fatal(err)
		}
		_, content, _ := origin.get(t, "/v2/main/app/manifests/"+children[i])
		listed = append(listed, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%d,"platform":{"os":"linux","architecture":"%s"}}`, children[i], len(content), architecture))
	}
	const kind = "application/vnd.oci.image.index.v1+json"
	origin.request(t, "PUT", origin.url+"/v2/main/app/manifests/1", kind, []byte(`{"schemaVersion":2,"mediaType":"`+kind+`","manifests":[`+strings.Join(listed, ",")+`]}`), http.StatusCreated)
	first, second := newUpstream(t, origin), newUpstream(t, origin)
	first.does(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	s := start(t, t.TempDir())
	connect(t, s, "one", first.URL, nil)
	connect(t, s, "two", second.URL, nil)
	call[struct{}](t, s, "PUT", "/registries/two/connectors", map[string]any{"connectors": []string{"one", "two"}}, http.StatusOK)
	for _, reference := range []string{"1", children[0]} {
		if status, text, _ := s.get(t, "/v2/two/main/app/manifests/"+reference); status != http.StatusOK {
			t.Fatalf("%s: %d %s", reference, status, text)
		}
	}
	if asked := second.times("GET", "/manifests/"+children[1]); asked != 0 {
		t.Errorf("a platform that nobody asked for was fetched %d times", asked)
	}
	if asked := first.times("HEAD", "") + first.times("GET", ""); asked != 1 {
		t.Errorf("an upstream that failed was asked %d times without a rest", asked)
	}
}
