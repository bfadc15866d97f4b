package api

import (
	"net/http"
	"net/url"
	"strings"
)

// joinRepository makes one path segment of a repository's name, whose slashes
// many clients and proxies send as they are:
// registries/main/repositories/team/app/tags is read as
// registries/main/repositories/team%2Fapp/tags. Only a repository itself can be
// deleted, and it may be named tags, or usage.
func joinRepository(r *http.Request) *http.Request {
	path := r.URL.EscapedPath()
	rest, ok := strings.CutPrefix(path, Prefix+"/registries/")
	if !ok {
		return r
	}
	registry, rest, ok := strings.Cut(rest, "/repositories/")
	if !ok || strings.Contains(registry, "/") {
		return r
	}
	name, what := rest, ""
	for _, of := range []string{"/tags", "/usage"} {
		if cut, ok := strings.CutSuffix(rest, of); ok && r.Method != http.MethodDelete {
			name, what = cut, of
		}
	}
	if !strings.Contains(name, "/") {
		return r
	}
	joined := Prefix + "/registries/" + registry + "/repositories/" + strings.ReplaceAll(name, "/", "%2F") + what
	plain, err := url.PathUnescape(joined)
	if err != nil {
		return r
	}
	u := *r.URL
	u.Path, u.RawPath = plain, joined
	copied := r.WithContext(r.Context())
	copied.URL = &u
	return copied
}
