package clients_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// distribution is a running docker-registry, Debian's build of
// github.com/distribution/distribution, which wants TLS and a password.
type distribution struct {
	host string
	stop func()
}

// newDistribution starts one in the home folder, with a certificate and its key.
func (w *world) newDistribution(user, secret string, certificate, key []byte) distribution {
	w.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		w.t.Fatal(err)
	}
	path := func(name string, content []byte) string { return filepath.Join(w.home, w.file(name, string(content))) }
	socket, err := (&net.ListenConfig{}).Listen(w.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	host := socket.Addr().String()
	socket.Close()
	config := path("distribution.yml", fmt.Appendf(nil, `version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q, tls: {certificate: %q, key: %q}}
auth: {htpasswd: {realm: upstream, path: %q}}
`, filepath.Join(w.home, "distribution"), host, path("certificate.pem", certificate), path("key.pem", key), path("htpasswd", fmt.Appendf(nil, "%s:%s\n", user, hash))))
	said, err := os.Create(filepath.Join(w.home, "distribution.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(w.tool("docker-registry").path, "serve", config)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	d := distribution{host, sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		said.Close()
	})}
	w.t.Cleanup(d.stop)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		connection, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", host)
		if err == nil {
			connection.Close()
			return d
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(said.Name())
			w.t.Fatalf("docker-registry does not listen: %v\n%s", err, text)
		}
	}
}

// selfSigned makes a certificate for 127.0.0.1 that no authority signed, and its key, in PEM.
func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "upstream"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// TestPullThroughDistribution pulls what a docker-registry holds through ours, whose
// connector has to know its certificate and its password, and pulls it again when
// that one is gone.
func TestPullThroughDistribution(t *testing.T) {
	w := newWorld(t, []string{"crane", "skopeo", "docker-registry"})
	certificate, key := selfSigned(t)
	other, _ := selfSigned(t)
	upstream := w.newDistribution("reader", "upstream-password", certificate, key)
	crane, skopeo := w.tool("crane"), w.tool("skopeo")
	crane.run("auth", "login", w.host, "-u", "admin", "-p", password)
	crane.run("auth", "login", upstream.host, "-u", "reader", "-p", "upstream-password")
	crane.run("--insecure", "copy", w.host+"/main/app:1", upstream.host+"/team/app:1")
	crane.run("mutate", "--label", "a=b", "-t", w.host+"/main/app:2", w.host+"/main/app:1")
	crane.run("index", "append", "-m", w.host+"/main/app:1", "-m", w.host+"/main/app:2", "-t", w.host+"/main/multi:1")
	crane.run("--insecure", "copy", w.host+"/main/multi:1", upstream.host+"/team/multi:1")
	skopeo.run("copy", "--format", "v2s2", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+w.host+"/main/app:1", "docker://"+upstream.host+"/team/docker:1")

	w.rest(http.MethodPost, "/registries", map[string]any{"name": "through"}, nil)
	w.rest(http.MethodPost, "/connectors", map[string]any{"name": "theirs", "url": "https://" + upstream.host, "tag_seconds": 0}, nil)
	w.rest(http.MethodPut, "/registries/through/connectors", map[string]any{"connectors": []string{"theirs"}}, nil)
	app, docker := w.host+"/through/team/app:1", w.host+"/through/team/docker:1"
	for _, step := range []struct {
		name   string
		change map[string]any
		// says is a part of what the test of the connector says; "" where all is well.
		says string
	}{
		{"an unknown certificate", map[string]any{}, "certificate"},
		{"the certificate of another", map[string]any{"ca_certificates": string(other)}, "certificate"},
		{"no password", map[string]any{"ca_certificates": string(certificate)}, "it wants a user name and a password"},
		{"a wrong password", map[string]any{"username": "reader", "password": "wrong"}, "it answers 401"},
		{"any certificate", map[string]any{"ca_certificates": "", "skip_tls_verify": true, "password": "upstream-password"}, ""},
		{"any certificate no more", map[string]any{"skip_tls_verify": false}, "certificate"},
		{"its certificate", map[string]any{"ca_certificates": string(certificate)}, ""},
	} {
		w.rest(http.MethodPatch, "/connectors/theirs", step.change, nil)
		var tested struct {
			OK      bool
			Message string
		}
		w.rest(http.MethodPost, "/connectors/theirs/test", nil, &tested)
		if tested.OK != (step.says == "") || !strings.Contains(tested.Message, step.says) {
			t.Errorf("%s: the test of the connector says %+v, want %q", step.name, tested, step.says)
		}
		if step.says != "" {
			skopeo.refused("502", "inspect", "--raw", "--tls-verify=false", "docker://"+docker) // crane would try four times
		} else if got := strings.TrimSpace(crane.run("digest", app)); got != w.digest {
			t.Errorf("%s: digest %s, want %s", step.name, got, w.digest)
		}
	}

	crane.run("validate", "--remote", app)
	skopeo.run("copy", "--src-tls-verify=false", "docker://"+app, "oci:app:1")
	skopeo.run("copy", "--all", "--src-tls-verify=false", "docker://"+w.host+"/through/team/multi:1", "dir:multi")
	skopeo.run("copy", "--src-tls-verify=false", "docker://"+docker, "dir:docker")
	crane.refused("MANIFEST_UNKNOWN", "manifest", w.host+"/through/team/app:none")
	crane.run("--insecure", "copy", w.host+"/main/app:2", upstream.host+"/team/app:2")
	crane.run("manifest", w.host+"/through/team/app:2") // without its layers

	upstream.stop()
	crane.run("pull", app, "app.tar")
	crane.run("validate", "--remote", w.host+"/through/team/multi:1")
	skopeo.run("copy", "--src-tls-verify=false", "docker://"+app, "dir:again")
	skopeo.run("copy", "--src-tls-verify=false", "docker://"+docker, "dir:docker-again")
	crane.refused("upstream theirs: ", "manifest", w.host+"/through/team/app:none")
	// A push asks what is there, and goes on.
	crane.run("push", "app.tar", w.host+"/through/team/mine:1")
	crane.run("mutate", "--label", "c=d", "-t", w.host+"/through/team/app:mine", w.host+"/main/app:1")
	crane.run("validate", "--remote", w.host+"/through/team/app:mine")
	w.block()
	crane.refused(known, "pull", app, "blocked.tar")
	skopeo.refused(known, "copy", "--src-tls-verify=false", "docker://"+app, "dir:blocked")
}
