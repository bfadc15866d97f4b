package policy_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/policy"
)

// shelf holds main/app with the tags 1 and latest.
type shelf struct{}

func (shelf) ManifestDigest(_ context.Context, registry, repository, reference string) (string, error) {
	if registry+"/"+repository == "main/app" && (reference == "1" || reference == "latest" || reference == digestA) {
		return digestA, nil
	}
	return "", policy.ErrNotFound
}

func TestFind(t *testing.T) {
	f := policy.NewFinder(shelf{}, func(context.Context) string { return "https://Registry.example.com/" })
	bare := policy.NewFinder(shelf{}, func(context.Context) string { return "" })
	hosts := []string{"mirror:5000", "localhost"}
	for _, test := range []struct {
		name   string
		finder *policy.Finder
		text   string
		bare   bool
		tag    string
		digest bool
		err    error
	}{
		{"by its base URL", f, "registry.example.com/main/app:1", false, "1", false, nil},
		{"with the port that https has", f, "registry.example.com:443/main/app:1", false, "1", false, nil},
		{"in capitals", f, "REGISTRY.example.com/main/app:1", false, "1", false, nil},
		{"on another port", f, "registry.example.com:8443/main/app:1", false, "", false, policy.ErrElsewhere},
		{"by another name", f, "mirror:5000/main/app", false, "latest", false, nil},
		{"by another name without its port", f, "mirror/main/app", false, "", false, policy.ErrElsewhere},
		{"by localhost", f, "localhost/main/app:1", false, "1", false, nil},
		{"by digest", f, "registry.example.com/main/app@" + digestA, false, "", true, nil},
		{"by tag and digest", f, "registry.example.com/main/app:1@" + digestA, false, "1", true, nil},
		{"of Docker Hub", f, "nginx:1.27", false, "", false, policy.ErrElsewhere},
		{"of Docker Hub, though it looks like ours", f, "main/app:1", false, "", false, policy.ErrElsewhere},
		{"bare", f, "main/app:1", true, "1", false, nil},
		{"bare, with a host", f, "registry.example.com/main/app:1", true, "1", false, nil},
		{"bare, with another's host", f, "docker.io/main/app:1", true, "", false, policy.ErrElsewhere},
		{"bare, of a server without a base URL", bare, "main/app:1", true, "1", false, nil},
		{"of a server without a base URL", bare, "registry.example.com/main/app:1", false, "", false, policy.ErrElsewhere},
		{"no such tag", f, "registry.example.com/main/app:2", false, "", false, policy.ErrAbsent},
		{"no repository", f, "registry.example.com/main", false, "", false, policy.ErrAbsent},
		{"empty", f, "", false, "", false, policy.ErrReference},
		{"empty and bare", f, "", true, "", false, policy.ErrReference},
		{"capitals", f, "registry.example.com/Main/App", false, "", false, policy.ErrReference},
		{"a digest that is none", f, "registry.example.com/main/app@sha256:1", false, "", false, policy.ErrReference},
		{"long", f, "registry.example.com/" + strings.Repeat("a", 2000), false, "", false, policy.ErrReference},
		{"spaces", f, "registry.example.com/main/app: 1", true, "", false, policy.ErrReference},
		{"traversal", f, "registry.example.com/../main/app", true, "", false, policy.ErrReference},
		{"the name that bare ones have inside", f, "this.server.invalid/main/app:1", false, "", false, policy.ErrElsewhere},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.finder.Find(t.Context(), test.text, hosts, test.bare)
			if test.err != nil {
				if !errors.Is(err, test.err) || strings.Contains(err.Error(), "invalid/") && test.bare {
					t.Errorf("got %+v, %v, want %v", got, err, test.err)
				}
				return
			}
			want := policy.Pull{Place: assess.Place{Registry: "main", Repository: "app", Digest: digestA}, Tag: test.tag, ByDigest: test.digest}
			if err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestAdmissionIsChecked(t *testing.T) {
	for _, test := range []struct {
		name      string
		admission policy.Admission
		field     string
	}{
		{"good", policy.Admission{UnknownImages: policy.Deny, Hosts: []string{"a", "a.b-c.example:8624", "10.0.0.1", "10.0.0.1:80", "[::1]:80"}}, ""},
		{"no such answer", policy.Admission{UnknownImages: "maybe"}, "unknown_images"},
		{"too many", policy.Admission{UnknownImages: policy.Allow, Hosts: make([]string, 101)}, "hosts"},
		{"a URL", policy.Admission{UnknownImages: policy.Allow, Hosts: []string{"a", "https://a"}}, "hosts[1]"},
		{"a path", policy.Admission{UnknownImages: policy.Allow, Hosts: []string{"a/b"}}, "hosts[0]"},
		{"a port too high", policy.Admission{UnknownImages: policy.Allow, Hosts: []string{"a:65536"}}, "hosts[0]"},
		{"no host", policy.Admission{UnknownImages: policy.Allow, Hosts: []string{":80"}}, "hosts[0]"},
		{"empty", policy.Admission{UnknownImages: policy.Allow, Hosts: []string{""}}, "hosts[0]"},
		{"a line break", policy.Admission{UnknownImages: policy.Allow, Hosts: []string{"a\nb"}}, "hosts[0]"},
	} {
		t.Run(test.name, func(t *testing.T) { wantField(t, test.admission.Check(), test.field) })
	}
}
