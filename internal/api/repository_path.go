package api

import (
	"net/http"
	"net/url"
	"strings"
)

// joinRepository makes one path segment of a repository's name, whose slashes
// many clients and proxies send as they are:
// registries/main/repositories/team/app/tags is read as
// registries/main/repositories/team%2Fapp/tags.
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
	name, ok := strings.CutSuffix(rest, "/tags")
	if !ok || !strings.Contains(name, "/") {
		return r
	}
	joined := Prefix + "/registries/" + registry + "/repositories/" + strings.ReplaceAll(name, "/", "%2F") + "/tags"
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
