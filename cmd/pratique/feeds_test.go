package main_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tt "github.com/pratique/pratique/internal/target/targettest"
)

// TestExplain asks why an image is, and is not, affected.
func TestExplain(t *testing.T) {
	data := scanData(t)
	files := tt.Files{}
	image := "oci-dir:" + files.Layout(t, files.Image(t, "linux/amd64", muslLayer(t)).Named("1")).Dir(t)
	for _, test := range []struct {
		args   []string
		status int
		wants  []string
	}{
		{[]string{"CVE-2025-26519", image}, 0, []string{"IS AFFECTED by CVE-2025-26519", "1.2.5-r0 < 1.2.5-r1 (apk)", "lib/apk/db/installed, line 1", "made by    ADD rootfs", "alpine:v3.20 musl (source): affected, fixed in 1.2.5-r1"}},
		{[]string{"CVE-1999-1", image}, 0, []string{"may be affected by CVE-1999-1", "no feed speaks of CVE-1999-1"}},
		{[]string{"-o", "json", "CVE-2025-26519", image}, 0, []string{`"verdict": "affected"`, `"outcome": "affected"`}},
		{[]string{"-o", "sarif", "CVE-2025-26519", image}, 1, []string{"--output: want table or json"}},
		{[]string{"CVE-2025-26519", "oci-dir:" + t.TempDir()}, 1, nil},
	} {
		said, status := call(t, nil, append([]string{"explain", "--data", data}, test.args...)...)
		if status != test.status {
			t.Errorf("%v: status %d, want %d: %s", test.args, status, test.status, said)
		}
		for _, want := range test.wants {
			if !strings.Contains(said, want) {
				t.Errorf("%v: there is no %q in\n%s", test.args, want, said)
			}
		}
	}
}

// TestFeedsTravel takes advisories to an installation without internet, in a
// file and through this program's own registry.
func TestFeedsTravel(t *testing.T) {
	from, dir := scanData(t), t.TempDir()
	key, file := filepath.Join(dir, "key.pem"), filepath.Join(dir, "feeds.tar")
	server := serve(t, t.TempDir(), "--admin-password", "travel-password")
	docker := t.TempDir()
	auth := base64.StdEncoding.EncodeToString([]byte("admin:travel-password"))
	host := strings.TrimPrefix(server.url, "http://")
	if err := os.WriteFile(filepath.Join(docker, "config.json"), []byte(`{"auths":{"`+host+`":{"auth":"`+auth+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"DOCKER_CONFIG=" + docker}
	for name, place := range map[string]string{"a file": file, "a registry": "oci:" + host + "/main/feeds:1"} {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			if said, status := call(t, env, "feeds", "export", "--data", from, "--key", key, place); status != 0 || !strings.Contains(said, "alpine") {
				t.Fatalf("export: %d\n%s", status, said)
			}
			if said, status := call(t, env, "feeds", "import", "--data", to, "--public-key", key+".pub", place); status != 0 || !strings.Contains(said, "1 groups changed") {
				t.Fatalf("import: %d\n%s", status, said)
			}
			files := tt.Files{}
			image := "oci-dir:" + files.Layout(t, files.Image(t, "linux/amd64", muslLayer(t)).Named("1")).Dir(t)
			if said, status := call(t, env, "scan", "--data", to, "--fail-on", "any", image); status != 2 || !strings.Contains(said, "CVE-2025-26519") {
				t.Errorf("scan: %d\n%s", status, said)
			}
			other := filepath.Join(t.TempDir(), "other.pem")
			if said, status := call(t, env, "feeds", "export", "--data", from, "--key", other, filepath.Join(dir, "x.tar")); status != 0 {
				t.Fatalf("export: %d\n%s", status, said)
			}
			if said, status := call(t, env, "feeds", "import", "--data", to, "--public-key", other+".pub", place); status != 1 || !strings.Contains(said, "not signed by a key that is trusted") {
				t.Errorf("import with another's key: %d\n%s", status, said)
			}
		})
	}
	if said, status := call(t, env, "feeds", "import", "--data", t.TempDir(), "--public-key", key+".pub", "oci:"+host+"/main/none:1"); status != 1 {
		t.Errorf("import of what is not there: %d\n%s", status, said)
	}
}
