package amazon

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

// Limits of what is read.
const (
	maxUpdate     = 16 << 20 // bytes of one update
	maxPlain      = 4 << 30  // bytes of a document, not compressed
	maxStatements = 200_000  // of one update: kernels have hundreds of CVEs and dozens of packages
)

// Parse reads an updateinfo.xml, compressed or not. An update is a group.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	p := parser{part: part, ecosystem: ecosystem(part.Name), topic: topicOf(part.Name), emit: emit}
	err := p.document(ctx, r)
	if p.emitErr != nil {
		return feed.Parsed{}, p.emitErr
	}
	if err != nil {
		return feed.Parsed{}, fmt.Errorf("%s %s: %w", f.Name(), part.Name, err)
	}
	return feed.Parsed{Ecosystems: []string{p.ecosystem}, Skipped: p.skipped}, nil
}

type parser struct {
	part      feed.Part
	ecosystem string
	topic     string
	emit      func(advisory.Group) error
	emitErr   error
	skipped   feed.Skipped
	position  int
}

func (p *parser) document(ctx context.Context, r io.Reader) error {
	content, err := decompress(r)
	if err != nil {
		return err
	}
	in := &meter{r: content, limit: maxUpdate}
	d := xml.NewDecoder(in)
	fail := func(err error) error {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("byte %d: %w", d.InputOffset(), err)
	}
	root, ended := false, false
	for {
		in.limit = d.InputOffset() + maxUpdate
		token, err := d.Token()
		if err == io.EOF && ended {
			return nil
		}
		if err != nil {
			return fail(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			switch {
			case ended || !root && t.Name.Local != "updates":
				return fail(fmt.Errorf("want updates, not an element %.50q", t.Name.Local))
			case !root:
				root = true
				continue
			case t.Name.Local != "update":
				err = d.Skip()
			default:
				if err := ctx.Err(); err != nil {
					return err
				}
				var u update
				if err = d.DecodeElement(&u, &t); err == nil {
					err = p.update(&u)
				}
			}
			if p.emitErr != nil {
				return p.emitErr
			}
			if err != nil {
				return fail(err)
			}
		case xml.EndElement:
			ended = true
		case xml.CharData:
			if !root && len(bytes.TrimSpace(t)) > 0 {
				return fail(errors.New("want updates, not text"))
			}
		}
	}
}

// decompress reads what may be a gzip file.
func decompress(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	head, err := buffered.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return buffered, nil
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return z, nil
}

// meter is a reader that ends where one update, or the document, would take too much.
type meter struct {
	r           io.Reader
	read, limit int64
}

func (m *meter) Read(p []byte) (int, error) {
	// The decoder reads a little ahead.
	const ahead = 64 << 10
	left := min(m.limit+ahead, maxPlain) - m.read
	if left <= 0 {
		return 0, fmt.Errorf("one update has more than %d bytes, or the document more than %d", maxUpdate, int64(maxPlain))
	}
	n, err := m.r.Read(p[:min(int64(len(p)), left)])
	m.read += int64(n)
	return n, err
}

// update is an advisory as it is published.
type update struct {
	Type        string      `xml:"type,attr"`
	Status      string      `xml:"status,attr"`
	ID          string      `xml:"id"`
	Severity    string      `xml:"severity"`
	Description string      `xml:"description"`
	References  []reference `xml:"references>reference"`
	Packages    []pkg       `xml:"pkglist>collection>package"`
}

type reference struct {
	URL string `xml:"href,attr"`
	ID  string `xml:"id,attr"`
}

type pkg struct {
	Name         string `xml:"name,attr"`
	Epoch        string `xml:"epoch,attr"`
	Version      string `xml:"version,attr"`
	Release      string `xml:"release,attr"`
	Architecture string `xml:"arch,attr"`
}

func (p *parser) update(u *update) error {
	p.position++
	u.ID = strings.TrimSpace(u.ID)
	if u.Type != "" && u.Type != "security" {
		return nil
	}
	if u.ID == "" {
		p.skipped.Add(fmt.Sprintf("update %d", p.position), "it has no id")
		return nil
	}
	vulnerabilities := u.vulnerabilities()
	fixes := p.fixes(u)
	switch {
	case len(fixes) == 0:
		p.skipped.Add(u.ID, "it names no package")
		return nil
	case len(vulnerabilities)*len(fixes) > maxStatements:
		p.skipped.Add(u.ID, fmt.Sprintf("%d statements; the limit is %d", len(vulnerabilities)*len(fixes), maxStatements))
		return nil
	}
	base := advisory.Advisory{ID: u.ID, Ecosystem: p.ecosystem, Status: advisory.Affected, Severity: severity(u.Severity)}
	if u.Status == "retracted" {
		base.Status = advisory.Withdrawn
	}
	group := advisory.Group{Part: p.part.Name, Name: u.ID, Details: make(map[string]advisory.Detail, len(vulnerabilities))}
	group.Advisories = make([]advisory.Advisory, 0, len(vulnerabilities)*len(fixes))
	descriptions := sections(u.Description)
	for _, vulnerability := range vulnerabilities {
		for _, fix := range fixes {
			a := base
			a.Vulnerability, a.Package, a.Architectures, a.Introduced, a.Fixed = vulnerability, fix.name, fix.architectures, fix.introduced, fix.fixed
			group.Advisories = append(group.Advisories, a)
		}
		d := advisory.Detail{Description: descriptions[vulnerability]}
		if d.Description == "" && len(vulnerabilities) == 1 {
			d.Description = strings.TrimSpace(u.Description)
		}
		for _, r := range u.References {
			if r.URL != "" && (r.ID == vulnerability || !cve.MatchString(r.ID)) {
				d.References = append(d.References, r.URL)
			}
		}
		group.Details[vulnerability] = d
	}
	p.emitErr = p.emit(group)
	return p.emitErr
}

var cve = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)

// vulnerabilities are the CVEs that the update refers to, else those that its
// description has a section on, else the update.
func (u *update) vulnerabilities() []string {
	var names []string
	for i := range u.References {
		u.References[i].ID = strings.TrimSpace(u.References[i].ID)
		if cve.MatchString(u.References[i].ID) {
			names = append(names, u.References[i].ID)
		}
	}
	if names == nil {
		names = slices.Collect(maps.Keys(sections(u.Description)))
	}
	if names == nil {
		return []string{u.ID}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sections are the parts of a description by the CVE in the line above each.
func sections(description string) map[string]string {
	found := make(map[string]string)
	name := ""
	for line := range strings.Lines(description) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutSuffix(line, ":"); ok && cve.MatchString(title) {
			name = title
			if _, known := found[name]; !known {
				found[name] = ""
			}
			continue
		}
		if name != "" && line != "" {
			found[name] = strings.TrimPrefix(found[name]+"\n"+line, "\n")
		}
	}
	return found
}

// fix is the version of a package that is not affected any more.
type fix struct{ name, architectures, introduced, fixed string }

// fixes are what an update says of packages. Architectures count only where they
// do not agree on a version: what is not listed for one is built for it later.
// Symbols and sources for debuggers hold nothing that runs.
func (p *parser) fixes(u *update) []fix {
	type version struct{ name, epoch, version, release string }
	found := make(map[version][]string)
	versions := make(map[string]int)
	for _, k := range u.Packages {
		if strings.HasSuffix(k.Name, "-debuginfo") || strings.HasSuffix(k.Name, "-debugsource") || strings.Contains(k.Name, "-debuginfo-common") {
			continue
		}
		if k.Name == "" || k.Version == "" || k.Release == "" {
			p.skipped.Add(fmt.Sprintf("%s package %q", u.ID, k.Name), "it has no name, version or release")
			continue
		}
		v := version{k.Name, k.Epoch, k.Version, k.Release}
		if v.epoch == "0" {
			v.epoch = ""
		}
		if found[v] == nil {
			versions[v.name]++
		}
		found[v] = append(found[v], k.Architecture)
	}
	fixes := make([]fix, 0, len(found))
	for v, architectures := range found {
		epoch := ""
		if v.epoch != "" {
			epoch = v.epoch + ":"
		}
		f := fix{name: v.name, fixed: epoch + v.version + "-" + v.release}
		if s := series(p.topic, v.version); s != "" {
			f.introduced = epoch + s
		}
		if versions[v.name] > 1 {
			slices.Sort(architectures)
			f.architectures = strings.Join(slices.Compact(architectures), " ")
		}
		fixes = append(fixes, f)
	}
	slices.SortFunc(fixes, func(a, b fix) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.fixed, b.fixed))
	})
	return fixes
}

var numbers = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)*`)

// series is the version in the name of a topic of which a fixed version is one:
// "8.1" of "php8.1" and 8.1.14. Core and other topics have packages of the same
// name (php 5.4, php 8.2) whose fixes are told apart from these: the statement
// is on versions from 8.1 on only. A topic without a version in its name, or
// with another than the package's, is on every version below the fixed one.
func series(topic, version string) string {
	for _, number := range numbers.FindAllString(topic, -1) {
		if version == number || strings.HasPrefix(version, number+".") {
			return number
		}
	}
	return ""
}

// severity reads Amazon's word (https://alas.aws.amazon.com/faqs.html).
func severity(word string) advisory.Severity {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical":
		return advisory.Critical
	case "important":
		return advisory.High
	case "medium", "moderate":
		return advisory.Medium
	case "low":
		return advisory.Low
	}
	return advisory.Unknown
}
