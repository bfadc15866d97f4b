package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/test/sample"
)

// used is what REST says of a registry, a repository, an image or a tag.
type used struct {
	Bytes    int64      `json:"bytes"`
	Shared   int64      `json:"shared_bytes"`
	Own      int64      `json:"own_bytes"`
	Pulls    int        `json:"pulls"`
	LastPull *time.Time `json:"last_pull_at"`
}

// TestUsage: what real clients pull is counted, whatever way they go, by each
// replica, and not lost when the server stops a moment later.
func TestUsage(t *testing.T) {
	skopeo, crane := installed(t, "skopeo", ""), installed(t, "crane", "")
	eachDatabase(t, func(t *testing.T, database string) {
		data, dir := t.TempDir(), t.TempDir()
		s := start(t, data, "--database", database)
		base := muslImage(t)
		var digests []string
		for _, name := range []string{"app", "other"} {
			own, err := sample.NewLayer("COPY "+name, sample.File{Path: "opt/" + name, Content: strings.Repeat(name, 100)})
			if err != nil {
				t.Fatal(err)
			}
			digest, err := s.registry().Push(t.Context(), "main/team/"+name, "1", base, own)
			if err != nil {
				t.Fatal(err)
			}
			digests = append(digests, digest)
		}
		image := digests[0]
		index := pushIndex(t, s, "main/team/app", "all", image)
		run := func(s *server, program string, args ...string) {
			t.Helper()
			for i, arg := range args {
				args[i] = strings.NewReplacer("HOST", strings.TrimPrefix(s.url, "http://"), "DIR", dir).Replace(arg)
			}
			cmd := exec.CommandContext(t.Context(), program, args...)
			cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "TMPDIR="+dir, "DOCKER_CONFIG="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s %v: %v\n%s", program, args, err, out)
			}
		}
		usage := func(s *server, what string) used {
			t.Helper()
			return call[used](t, s, http.MethodGet, what+"/usage", nil, http.StatusOK)
		}
		tags := func(s *server) string {
			t.Helper()
			var words []string
			for _, tag := range call[list[struct {
				Name string `json:"name"`
				used
			}]](t, s, http.MethodGet, "/registries/main/repositories/team/app/tags", nil, http.StatusOK).Items {
				words = append(words, fmt.Sprint(tag.Name, " ", tag.Pulls, " ", tag.LastPull != nil))
			}
			return strings.Join(words, ", ")
		}
		counted := func(s *server, wantTags string, image, repository int) {
			t.Helper()
			got := ""
			defer func() {
				if t.Failed() {
					t.Logf("got %s", got)
				}
			}()
			want := fmt.Sprintf("%s; image %d, repository %d", wantTags, image, repository)
			waitFor(t, want, func() bool {
				got = fmt.Sprintf("%s; image %d, repository %d", tags(s), usage(s, "/images/"+digests[0]).Pulls, usage(s, "/registries/main/repositories/team/app").Pulls)
				return got == want
			})
		}
		counted(s, "1 0 false, all 0 false", 0, 0)

		run(s, crane, "auth", "login", "HOST", "-u", "admin", "-p", password)
		run(s, skopeo, "copy", "--src-tls-verify=false", "--src-creds", "admin:"+password, "docker://HOST/main/team/app:1", "dir:DIR/a")
		run(s, crane, "pull", "HOST/main/team/app:1", "DIR/b.tar")
		run(s, crane, "pull", "HOST/main/team/app@"+image, "DIR/c.tar")
		run(s, crane, "digest", "HOST/main/team/app:1") // which asks, and does not pull
		counted(s, "1 2 true, all 0 false", 3, 3)
		run(s, skopeo, "copy", "--src-tls-verify=false", "--src-creds", "admin:"+password, "docker://HOST/main/team/app:all", "dir:DIR/d")
		counted(s, "1 2 true, all 1 true", 4, 4)
		if u := usage(s, "/images/"+index); u.Pulls != 1 || u.Bytes != usage(s, "/images/"+image).Bytes {
			t.Errorf("index: %+v", u)
		}
		// As containerd goes: what does the tag name? Then that.
		pullLikeContainerd(t, s, "main/team/app", "1", image)
		counted(s, "1 3 true, all 1 true", 5, 5)

		u := usage(s, "/images/"+image)
		if u.Shared < int64(len(base.Content)) || u.Own <= 0 || u.Own+u.Shared != u.Bytes {
			t.Errorf("sizes of the image: %+v; its base has %d bytes", u, len(base.Content))
		}
		for _, what := range []string{"/registries/main/repositories/team/app", "/registries/main/repositories/team%2Fapp"} {
			if r := usage(s, what); r.Bytes != u.Bytes || r.Shared != u.Shared {
				t.Errorf("%s: %+v", what, r)
			}
		}
		whole := usage(s, "/registries/main")
		if other := usage(s, "/images/"+digests[1]); whole.Bytes != u.Bytes+other.Own || whole.Shared != 0 || whole.Own != whole.Bytes || whole.Pulls != 5 {
			t.Errorf("registry: %+v", whole)
		}
		repositories := call[list[struct {
			Name  string `json:"name"`
			Pulls int    `json:"pulls"`
		}]](t, s, http.MethodGet, "/registries/main/repositories", nil, http.StatusOK).Items
		if got := fmt.Sprint(repositories); got != "[{team/app 5} {team/other 0}]" {
			t.Errorf("repositories: %s", got)
		}
		call[struct{}](t, s, http.MethodGet, "/images/"+strings.Replace(image, image[7:11], "0000", 1)+"/usage", nil, http.StatusNotFound)

		if strings.HasPrefix(database, "postgres") {
			replica := start(t, t.TempDir(), "--database", database, "--blobs", "file:"+filepath.Join(data, "blobs"))
			for i := range 10 {
				run([]*server{s, replica}[i%2], skopeo, "copy", "--src-tls-verify=false", "--src-creds", "admin:"+password, "docker://HOST/main/team/app:1", fmt.Sprint("dir:DIR/r", i))
			}
			counted(s, "1 13 true, all 1 true", 15, 15)
			replica.stop()
		}
		before := usage(s, "/images/"+image)
		run(s, skopeo, "copy", "--src-tls-verify=false", "--src-creds", "admin:"+password, "docker://HOST/main/team/app:1", "dir:DIR/last")
		s.stop() // at once
		s = start(t, data, "--database", database)
		before.Pulls++
		after := usage(s, "/images/"+image)
		if !after.LastPull.After(*before.LastPull) {
			t.Errorf("last pull %v, and before %v", after.LastPull, before.LastPull)
		}
		before.LastPull = after.LastPull
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("after a restart (-want +got) %s", diff)
		}
	})
}

// TestUsageForSome: who may read one registry does not learn what another holds.
func TestUsageForSome(t *testing.T) {
	s := start(t, t.TempDir())
	call[struct{}](t, s, http.MethodPost, "/registries", map[string]any{"name": "apart"}, http.StatusCreated)
	var digest string
	for _, repository := range []string{"main/app", "apart/app"} {
		own, err := sample.NewLayer("COPY "+repository, sample.File{Path: "opt/app", Content: repository})
		if err != nil {
			t.Fatal(err)
		}
		pushed, err := s.registry().Push(t.Context(), repository, "1", muslImage(t), own)
		if err != nil {
			t.Fatal(err)
		}
		if digest == "" {
			digest = pushed
		}
	}
	made := call[struct{ Key string }](t, s, http.MethodPost, "/api-keys", map[string]any{"name": "main", "scope": []map[string]any{{"role": "read", "registry": "main"}}}, http.StatusCreated)
	for _, what := range []string{"/registries/main", "/registries/main/repositories/app", "/images/" + digest} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/v1"+what+"/usage", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+made.Key)
		var some used
		decode(t, req, http.StatusOK, &some)
		all := call[used](t, s, http.MethodGet, what+"/usage", nil, http.StatusOK)
		if all.Shared == 0 || some.Shared != 0 || some.Bytes != all.Bytes || some.Own != all.Bytes {
			t.Errorf("%s: for all %+v, for some %+v", what, all, some)
		}
	}
}

// pushIndex pushes an index of one image and returns its digest.
func pushIndex(t *testing.T, s *server, repository, tag, image string) string {
	t.Helper()
	res := s.send(t, http.MethodHead, "/v2/"+repository+"/manifests/"+image, "", nil)
	content, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []map[string]any{{
		"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image, "size": res.ContentLength, "platform": map[string]string{"os": "linux", "architecture": "amd64"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return s.send(t, http.MethodPut, "/v2/"+repository+"/manifests/"+tag, "application/vnd.oci.image.index.v1+json", content).Header.Get("Docker-Content-Digest")
}

// send makes a request of the registry that succeeds.
func (s *server) send(t *testing.T, method, path, contentType string, content []byte) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s", method, path, res.Status)
	}
	return res
}

func pullLikeContainerd(t *testing.T, s *server, repository, tag, digest string) {
	t.Helper()
	if got := s.send(t, http.MethodHead, "/v2/"+repository+"/manifests/"+tag, "", nil).Header.Get("Docker-Content-Digest"); got != digest {
		t.Fatalf("%s is %s", tag, got)
	}
	s.send(t, http.MethodGet, "/v2/"+repository+"/manifests/"+digest, "", nil)
}

// TestPullsThrough: what comes from upstream counts here, as what was pushed does.
func TestPullsThrough(t *testing.T) {
	origin := start(t, t.TempDir())
	digest, err := origin.registry().Push(t.Context(), "main/app", "1", muslImage(t))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir())
	connect(t, s, "proxy", newUpstream(t, origin).URL, map[string]any{"trusted_hosts": []string{"127.0.0.1"}})
	for range 2 {
		if status, body, _ := s.get(t, "/v2/proxy/main/app/manifests/1"); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	waitFor(t, "two pulls", func() bool {
		tags := call[list[used]](t, s, http.MethodGet, "/registries/proxy/repositories/main/app/tags", nil, http.StatusOK).Items
		return len(tags) == 1 && tags[0].Pulls == 2 && call[used](t, s, http.MethodGet, "/images/"+digest+"/usage", nil, http.StatusOK).Pulls == 2
	})
}
