package amazon_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/amazon"
)

// discover lists the parts, as "NAME URL", of a mirror that has the files.
func discover(t *testing.T, files map[string]string) (parts []string, asked []string, err error) {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		file := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := feed.NewFetcher(feed.FetcherOptions{Mirror: folder, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found, err := amazon.New().Discover(t.Context(), func(ctx context.Context, url string) (*feed.Document, error) {
		asked = append(asked, url)
		return f.Fetch(ctx, url, feed.Validators{})
	})
	for _, p := range found {
		parts = append(parts, p.Name+" "+p.URL+" "+strings.Join(p.Ecosystems, ","))
	}
	return parts, asked, err
}

const (
	core    = "cdn.amazonlinux.com/2/core/latest/x86_64/mirror.list"
	catalog = "cdn.amazonlinux.com/2/extras-catalog.json"
)

func index(href string) string {
	return `<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary"><location href="repodata/primary.xml.gz"/></data>` +
		`<data type="updateinfo"><location href="` + href + `"/></data></repomd>`
}

func TestDiscover(t *testing.T) {
	files := map[string]string{
		// The first mirror has no index any more.
		"repo.us-west-2.amazonaws.com/2018.03/updates/x86_64/mirror.list": "\nhttp://packages.us-east-1.amazonaws.com/1/x86_64\nhttp://packages.us-west-2.amazonaws.com/2/x86_64/\n",
		"packages.us-west-2.amazonaws.com/2/x86_64/repodata/repomd.xml":   index("repodata/updateinfo.xml.gz"),
		core: "https://cdn.amazonlinux.com/2/core/2.0/x86_64/guid\r\n",
		"cdn.amazonlinux.com/2/core/2.0/x86_64/guid/repodata/repomd.xml": index("repodata/updateinfo.xml.gz"),
		catalog: `{"version": "1", "topics": [{"n": "php8.1", "inst": ["php"]}, {"n": "epel"}, {"n": "php8.1"}, {"n": "gone"}]}`,
		"cdn.amazonlinux.com/2/extras/php8.1/latest/x86_64/mirror.list":                     "https://cdn.amazonlinux.com/2/extras/php8.1/1/x86_64/guid",
		"cdn.amazonlinux.com/2/extras/php8.1/1/x86_64/guid/repodata/repomd.xml":             index("repodata/abc-updateinfo.xml.gz"),
		"cdn.amazonlinux.com/2/extras/epel/latest/x86_64/mirror.list":                       "https://cdn.amazonlinux.com/2/extras/epel/1/x86_64/guid",
		"cdn.amazonlinux.com/2/extras/epel/1/x86_64/guid/repodata/repomd.xml":               `<repomd><data type="primary"><location href="repodata/primary.xml.gz"/></data></repomd>`,
		"cdn.amazonlinux.com/al2023/core/mirrors/latest/x86_64/mirror.list":                 "https://cdn.amazonlinux.com/al2023/core/guids/guid/x86_64/",
		"cdn.amazonlinux.com/al2023/core/guids/guid/x86_64/repodata/repomd.xml":             index("repodata/updateinfo.xml.gz"),
		"cdn.amazonlinux.com/al2023/kernel-livepatch/mirrors/latest/x86_64/mirror.list":     "https://cdn.amazonlinux.com/al2023/kernel-livepatch/guids/guid/x86_64/",
		"cdn.amazonlinux.com/al2023/kernel-livepatch/guids/guid/x86_64/repodata/repomd.xml": index("repodata/updateinfo.xml.gz"),
	}
	parts, _, err := discover(t, files)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"2018.03 http://packages.us-west-2.amazonaws.com/2/x86_64/repodata/updateinfo.xml.gz amzn:2018.03",
		"2 https://cdn.amazonlinux.com/2/core/2.0/x86_64/guid/repodata/updateinfo.xml.gz amzn:2",
		"2022 https://cdn.amazonlinux.com/al2022/core/mirrors/latest/x86_64/mirror.list amzn:2022", // absent
		"2023 https://cdn.amazonlinux.com/al2023/core/guids/guid/x86_64/repodata/updateinfo.xml.gz amzn:2023",
		"2023/kernel-livepatch https://cdn.amazonlinux.com/al2023/kernel-livepatch/guids/guid/x86_64/repodata/updateinfo.xml.gz amzn:2023",
		"2/extras/php8.1 https://cdn.amazonlinux.com/2/extras/php8.1/1/x86_64/guid/repodata/abc-updateinfo.xml.gz amzn:2",
		"2/extras/gone https://cdn.amazonlinux.com/2/extras/gone/latest/x86_64/mirror.list amzn:2", // absent
	}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDiscoverBelievesLittle: what is odd is an error of its own repository,
// nothing is fetched from elsewhere, and the others are found.
func TestDiscoverBelievesLittle(t *testing.T) {
	const good = "cdn.amazonlinux.com/al2023/core/mirrors/latest/x86_64/mirror.list"
	tests := []struct {
		name, list, index, want string
	}{
		{"empty list", " \n# nothing\n", "", "names no mirror"},
		{"another's server", "https://cdn.amazonlinux.com.example.org/x", "", "it is not Amazon's"},
		{"cloud metadata", "https://169.254.169.254/latest", "", "it is not Amazon's"},
		{"no TLS", "http://cdn.amazonlinux.com/x", "", "another scheme"},
		{"file", "file:///etc/passwd", "", "another scheme"},
		{"password", "https://a:b@cdn.amazonlinux.com/x", "", "no plain URL"},
		{"port", "https://cdn.amazonlinux.com:22/x", "", "no plain URL"},
		{"page", "<html><body>Sign in</body></html>", "", "the answer is a web page"},
		{"binary", "\x00\x01\x02", "", "no plain URL"},
		{"no index", "https://cdn.amazonlinux.com/x", "", "not published"},
		{"no advisories", "https://cdn.amazonlinux.com/x", "<repomd/>", "names no updateinfo"},
		{"another document", "https://cdn.amazonlinux.com/x", "<updates/>", "expected element type <repomd>"},
		{"cut index", "https://cdn.amazonlinux.com/x", index("repodata/updateinfo.xml.gz")[:90], "unexpected EOF"},
		{"path upwards", "https://cdn.amazonlinux.com/x", index("../../updateinfo.xml.gz"), "is no path in a repository"},
		{"URL for a path", "https://cdn.amazonlinux.com/x", index("https://example.org/updateinfo.xml.gz"), "is no path in a repository"},
		{"root for a path", "https://cdn.amazonlinux.com/x", index("/updateinfo.xml.gz"), "is no path in a repository"},
		{"huge index", "https://cdn.amazonlinux.com/x", "<repomd>" + strings.Repeat(" ", 5<<20), "the limit is 4194304"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{
				core: test.list,
				good: "https://cdn.amazonlinux.com/g", "cdn.amazonlinux.com/g/repodata/repomd.xml": index("repodata/updateinfo.xml.gz"),
			}
			if test.index != "" {
				files["cdn.amazonlinux.com/x/repodata/repomd.xml"] = test.index
			}
			parts, asked, err := discover(t, files)
			if err == nil || !strings.Contains(err.Error(), "2: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one of repository 2 with %q", err, test.want)
			}
			if !strings.Contains(strings.Join(parts, "\n"), "2023 https://cdn.amazonlinux.com/g/repodata/updateinfo.xml.gz") {
				t.Errorf("the others are not found: %q", parts)
			}
			for _, part := range parts {
				if strings.HasPrefix(part, "2 ") {
					t.Errorf("there is a part %q", part)
				}
			}
			for _, url := range asked {
				if !strings.HasPrefix(url, "https://cdn.amazonlinux.com/") && !strings.HasPrefix(url, "http://repo.us-west-2.amazonaws.com/") {
					t.Errorf("%s is asked for", url)
				}
			}
		})
	}
}

func TestDiscoverTopics(t *testing.T) {
	for catalogue, want := range map[string]string{
		`{"topics": []}`:                              "there are no topics",
		`{"topics": [{"n": "../../core"}]}`:           `"../../core" is no topic`,
		`{"topics": [{"n": 7}]}`:                      "cannot unmarshal number",
		`[]`:                                          "cannot unmarshal array",
		`{"topics": [{"n": "docker"}`:                 "unexpected end",
		`{"topics": [{"n": ""}, {"n": "x/y"}, {}]}`:   `"x/y" is no topic`,
		`{"topics": [{"n": "a?b"}, {"n": "docker"}]}`: `"a?b" is no topic`,
	} {
		parts, _, err := discover(t, map[string]string{catalog: catalogue})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", catalogue, err, want)
		}
		if strings.Contains(catalogue, `"docker"}]`) != strings.Contains(fmt.Sprint(parts), "2/extras/docker ") {
			t.Errorf("%s: parts %q", catalogue, parts)
		}
	}
}

// TestDiscoverGivesUp: a publisher that is down is not asked a hundred times.
func TestDiscoverGivesUp(t *testing.T) {
	asked := 0
	parts, err := amazon.New().Discover(t.Context(), func(context.Context, string) (*feed.Document, error) {
		asked++
		return nil, fmt.Errorf("%w: connection refused", feed.ErrUnreachable)
	})
	if asked != 3 || len(parts) != 0 || err == nil || !strings.Contains(err.Error(), "were not reachable") {
		t.Errorf("asked %d times, parts %+v, error %v", asked, parts, err)
	}
}
