package oci

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
)

func TestParsePath(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for path, want := range map[string]string{
		"main/app/manifests/latest":              "main/app|manifests|latest",
		"main/a/b/blobs/" + digest:               "main/a/b|blobs|" + digest,
		"main/app/blobs/uploads/":                "main/app|uploads|",
		"main/app/blobs/uploads":                 "main/app|uploads|",
		"main/app/blobs/uploads/1":               "main/app|uploads|1",
		"main/app/tags/list":                     "main/app|tags|",
		"main/app/referrers/" + digest:           "main/app|referrers|" + digest,
		"main/blobs/uploads/manifests/1":         "main/blobs/uploads|manifests|1",
		"main/manifests/manifests/manifests":     "main/manifests|manifests|manifests",
		"main/tags/list/tags/list":               "main/tags/list|tags|",
		"main/manifests/x/blobs/uploads/":        "main/manifests/x|uploads|",
		"main/blobs/uploads/blobs/uploads/1":     "main/blobs/uploads|uploads|1",
		"main/app/manifests/":                    "",
		"main/app/manifests":                     "",
		"main/app/tags/list/":                    "",
		"main/app/tags":                          "",
		"main/app":                               "",
		"manifests/latest":                       "",
		"main/app/manifests/a/b":                 "",
		"/main/app/manifests/1":                  "/main/app|manifests|1", // the name is refused later
		"main/app/manifests/../../other/blobs/1": "main/app/manifests/../../other|blobs|1",
	} {
		got := ""
		if p, ok := parse(path); ok {
			got = p.name + "|" + p.kind + "|" + p.reference
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"main/app/manifests/1", "a/b/blobs/uploads/", "a/blobs/uploads", "a/b/tags/list", "a/referrers/x", "/", "//manifests//", "\x00/blobs/\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, ok := parse(path)
		if !ok {
			return
		}
		spelt := p.name + map[string]string{
			"manifests": "/manifests/", "blobs": "/blobs/", "referrers": "/referrers/", "tags": "/tags/list", "uploads": "/blobs/uploads/",
		}[p.kind] + p.reference
		if spelt != path && spelt != path+"/" || strings.Contains(p.reference, "/") {
			t.Errorf("%q was taken for %+v", path, p)
		}
		if joined := p.registry + "/" + p.repository; strings.Contains(p.name, "/") && joined != p.name {
			t.Errorf("%q was split into %q", p.name, joined)
		}
	})
}

// rangeExpression is that of the distribution specification ("Pushing a blob
// in chunks"), with what RFC 9110 puts around it.
var rangeExpression = regexp.MustCompile(`^(?:bytes )?([0-9]+)-([0-9]+)(?:/.*)?$`)

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"0-9", "bytes 5-10/*", "9-1", "-1-2", "+1-2", "1-", "0-9223372036854775807", "0-9223372036854775808", "0x1-2", "1_0-20", " 1-2", "1-2-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start, end, ok := parseRange(text)
		var wantStart, wantEnd uint64
		m := rangeExpression.FindStringSubmatch(strings.ReplaceAll(text, "\n", "?"))
		want := m != nil
		if want {
			var err, err2 error
			wantStart, err = strconv.ParseUint(m[1], 10, 64)
			wantEnd, err2 = strconv.ParseUint(m[2], 10, 64)
			want = err == nil && err2 == nil && wantEnd >= wantStart && wantEnd <= math.MaxInt64
		}
		if ok != want || ok && (start != int64(wantStart) || end != int64(wantEnd)) {
			t.Errorf("%q: got %d-%d %v, want %d-%d %v", text, start, end, ok, wantStart, wantEnd, want)
		}
	})
}

// TestServedManifestsAreBounded: what is remembered does not grow with how
// much is asked for.
func TestServedManifestsAreBounded(t *testing.T) {
	var m memory
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	content := make([]byte, 100<<10)
	remember := func(name string, content []byte) {
		m.put(name, served{found{manifest: &registry.Manifest{Content: content}}, 1, now.Add(servedFor)})
	}
	for i := range 10_000 {
		remember(fmt.Sprint(i%300), content[:i%len(content)])
		sum := 0
		if i%100 == 0 {
			for _, s := range m.manifests {
				sum += s.size()
			}
			if sum != m.size || sum > maxServed {
				t.Fatalf("%d bytes are held, %d are counted", sum, m.size)
			}
		}
	}
	remember("small", nil)
	remember("large", make([]byte, maxServedSize))
	for _, tt := range []struct {
		name  string
		epoch uint64
		after time.Duration
		known bool
	}{
		{"small", 1, 0, true},
		{"small", 1, servedFor - 1, true},
		{"small", 1, servedFor, false},
		{"small", 2, 0, false},
		{"large", 1, 0, false},
		{"other", 1, 0, false},
	} {
		if _, known := m.get(tt.name, tt.epoch, now.Add(tt.after)); known != tt.known {
			t.Errorf("%+v: got %v", tt, known)
		}
	}
}
