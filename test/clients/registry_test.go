package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCrane(t *testing.T) {
	w := newWorld(t, []string{"crane"})
	crane, app := w.tool("crane"), w.host+"/main/app"
	crane.run("auth", "login", w.host, "-u", "admin", "-p", password)
	if got := strings.TrimSpace(crane.run("digest", app+":1")); got != w.digest {
		t.Errorf("digest %s, want %s", got, w.digest)
	}
	w.has(crane.run("manifest", app+":1"), "application/vnd.oci.image.manifest.v1+json")
	w.has(crane.run("config", app+":1"), "COPY app /app")
	crane.run("pull", app+":1", "image.tar")
	crane.run("push", "image.tar", app+":docker")
	w.has(crane.run("manifest", app+":docker"), "application/vnd.docker.distribution.manifest.v2+json")
	crane.run("append", "-f", w.file("layer.tar", strings.Repeat("\x00", 1024)), "-b", app+":1", "-t", app+":2")
	crane.run("append", "--oci-empty-base", "-f", "layer.tar", "-t", w.host+"/main/oci:1")
	crane.run("mutate", "--label", "a=b", "-t", app+":3", app+":1")
	crane.run("index", "append", "-m", app+":1", "-m", app+":3", "-t", w.host+"/main/multi:1")
	crane.run("copy", app+":1", w.host+"/main/copy:1") // mounts the blobs
	for _, image := range []string{app + ":1", app + ":3", w.host + "/main/copy:1"} {
		crane.run("validate", "--remote", image)
	}
	if got, want := strings.Fields(crane.run("ls", app)), []string{"1", "2", "3", "docker"}; !slices.Equal(got, want) {
		t.Errorf("tags %v, want %v", got, want)
	}
	if got, want := strings.Fields(crane.run("catalog", w.host)), []string{"main/app", "main/copy", "main/multi", "main/oci"}; !slices.Equal(got, want) {
		t.Errorf("repositories %v, want %v", got, want)
	}
	crane.run("tag", app+":1", "latest")
	crane.run("delete", app+"@"+strings.TrimSpace(crane.run("digest", app+":2")))
	crane.refused("MANIFEST_UNKNOWN", "digest", app+":2")
	w.block()
	crane.refused(known, "pull", app+":1", "blocked.tar")
	crane.refused(known, "digest", app+":1") // HEAD, then GET for the words
}

// TestRulesRefuseClients: a quota, immutable tags and tags that follow versions hold
// for crane and skopeo, which are told why.
func TestRulesRefuseClients(t *testing.T) {
	w := newWorld(t, []string{"crane", "skopeo"})
	crane, skopeo := w.tool("crane"), w.tool("skopeo")
	crane.run("auth", "login", w.host, "-u", "admin", "-p", password)
	w.rest(http.MethodPost, "/registries", map[string]any{"name": "strict"}, nil)
	strict, app := w.host+"/strict/app", w.host+"/main/app"
	crane.run("mutate", "--label", "a=b", "-t", app+":2", app+":1")
	copied := func(from, to string) []string {
		return []string{"copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--src-creds", "admin:" + password, "--dest-creds", "admin:" + password,
			"docker://" + from, "docker://" + to}
	}

	w.rest(http.MethodPatch, "/registries/strict", map[string]any{"quota_bytes": 1}, nil)
	crane.refused("DENIED", "copy", app+":1", strict+":1")
	skopeo.refused("quota", copied(app+":1", strict+":1")...)
	w.rest(http.MethodPatch, "/registries/strict", map[string]any{"quota_bytes": 0, "immutable_tags": []string{"v*"}, "version_tags": true}, nil)

	crane.run("copy", app+":1", strict+":v-one")
	crane.run("copy", app+":1", strict+":v-one") // the same again
	crane.refused("is immutable in this registry", "copy", app+":2", strict+":v-one")
	crane.refused("is immutable in this registry", "delete", strict+"@"+w.digest)
	skopeo.refused("is immutable in this registry", copied(app+":2", strict+":v-one")...)

	skopeo.run(copied(app+":2", strict+":3.4.1")...)
	if got, want := strings.Fields(crane.run("ls", strict)), []string{"3", "3.4", "3.4.1", "latest", "v-one"}; !slices.Equal(got, want) {
		t.Errorf("tags %v, want %v", got, want)
	}
	crane.refused("DENIED", "tag", strict+":v-one", "latest")
	skopeo.refused("latest", copied(app+":1", strict+":latest")...)
	if got, want := crane.run("digest", strict+":latest"), crane.run("digest", app+":2"); got != want {
		t.Errorf("latest is %s, want %s", got, want)
	}
}

func TestRegctl(t *testing.T) {
	w := newWorld(t, []string{"regctl"})
	regctl, app := w.tool("regctl"), w.host+"/main/app"
	regctl.run("registry", "set", w.host, "--tls=disabled", "--skip-check")
	regctl.run("registry", "login", w.host, "-u", "admin", "-p", password, "--skip-check")
	if _, said, err := regctl.try([]byte("{}"), "artifact", "put", "--artifact-type", "application/vnd.example.sbom", "--subject", app+":1"); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	regctl.run("image", "copy", "--referrers", "--digest-tags", app+":1", "ocidir://out:1")
	regctl.run("image", "copy", "--referrers", "ocidir://out:1", w.host+"/main/again:1")
	w.has(regctl.run("artifact", "list", w.host+"/main/again:1"), "application/vnd.example.sbom")
	regctl.run("image", "copy", app+":1", app+":2")
	regctl.run("tag", "rm", app+":2")
	if got := strings.Fields(regctl.run("tag", "ls", app)); !slices.Equal(got, []string{"1"}) {
		t.Errorf("tags %v", got)
	}
	if got := strings.Fields(regctl.run("repo", "ls", w.host)); !slices.Equal(got, []string{"main/again", "main/app"}) {
		t.Errorf("repositories %v", got)
	}
	// In one piece, then in pieces with Content-Range.
	content := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	for _, settings := range [][]string{nil, {"--blob-chunk", "1000000", "--blob-max", "2000000"}} {
		regctl.run(append([]string{"registry", "set", w.host, "--skip-check"}, settings...)...)
		out, said, err := regctl.try(content, "blob", "put", w.host+"/main/chunks")
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		if got := regctl.run("blob", "get", w.host+"/main/chunks", strings.TrimSpace(out)); got != string(content) {
			t.Errorf("%v: got %d bytes", settings, len(got))
		}
		content[0] = 'x'
	}
	w.block()
	regctl.refused(known, "image", "copy", app+":1", "ocidir://blocked:1")
}

func TestOras(t *testing.T) {
	w := newWorld(t, []string{"oras"})
	oras, app := w.tool("oras"), w.host+"/main/app"
	if _, said, err := oras.try([]byte(password), "login", "--plain-http", "-u", "admin", "--password-stdin", w.host); err != nil {
		t.Fatalf("login: %v: %s", err, said)
	}
	oras.run("push", "--plain-http", w.host+"/main/artifact:1", "--artifact-type", "application/vnd.example.v1", w.file("f.txt", "content")+":text/plain")
	oras.run("pull", "--plain-http", "-o", "pulled", w.host+"/main/artifact:1")
	if got, err := os.ReadFile(filepath.Join(w.home, "pulled", "f.txt")); err != nil || string(got) != "content" {
		t.Errorf("pulled %q, %v", got, err)
	}
	oras.run("attach", "--plain-http", "--artifact-type", "application/vnd.example.sbom", app+":1", w.file("bill.json", "{}")+":application/json")
	w.has(oras.run("discover", "--plain-http", "--format", "json", app+":1"), "application/vnd.example.sbom", w.digest)
	oras.run("copy", "--from-plain-http", "--to-plain-http", "-r", app+":1", w.host+"/main/copy:1")
	w.has(oras.run("discover", "--plain-http", "--format", "json", w.host+"/main/copy:1"), "application/vnd.example.sbom")
	w.has(oras.run("repo", "ls", "--plain-http", w.host), "main/artifact", "main/copy")
	oras.run("manifest", "delete", "--plain-http", "-f", w.host+"/main/artifact:1")
	oras.refused("not found", "manifest", "fetch", "--plain-http", w.host+"/main/artifact:1")
	w.block()
	oras.refused(known, "pull", "--plain-http", app+":1")
}

// Trivy lists the packages of an image that it pulls; its list and ours are to be equal.
func TestTrivy(t *testing.T) {
	w := newWorld(t, []string{"trivy"})
	trivy, app := w.tool("trivy"), w.host+"/main/app"
	trivy.run("image", "--image-src", "remote", "--insecure", "--username", "admin", "--password", password, "--cache-dir", "cache",
		"--skip-db-update", "--skip-java-db-update", "--offline-scan", "--format", "cyclonedx", "--output", "bill.json", app+":1")
	content, err := os.ReadFile(filepath.Join(w.home, "bill.json"))
	if err != nil {
		t.Fatal(err)
	}
	type bill struct {
		Components []struct{ Type, Name, Version, PURL string }
	}
	list := func(b bill) []string {
		var names []string
		for _, c := range b.Components {
			if c.Type == "library" {
				names = append(names, c.Name+" "+c.Version)
			}
		}
		slices.Sort(names)
		return names
	}
	var theirs, ours bill
	if err := json.Unmarshal(content, &theirs); err != nil {
		t.Fatal(err)
	}
	w.rest("GET", "/images/"+w.digest+"/sbom?format=cyclonedx", nil, &ours)
	if diff := cmp.Diff(list(theirs), list(ours)); diff != "" || len(list(ours)) != 1 {
		t.Errorf("packages (-Trivy +ours):\n%s", diff)
	}
	w.block()
	trivy.refused(known, "image", "--image-src", "remote", "--insecure", "--username", "admin", "--password", password, "--cache-dir", "other",
		"--skip-db-update", "--skip-java-db-update", "--offline-scan", "--format", "cyclonedx", app+":1")
}

// Skopeo's other commands are in TestSkopeo (test/server).
func TestSkopeoOfAnIndex(t *testing.T) {
	w := newWorld(t, []string{"skopeo"})
	skopeo, app := w.tool("skopeo"), w.host+"/main/app"
	skopeo.run("copy", "--format", "v2s2", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+app+":1", "docker://"+app+":docker")
	// crane's index names artifact types, which skopeo 1.9 loses, and so the digest.
	manifest := skopeo.run("inspect", "--raw", "--tls-verify=false", "docker://"+app+":1")
	w.putIndex("main/app", "multi", fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":%d,"digest":%q,"platform":{"architecture":"amd64","os":"linux"}}]}`,
		indexType, len(manifest), w.digest))
	skopeo.run("copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+app+":multi", "docker://"+w.host+"/main/other:multi")
	if first, second := skopeo.run("inspect", "--raw", "--tls-verify=false", "docker://"+app+":multi"),
		skopeo.run("inspect", "--raw", "--tls-verify=false", "docker://"+w.host+"/main/other:multi"); first != second {
		t.Errorf("%s was copied as %s", first, second)
	}
	w.has(skopeo.run("inspect", "--tls-verify=false", "docker://"+app+":1"), w.digest, `"docker"`)
	w.has(skopeo.run("list-tags", "--tls-verify=false", "docker://"+app), `"1"`, `"multi"`)
}

const indexType = "application/vnd.oci.image.index.v1+json"

func (w *world) putIndex(repository, tag, content string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, "http://"+w.host+"/v2/"+repository+"/manifests/"+tag, strings.NewReader(content))
	if err != nil {
		w.t.Fatal(err)
	}
	request.SetBasicAuth("admin", password)
	request.Header.Set("Content-Type", indexType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		w.t.Fatalf("index: %s", response.Status)
	}
}
