package clairv1_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/test/clair/clairtest"
	"github.com/pratique/pratique/test/sample"
)

var update = flag.Bool("update", false, "rewrite the responses in testdata")

var digests = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// world is what the golden sessions find: three layers at a registry, and
// advisories on what is in them.
func world(t testing.TB) (server *clairtest.Server, replace *strings.Replacer) {
	server, blobs, must := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t), clairtest.Must(t)
	server.Advise(t,
		clairtest.Affected("CVE-2024-0001", "debian:12", "zlib", "1:1.3.dfsg-2", advisory.Medium),
		clairtest.Affected("CVE-2024-0002", "debian:12", "zlib", "", advisory.High),
		clairtest.Affected("CVE-2024-0003", "debian:12", "zlib", "1:1.3.dfsg-3", advisory.High),
		clairtest.Affected("CVE-2024-0004", "debian:12", "zlib", "", advisory.Unknown),
		clairtest.Affected("CVE-2024-0005", "debian:12", "curl", "7.88.1-10+deb12u5", advisory.Critical),
		clairtest.Affected("CVE-2024-0005", "debian:12", "libcurl-extras", "", advisory.Low),
		clairtest.Affected("CVE-2024-0001", "debian:11", "zlib", "1:1.2.11-9", advisory.Negligible),
		clairtest.Affected("CVE-2019-14697", "alpine:v3.7", "musl", "1.1.18-r4", advisory.Critical),
		advisory.Advisory{Vulnerability: "CVE-2024-0006", Ecosystem: "debian:12", Package: "zlib", Status: advisory.NotAffected},
	)
	zlib := []sample.DebianPackage{
		{Name: "zlib1g", Version: "1:1.3.dfsg-1+b1", Source: "zlib (1:1.3.dfsg-1)"},
		{Name: "zlib1g-dev", Version: "1:1.3.dfsg-1+b1", Source: "zlib (1:1.3.dfsg-1)"},
	}
	debian := must(sample.DebianBase("12", "bookworm", zlib...))
	upper := must(sample.NewLayer("RUN apt-get install curl", sample.File{Path: "var/lib/dpkg/status", Content: sample.Status(
		append(zlib, sample.DebianPackage{Name: "curl", Version: "7.88.1-10+deb12u4"}, sample.DebianPackage{Name: "bash", Version: "5.2.15-2"})...)}))
	vague := must(sample.NewLayer("RUN apt-get remove curl", sample.File{Path: "var/lib/dpkg/status", Content: sample.Status(zlib...)}))
	alpine := must(sample.AlpineBase("3.7.3",
		sample.AlpinePackage{Name: "musl", Version: "1.1.18-r3", Origin: "musl"},
		sample.AlpinePackage{Name: "musl-utils", Version: "1.1.18-r3", Origin: "musl"},
		sample.AlpinePackage{Name: "busybox", Version: "1.27.2-r11", Origin: "busybox"}))
	files := must(sample.NewLayer("COPY . /app", sample.File{Path: "app/main.js", Content: "1"}))
	return server, strings.NewReplacer(
		"{{debian}}", blobs.Serve("/debian", debian.Content), "{{upper}}", blobs.Serve("/upper", upper.Content),
		"{{vague}}", blobs.Serve("/vague", vague.Content), "{{alpine}}", blobs.Serve("/alpine", alpine.Content), "{{files}}", blobs.Serve("/files", files.Content),
		"{{missing}}", blobs.URL+"/missing")
}

// TestGolden plays the sessions in testdata: the requests of a file in order,
// against a fresh server. Each response is the status, the header that clients
// may look at, and the body, indented.
func TestGolden(t *testing.T) {
	sessions, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(sessions) == 0 {
		t.Fatalf("no sessions: %v", err)
	}
	for _, path := range sessions {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			session, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			server, replace := world(t)
			for i := 0; i+1 < len(session.Files); i += 2 {
				request, response := session.Files[i], &session.Files[i+1]
				if request.Name+" response" != response.Name {
					t.Fatalf("%q is followed by %q", request.Name, response.Name)
				}
				got := play(t, server, replace, string(request.Data))
				if *update {
					response.Data = []byte(got)
				} else if diff := cmp.Diff(string(response.Data), got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", request.Name, diff)
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(session), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func play(t *testing.T, server *clairtest.Server, replace *strings.Replacer, text string) string {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	line, fields, _ := strings.Cut(head, "\n")
	method, path, _ := strings.Cut(strings.TrimSpace(line), " ")
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(strings.TrimSpace(fields) + "\n\n"))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	var pairs []string
	for name := range header {
		pairs = append(pairs, name, header.Get(name))
	}
	response, content := server.Call(t, method, path, replace.Replace(strings.TrimSpace(body)), pairs...)
	var out strings.Builder
	fmt.Fprintln(&out, response.StatusCode)
	for _, name := range []string{"Content-Type", "Server", "Location", "Allow", "Content-Encoding", "Retry-After"} {
		if v := response.Header.Get(name); v != "" {
			fmt.Fprintf(&out, "%s: %s\n", name, v)
		}
	}
	out.WriteByte('\n')
	var indented bytes.Buffer
	if json.Indent(&indented, []byte(content), "", "  ") == nil {
		content = indented.String()
	}
	for _, name := range []string{"debian", "upper", "vague", "alpine", "files", "missing"} {
		content = strings.ReplaceAll(content, replace.Replace("{{"+name+"}}"), "{{"+name+"}}")
	}
	content = digests.ReplaceAllString(content, "sha256:(…)") // compression may change
	if content != "" {
		fmt.Fprintln(&out, strings.TrimSpace(content))
	}
	return out.String()
}
