package clients_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestReg runs genuinetools/reg, which speaks Clair's v1 API after its v3 API has failed.
func TestReg(t *testing.T) {
	w := newWorld(t, []string{"reg"})
	reg := w.tool("reg")
	for range 2 { // new, then known
		out, said, err := reg.try(nil, "vulns", "--clair", w.clair, "-f", "-u", "admin", "-p", password, w.host+"/main/app:1")
		if err != nil {
			t.Fatalf("%v\n%s%s", err, out, said)
		}
		w.has(out+said, known+": [Unknown]", "Unknown: 1")
	}
}

// TestClairctl runs clairctl with and without a pre-shared key. Its output must be
// read: its status is 0 also where it failed.
func TestClairctl(t *testing.T) {
	const key = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI="
	for name, arguments := range map[string][]string{
		"open":                  nil,
		"with a pre-shared key": {"--clair-psk", key, "--clair-psk-issuers", "clairctl"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, []string{"clairctl", "crane"}, arguments...)
			clairctl, app := w.tool("clairctl"), w.host+"/main/app"
			var global []string
			if arguments != nil {
				global = []string{"-c", w.file("psk.yaml", "auth:\n  psk:\n    key: "+key+"\n    iss: [clairctl]\n"), "--issuer", "clairctl"}
			}
			said := ""
			run := func(arguments ...string) (out string) {
				t.Helper()
				var err error
				if out, said, err = clairctl.try(nil, append(global, arguments...)...); err != nil || strings.Contains(said, "error") {
					t.Errorf("clairctl %s: %v: %s", arguments, err, said)
				}
				return out
			}
			crane := w.tool("crane")
			crane.run("mutate", "--label", "a=b", "-t", app+":2", app+":1")
			crane.run("append", "--oci-empty-base", "-f", w.file("layer.tar", strings.Repeat("\x00", 1024)), "-t", app+":empty")

			var m struct {
				Hash   string
				Layers []struct {
					Hash, URI string
					Headers   map[string][]string
				}
			}
			if text := run("manifest", app+":1"); json.Unmarshal([]byte(text), &m) != nil || len(m.Layers) != 2 || m.Hash != w.digest {
				t.Fatalf("manifest: %s", text)
			}
			for range 2 {
				w.has(run("report", "--host", w.clair+"/", app+":1"), "1 found musl", "1.2.5-r0", known, "(fixed: 1.2.5-r1)")
			}
			w.has(run("report", "--host", w.clair+"/", app+":empty"), "empty ok")
			// The second image's layers are known; the index report's validator is used again.
			w.has(run("-D", "report", "--host", w.clair+"/", "--novel", app+":1", app+":2"), "1 found musl", "2 found musl")
			if text := run("report", "--host", w.clair+"/", "-o", "json", app+":1"); !json.Valid([]byte(text)) || !strings.Contains(text, known) {
				t.Errorf("json: %s", text)
			}
			w.has(run("report", "--host", w.clair+"/", "-o", "xml", app+":1"), known)
			run("delete", "--host", w.clair+"/", m.Hash)
			if arguments == nil {
				return
			}
			response, err := http.Get(w.clair + "/indexer/api/v1/index_state")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusUnauthorized {
				t.Errorf("without a token: %s", response.Status)
			}
			out, said, _ := clairctl.try(nil, "report", "--host", w.clair+"/", app+":1")
			if strings.Contains(out, "found") || !strings.Contains(said, "401") {
				t.Errorf("without a token clairctl says %s%s", out, said)
			}
		})
	}
}
