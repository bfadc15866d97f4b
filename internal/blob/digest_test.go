package blob_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/blob"
)

func TestParseDigest(t *testing.T) {
	a64, a128 := strings.Repeat("a", 64), strings.Repeat("0", 128)
	for _, tt := range []struct {
		name, digest string
		want         blob.Algorithm
	}{
		{"sha256", "sha256:" + a64, blob.SHA256},
		{"sha512", "sha512:" + a128, blob.SHA512},
		{"empty", "", ""},
		{"no algorithm", a64, ""},
		{"other algorithm", "sha384:" + strings.Repeat("a", 96), ""},
		{"md5", "md5:" + strings.Repeat("a", 32), ""},
		{"short", "sha256:" + a64[1:], ""},
		{"long", "sha256:" + a64 + "a", ""},
		{"length of the other", "sha256:" + a128, ""},
		{"upper case", "sha256:" + strings.Repeat("A", 64), ""},
		{"path", "sha256:../../../../" + a64[:52], ""},
		{"null byte", "sha256:" + a64[:63] + "\x00", ""},
		{"upper-case algorithm", "SHA256:" + a64, ""},
		{"two colons", "sha256::" + a64[1:], ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, encoded, err := blob.ParseDigest(tt.digest)
			if got != tt.want {
				t.Errorf("got algorithm %q, want %q", got, tt.want)
			}
			if tt.want == "" && !errors.Is(err, blob.ErrDigestMalformed) {
				t.Errorf("got error %v, want ErrDigestMalformed", err)
			}
			if tt.want != "" && (err != nil || string(got)+":"+encoded != tt.digest) {
				t.Errorf("got %q, %v", encoded, err)
			}
		})
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("a", 64))
	f.Add("sha512:" + strings.Repeat("0", 128))
	f.Add("sha256:../../x")
	f.Fuzz(func(t *testing.T, digest string) {
		algorithm, encoded, err := blob.ParseDigest(digest)
		if err != nil {
			return
		}
		if string(algorithm)+":"+encoded != digest {
			t.Errorf("%q became %q and %q", digest, algorithm, encoded)
		}
		if strings.Trim(encoded, "0123456789abcdef") != "" {
			t.Errorf("%q is not safe in a file name", encoded)
		}
	})
}
