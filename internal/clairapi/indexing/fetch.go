package indexing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pratique/pratique/internal/egress"
)

// fetch opens what is at a URL, for a client: by HTTP, or as a file where a
// folder is opened for that.
func (s *Service) fetch(ctx context.Context, client, location string, header http.Header) (io.ReadCloser, error) {
	if !s.opts.Fetches.Allow(client) {
		return nil, ErrRate
	}
	if name, ok := localPath(location); ok && s.opts.Folder != "" {
		f, err := openFile(s.opts.Folder, name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDownload, err)
		}
		return f, nil
	}
	response, err := s.client.Get(ctx, location, header)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDownload, err)
	}
	return response.Body, nil
}

// localPath is the path of a location that is one, as Clair 2 takes it: all that
// is not http or https.
func localPath(location string) (string, bool) {
	lower := strings.ToLower(location)
	if strings.HasPrefix(lower, "http:") || strings.HasPrefix(lower, "https:") {
		return "", false
	}
	if strings.HasPrefix(lower, "file://") {
		return location[len("file://"):], true
	}
	return location, !strings.Contains(location, "://")
}

// openFile opens a regular file of a folder; no link leads out of it.
func openFile(folder, name string) (io.ReadCloser, error) {
	refused := func(why string) error {
		return &egress.Error{URL: "a file", Err: fmt.Errorf("%w: %s", egress.ErrForbiddenURL, why)}
	}
	if filepath.IsAbs(name) {
		within, err := filepath.Rel(folder, name)
		if err != nil {
			return nil, refused("it is not in the folder that is opened")
		}
		name = within
	}
	if !filepath.IsLocal(name) {
		return nil, refused("it is not in the folder that is opened")
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, refused("the folder that is opened is not there")
	}
	defer root.Close()
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refused("there is no such file")
	case err != nil:
		return nil, refused("it is not in the folder that is opened, or cannot be read")
	case !info.Mode().IsRegular(): // a pipe would never end
		return nil, refused("it is no regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, refused("it cannot be read")
	}
	return f, nil
}

// originOf is the repository that a layer's URL names: what is before "/blobs/".
// It is "" where there is no such thing.
func originOf(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" || len(location) > 2000 {
		return ""
	}
	i := strings.LastIndex(u.Path, "/blobs/")
	if i <= 0 {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + u.Path[:i]
}
