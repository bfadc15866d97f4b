package server_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// installed finds a client. Where the run promises that it is there (CI), its
// lack is a failure.
func installed(t *testing.T, name, path string) string {
	t.Helper()
	if path == "" {
		path = name
	}
	found, err := exec.LookPath(path)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s: %v", name, err)
		}
		t.Skipf("%s: %v", name, err)
	}
	return found
}

// TestConformance runs the official program of the OCI distribution
// specification. Sparse manifests are off: a manifest whose blobs are missing
// could not be judged, so it is refused.
func TestConformance(t *testing.T) {
	conformance := installed(t, "conformance", os.Getenv("PRATIQUE_CONFORMANCE"))
	eachDatabase(t, func(t *testing.T, database string) {
		s := start(t, t.TempDir(), "--database", database)
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), conformance)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(),
			"OCI_REGISTRY="+strings.TrimPrefix(s.url, "http://"), "OCI_TLS=disabled", "OCI_VERSION=1.1",
			"OCI_REPO1=main/conformance1", "OCI_REPO2=main/conformance2", "OCI_USERNAME=admin", "OCI_PASSWORD="+password,
			"OCI_API_BLOBS_UPLOAD_CANCEL=true", "OCI_API_BLOBS_DIGEST_HEADER=true", "OCI_API_MANIFESTS_DIGEST_HEADER=true",
			"OCI_API_MANIFESTS_TAG_PARAM=true", "OCI_RESULTS_DIR="+filepath.Join(dir, "results"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		for _, line := range strings.Split(string(out), "\n") {
			line = strings.TrimSpace(line)
			total := strings.HasPrefix(line, "Skip...") || strings.HasPrefix(line, "FAIL...")
			if !total && (strings.Contains(line, "Skip") || strings.Contains(line, "FAIL")) {
				t.Errorf("conformance: %s", line)
			}
		}
	})
}

func TestSkopeo(t *testing.T) {
	skopeo := installed(t, "skopeo", "")
	s := start(t, t.TempDir(), "--feeds-mirror", muslFeed(t), "--feeds", "alpine")
	updateFeeds(t, s)
	if _, err := s.registry().Push(t.Context(), "main/app", "1", muslImage(t)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(args ...string) (string, error) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), skopeo, args...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "TMPDIR="+dir)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := run(args...)
		if err != nil {
			t.Fatalf("skopeo %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	credentials, remote := "admin:"+password, "docker://"+strings.TrimPrefix(s.url, "http://")+"/main/app"
	must("copy", "--src-tls-verify=false", "--src-creds", credentials, remote+":1", "oci:"+dir+"/out:1")
	for tag, format := range map[string][]string{
		"oci": {"--format", "oci"}, "docker": {"--format", "v2s2"}, "zstd": {"--format", "oci", "--dest-compress-format", "zstd"},
	} {
		must(append(append([]string{"copy"}, format...), "--dest-tls-verify=false", "--dest-creds", credentials, "oci:"+dir+"/out:1", remote+":"+tag)...)
		must("copy", "--src-tls-verify=false", "--src-creds", credentials, remote+":"+tag, "dir:"+dir+"/"+tag)
	}
	if tags := must("list-tags", "--tls-verify=false", "--creds", credentials, remote); !strings.Contains(tags, `"zstd"`) {
		t.Errorf("tags: %s", tags)
	}
	must("delete", "--tls-verify=false", "--creds", credentials, remote+":docker")
	call[struct{}](t, s, http.MethodPost, "/assessments", map[string]any{
		"vulnerability": "CVE-2025-26519", "type": "Block", "scope": map[string]string{"kind": "everywhere"},
	}, http.StatusCreated)
	for _, tag := range []string{"1", "oci", "zstd"} {
		out, err := run("copy", "--src-tls-verify=false", "--src-creds", credentials, remote+":"+tag, "dir:"+dir+"/blocked")
		if err == nil || !strings.Contains(out, "CVE-2025-26519") {
			t.Errorf("pull of the blocked %s: %v\n%s", tag, err, out)
		}
	}
}

func TestWhoMayPull(t *testing.T) {
	s := start(t, t.TempDir())
	if _, err := s.registry().Push(t.Context(), "main/app", "1", muslImage(t)); err != nil {
		t.Fatal(err)
	}
	key := call[struct {
		Key string `json:"key"`
	}](t, s, http.MethodPost, "/api-keys", map[string]string{"name": "ci"}, http.StatusCreated).Key
	token := func(user, password string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v2/_auth?service=pratique&scope=repository:main/app:pull", nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		var answer struct {
			Token string `json:"token"`
		}
		decode(t, req, http.StatusOK, &answer)
		return answer.Token
	}
	pull := func(name string, want int, authorization func(*http.Request)) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v2/main/app/manifests/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		authorization(req)
		if header := decode(t, req, want, nil); want == http.StatusUnauthorized {
			challenge := `Bearer realm="` + s.url + `/v2/_auth",service="pratique",scope="repository:main/app:pull"`
			if got := header.Get("WWW-Authenticate"); !strings.HasPrefix(got, challenge) {
				t.Errorf("%s: challenge %s, want %s", name, got, challenge)
			}
		}
	}
	nobody := func(*http.Request) {}
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	pull("nobody", http.StatusUnauthorized, nobody)
	pull("empty header", http.StatusUnauthorized, func(r *http.Request) { r.Header["Authorization"] = []string{""} })
	pull("wrong password", http.StatusUnauthorized, func(r *http.Request) { r.SetBasicAuth("admin", "wrong-password") })
	pull("password", http.StatusOK, func(r *http.Request) { r.SetBasicAuth("admin", password) })
	pull("key", http.StatusOK, func(r *http.Request) { r.SetBasicAuth("api", key) })
	pull("key as bearer", http.StatusOK, bearer(key))
	pull("token", http.StatusOK, bearer(token("api", key)))
	pull("anonymous token", http.StatusUnauthorized, bearer(token("", "")))
	pull("nonsense", http.StatusUnauthorized, bearer("eyJhbGciOiJub25lIn0.e30."))
	call[struct{}](t, s, http.MethodPatch, "/registries/main", map[string]any{"anonymous_pull": true}, http.StatusOK)
	pull("nobody, open registry", http.StatusOK, nobody)
	open := token("", "")
	pull("anonymous token, open registry", http.StatusOK, bearer(open))
	pull("wrong password, open registry", http.StatusUnauthorized, func(r *http.Request) { r.SetBasicAuth("admin", "wrong-password") })
	call[struct{}](t, s, http.MethodPatch, "/registries/main", map[string]any{"anonymous_pull": false}, http.StatusOK)
	pull("anonymous token, closed again", http.StatusUnauthorized, bearer(open))
}
