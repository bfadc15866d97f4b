package target_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/target"
	tt "github.com/pratique/pratique/internal/target/targettest"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		text, kind, want string
	}{
		{"oci-dir:a", "oci-dir", "oci-dir:a"},
		{"oci-archive:a.tar:app:1", "oci-archive", "oci-archive:a.tar:app:1"},
		{"docker-archive:/a b.tar", "docker-archive", "docker-archive:/a b.tar"},
		{"rootfs:/", "rootfs", "rootfs:/"},
		{"sbom:x.json", "sbom", "sbom:x.json"},
		{"alpine", "registry", "docker.io/library/alpine:latest"},
		{"alpine:3.20", "registry", "docker.io/library/alpine:3.20"},
		{"me/app", "registry", "docker.io/me/app:latest"},
		{"localhost:5000/a/b:1", "registry", "localhost:5000/a/b:1"},
		{"docker://ghcr.io/a/b:1", "registry", "ghcr.io/a/b:1"},
		{"[::1]:5000/a", "registry", "[::1]:5000/a:latest"},
		{"h.example/a:1@sha256:" + strings.Repeat("a", 64), "registry", "h.example/a@sha256:" + strings.Repeat("a", 64)},
	} {
		name, err := target.Parse(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if string(name.Kind) != test.kind || name.String() != test.want {
			t.Errorf("%s: got %s %s, want %s %s", test.text, name.Kind, name, test.kind, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	file := tt.Write(t, "image.tar", nil)
	for _, test := range []struct{ text, says string }{
		{"", "invalid reference"},
		{"oci-dir:", "path"},
		{"Upper:1", "lowercase"},
		{"a b", "invalid reference"},
		{file, "did you mean docker-archive:" + file},
		{t.TempDir(), "rootfs:"},
		{"app@sha256:short", "invalid"},
	} {
		_, err := target.Parse(test.text)
		if !errors.Is(err, target.ErrName) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: got %v, want %q", test.text, err, test.says)
		}
	}
}
