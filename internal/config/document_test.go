package config

import (
	"strings"
	"testing"
)

func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		"", "#\n", "listen: :1\n", "data: a\ndata: b\n", "feeds: [a, b]\n", "feeds: &a [*a]\n", "a: &a [x]\nfeeds: *a\n",
		"---\n---\n", "? [a]\n: b\n", "{}", "~", "layer-max-size: 1e400GiB\n", "admin-password: |\n  x\n", "\xff\xfe", "listen: !!int x\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDocument("f.yaml", []byte(text))
		if (d == nil) == (err == nil) {
			t.Fatalf("%q: document %v, error %v", text, d, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "f.yaml:") {
			t.Fatalf("%q: the error does not name the file: %v", text, err)
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"listen", "clair-listen", "log-level"}
	tests := []struct {
		word, near string
		exact      bool
	}{
		{"listen", "listen", true},
		{"Listen", "listen", false},
		{"lsiten", "listen", false},
		{"clairlisten", "clair-listen", false},
		{"log_level", "log-level", false},
		{"database", "", false},
		{"", "", false},
	}
	for _, test := range tests {
		t.Run(test.word, func(t *testing.T) {
			near, exact := nearest(test.word, known)
			if near != test.near || exact != test.exact {
				t.Errorf("got %q, %v, want %q, %v", near, exact, test.near, test.exact)
			}
		})
	}
}
