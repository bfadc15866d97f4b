package amazon

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// Discover finds the advisories of every repository. One that cannot be found
// does not keep the others from being: it is in the error.
func (Feed) Discover(ctx context.Context, fetch func(context.Context, string) (*feed.Document, error)) ([]feed.Part, error) {
	d := discovery{fetch: fetch}
	for _, r := range repositories {
		d.add(ctx, r)
	}
	d.extras(ctx)
	return d.parts, errors.Join(d.failures...)
}

type discovery struct {
	fetch       func(context.Context, string) (*feed.Document, error)
	parts       []feed.Part
	failures    []error
	unreachable int // one after the other
}

// patience is how many documents one after the other may be out of reach before
// no more are asked for, and mirrors how many of a list are tried.
const (
	patience = 3
	mirrors  = 3
)

func (d *discovery) add(ctx context.Context, r repository) {
	if d.unreachable == patience || ctx.Err() != nil {
		return
	}
	location, err := d.updateinfo(ctx, r)
	switch {
	case errors.Is(err, feed.ErrNotPublished):
		d.parts = append(d.parts, r.part(r.mirrors))
	case errors.Is(err, errNone) && r.bare:
	case err != nil:
		d.failures = append(d.failures, fmt.Errorf("%s: %w", r.name, err))
	default:
		d.parts = append(d.parts, r.part(location))
	}
	d.note(err)
}

// note counts what is out of reach.
func (d *discovery) note(err error) {
	d.unreachable++
	if !errors.Is(err, feed.ErrUnreachable) {
		d.unreachable = 0
	}
	if d.unreachable == patience {
		d.failures = append(d.failures, fmt.Errorf("what follows was not looked for: %d repositories one after the other were not reachable", patience))
	}
}

// extras adds the repositories of the topics in the catalogue.
func (d *discovery) extras(ctx context.Context) {
	if d.unreachable == patience || ctx.Err() != nil {
		return
	}
	text, err := d.read(ctx, catalog)
	if errors.Is(err, feed.ErrNotPublished) {
		d.parts = append(d.parts, repository{name: "2/extras"}.part(catalog))
		return
	}
	var list struct {
		Topics []struct {
			Name string `json:"n"`
		} `json:"topics"`
	}
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err == nil && len(list.Topics) == 0 {
		err = errors.New("there are no topics")
	}
	if err != nil {
		d.failures = append(d.failures, fmt.Errorf("2/extras: %s: %w", catalog, err))
		d.note(err)
		return
	}
	const most = 500
	seen := make(map[string]bool)
	for _, topic := range list.Topics[:min(len(list.Topics), most)] {
		if !isTopic(topic.Name) {
			d.failures = append(d.failures, fmt.Errorf("2/extras: %s: %.100q is no topic", catalog, topic.Name))
			continue
		}
		if !seen[topic.Name] {
			seen[topic.Name] = true
			d.add(ctx, extras(topic.Name))
		}
	}
}

// isTopic reports names such as "mate-desktop1.x" and "httpd_modules".
func isTopic(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// errNone: the index of a repository has no advisories.
var errNone = errors.New("repomd.xml names no updateinfo")

// updateinfo is the URL of a repository's advisories, at the first of its
// mirrors that has an index.
func (d *discovery) updateinfo(ctx context.Context, r repository) (string, error) {
	text, err := d.read(ctx, r.mirrors)
	if err != nil {
		return "", err
	}
	var failures []error
	tried := 0
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan() && tried < mirrors; {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		tried++
		location, err := d.index(ctx, r.mirrors, line)
		if err == nil || errors.Is(err, errNone) {
			return location, err
		}
		if errors.Is(err, feed.ErrNotPublished) { // the list was
			err = errors.New(err.Error())
		}
		failures = append(failures, err)
	}
	if tried == 0 {
		return "", fmt.Errorf("%s names no mirror", r.mirrors)
	}
	return "", errors.Join(failures...)
}

// index reads the index of a mirror, given by a line of a list.
func (d *discovery) index(ctx context.Context, list, line string) (string, error) {
	base, err := mirror(list, line)
	if err != nil {
		return "", err
	}
	location := base.JoinPath("repodata", "repomd.xml").String()
	text, err := d.read(ctx, location)
	if err != nil {
		return "", err
	}
	var index struct {
		XMLName xml.Name `xml:"repomd"`
		Data    []struct {
			Type     string `xml:"type,attr"`
			Location struct {
				Path string `xml:"href,attr"`
			} `xml:"location"`
		} `xml:"data"`
	}
	if err := xml.Unmarshal(text, &index); err != nil {
		return "", fmt.Errorf("%s: %w", location, err)
	}
	for _, data := range index.Data {
		if data.Type != "updateinfo" {
			continue
		}
		p := data.Location.Path
		if p == "" || path.IsAbs(p) || path.Clean(p) != p || strings.HasPrefix(p, "..") || strings.ContainsAny(p, ":?#%\\") {
			return "", fmt.Errorf("%s: %.200q is no path in a repository", location, p)
		}
		return base.JoinPath(p).String(), nil
	}
	return "", fmt.Errorf("%s: %w", location, errNone)
}

// mirror reads a line of a list of mirrors. A list is believed about Amazon's own
// servers only: nobody is to be made to fetch from elsewhere, nor without TLS
// where the list came with it.
func mirror(list, line string) (*url.URL, error) {
	fail := func(reason string) (*url.URL, error) {
		return nil, fmt.Errorf("%s: mirror %.200q: %s", list, line, reason)
	}
	base, err := url.Parse(line)
	switch {
	case err != nil || base.Opaque != "" || base.User != nil || base.RawQuery != "" || base.Port() != "":
		return fail("it is no plain URL")
	case base.Scheme != "https" && (base.Scheme != "http" || strings.HasPrefix(list, "https:")):
		return fail("it has another scheme than the list")
	}
	host := base.Hostname()
	if !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".amazonlinux.com") {
		return fail("it is not Amazon's")
	}
	return base, nil
}

// read fetches a small document.
func (d *discovery) read(ctx context.Context, location string) (text []byte, err error) {
	const most = 4 << 20
	doc, err := d.fetch(ctx, location)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, doc.Close()) }()
	if doc.Size > most {
		return nil, fmt.Errorf("%s: the document has %d bytes, the limit is %d", location, doc.Size, most)
	}
	text, err = io.ReadAll(doc.Reader())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", location, err)
	}
	return text, nil
}
