package feed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// openMirror finds out what the mirror is.
func (f *Fetcher) openMirror() error {
	mirror := f.opts.Mirror
	if mirror == "" {
		return nil
	}
	if scheme, _, found := strings.Cut(mirror, "://"); found {
		base, err := url.Parse(mirror)
		if err != nil {
			return fmt.Errorf("feeds mirror: %w", err)
		}
		if scheme != "http" && scheme != "https" || base.Host == "" {
			return fmt.Errorf("feeds mirror %q: want http://…, https://… or a folder", base.Redacted())
		}
		f.base = base
		return nil
	}
	folder, err := filepath.Abs(mirror)
	if err != nil {
		return fmt.Errorf("feeds mirror: %w", err)
	}
	// A root does not let names out, neither with .. nor through symbolic links.
	if f.root, err = os.OpenRoot(folder); err != nil {
		return fmt.Errorf("feeds mirror: %w", err)
	}
	return nil
}

// Locate says where the document at an upstream URL is read: there, where that is
// redirected to, or at the mirror.
func (f *Fetcher) Locate(upstream string) (string, error) {
	u, err := url.Parse(upstream)
	if err != nil {
		return "", fmt.Errorf("fetch: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", fmt.Errorf("fetch %q: want http:// or https://", upstream)
	}
	start := ""
	for from := range f.opts.Redirects {
		if strings.HasPrefix(upstream, from) && len(from) > len(start) {
			start = from
		}
	}
	switch {
	case start != "":
		return f.opts.Redirects[start] + upstream[len(start):], nil
	case f.base != nil:
		return f.base.JoinPath(u.Host, path.Clean("/"+u.Path)).String(), nil
	case f.root != nil:
		return "file://" + path.Join(filepath.ToSlash(f.root.Name()), name(u)), nil
	}
	return upstream, nil
}

// name is the file's in a mirror folder.
func name(u *url.URL) string { return path.Join(u.Host, path.Clean("/"+u.Path)) }

// fetchFile reads a file of the mirror. It is always read: its digest says for
// certain whether it changed, and reading is cheap.
func (f *Fetcher) fetchFile(ctx context.Context, upstream, location string) (*Document, error) {
	fail := func(err error) (*Document, error) {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNotPublished
		}
		return nil, fmt.Errorf("fetch %s: %w", location, err)
	}
	if err := ctx.Err(); err != nil {
		return fail(context.Cause(ctx))
	}
	u, err := url.Parse(upstream)
	if err != nil {
		return fail(err)
	}
	info, err := f.root.Stat(name(u))
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return fail(fmt.Errorf("it is no regular file (%s)", info.Mode().Type()))
	}
	file, err := f.root.Open(name(u))
	if err != nil {
		return fail(err)
	}
	defer file.Close()
	doc, err := f.spool(file, location)
	if err != nil {
		return fail(err)
	}
	return doc, nil
}
