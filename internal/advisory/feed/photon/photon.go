// Package photon reads Photon OS's vulnerability metadata,
// https://packages.vmware.com/photon/photon_cve_metadata/: one document for each
// branch, a list of vulnerabilities of packages.
//
// Photon's OVAL definitions, which are published beside it, are not read: they
// have only what was fixed, nothing that is not in the metadata, and in them some
// versions are another branch's.
//
// It must not know how documents are fetched or stored.
package photon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

// Feed is Photon's metadata.
type Feed struct{}

// New returns the feed.
func New() Feed { return Feed{} }

// Name is "photon".
func (Feed) Name() string { return "photon" }

// Revision is that of this parser.
func (Feed) Revision() int { return 1 }

// The branches 1.0 to last.0 are known to be published.
const last = 5

// Parts lists the branches that are known. photon_versions.json lists them too,
// but it was not always there.
func (Feed) Parts() (parts []feed.Part) {
	for n := last; n > 0; n-- {
		parts = append(parts, branch(n))
	}
	return parts
}

// More is the branch after the newest one that is published.
func (Feed) More(published map[string]bool) []feed.Part {
	for n := last; published[branch(n).Name]; n++ {
		if _, asked := published[branch(n+1).Name]; !asked {
			return []feed.Part{branch(n + 1)}
		}
	}
	return nil
}

func branch(n int) feed.Part {
	version := strconv.Itoa(n) + ".0"
	return feed.Part{
		Name: version, URL: "https://packages.vmware.com/photon/photon_cve_metadata/cve_data_photon" + version + ".json",
		Ecosystems: []string{"photon:" + version},
	}
}

// maxRecords bounds one branch; the largest has some 30,000.
const maxRecords = 300_000

// Parse reads the document of one branch. A vulnerability is a group; as the
// document may name it in several places, all records are kept until its end.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	p := parser{ecosystem: "photon:" + part.Name, groups: make(map[string][]advisory.Advisory)}
	d := feed.NewDecoder(r)
	err := d.Array(func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if p.position == maxRecords {
			return fmt.Errorf("byte %d: more than %d records", d.Offset(), maxRecords)
		}
		return p.element(d)
	})
	if err == nil {
		err = d.End()
	}
	if err == nil && p.position == 0 {
		err = fmt.Errorf("byte %d: the document has no records", d.Offset())
	}
	if err != nil {
		return feed.Parsed{}, fmt.Errorf("%s %s: %w", f.Name(), part.Name, err)
	}
	for _, vulnerability := range slices.Sorted(maps.Keys(p.groups)) {
		if err := emit(advisory.Group{Part: part.Name, Name: vulnerability, Advisories: p.groups[vulnerability]}); err != nil {
			return feed.Parsed{}, err
		}
	}
	parsed := feed.Parsed{Skipped: p.skipped}
	if len(p.groups) > 0 {
		parsed.Ecosystems = []string{p.ecosystem}
	}
	return parsed, nil
}

type parser struct {
	ecosystem string
	position  int
	groups    map[string][]advisory.Advisory
	skipped   feed.Skipped
}

// record is a vulnerability of a package. Its score has no vector, so nothing
// is made of it.
type record struct {
	ID       string `json:"cve_id"`
	Package  string `json:"pkg"`
	Affected string `json:"aff_ver"`
	Fixed    string `json:"res_ver"`
	Status   string `json:"status"`
}

// identifier takes CVE identifiers and those of Black Duck (BDSA), but not the
// placeholders UNK-1 and Re.
var identifier = regexp.MustCompile(`^(CVE|BDSA)-[0-9]{4}-[0-9]{4,19}$`)

func (p *parser) element(d *feed.Decoder) error {
	p.position++
	var r record
	err := d.Value(&r)
	vulnerability := strings.ToUpper(strings.TrimSpace(r.ID))
	problem := ""
	switch {
	case errors.Is(err, feed.ErrShape):
		problem = err.Error()
	case err != nil:
		return err
	case !identifier.MatchString(vulnerability):
		problem = "its identifier is none"
	case r.Package == "":
		problem = "it names no package"
	}
	if problem != "" {
		p.skipped.Add(strings.TrimSpace(fmt.Sprintf("record %d %s %s", p.position, r.Package, r.ID)), problem)
		return nil
	}
	a := r.statement()
	a.Ecosystem, a.Vulnerability, a.Package = p.ecosystem, vulnerability, r.Package
	// The branches up to 3.0 name sources; later ones sources and everything
	// that is built of them, and nothing tells which a name is.
	for _, a.Source = range []bool{true, false} {
		p.groups[vulnerability] = append(p.groups[vulnerability], a)
	}
	return nil
}

// none is what is written for a version that there is not.
const none = "NA"

// statement is what a record says, but for the names in it.
func (r record) statement() advisory.Advisory {
	fixed := strings.TrimSpace(r.Fixed)
	switch {
	case r.Status == "Not Affected":
		return advisory.Advisory{Status: advisory.NotAffected}
	case fixed != "" && fixed != none:
		a := advisory.Advisory{Status: advisory.Affected, Fixed: fixed}
		if r.Affected != "all versions before "+fixed+" are vulnerable" {
			a.Note = r.Affected
		}
		return a
	case strings.HasPrefix(r.Affected, "all versions"):
		return advisory.Advisory{Status: advisory.Affected, Note: r.Affected}
	}
	// "Fixed", but not where.
	return advisory.Advisory{Status: advisory.Undetermined, Note: cmp.Or(r.Status, r.Affected)}
}
