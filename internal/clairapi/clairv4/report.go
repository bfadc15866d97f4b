package clairv4

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/inventory"
)

// The states of an index report that are told: those between are over before
// anyone can ask.
const (
	stateFinished = "IndexFinished"
	stateError    = "IndexError"
)

// newIndexReport writes what a manifest's layers hold.
func newIndexReport(m clairapi.Manifest, packages []clairapi.IndexedPackage) indexReport {
	r := indexReport{
		Hash: m.Hash, State: stateFinished, Success: true, Err: m.Error,
		Packages: make(map[string]*packageBody), Distributions: make(map[string]*distribution),
		Repositories: make(map[string]*repository), Environments: make(map[string][]environment),
	}
	if m.Error != "" {
		r.State, r.Success = stateError, false
		return r
	}
	where := ""
	if d := describeDistribution(m.Distribution); d != nil {
		r.Distributions[d.ID] = d
		where = d.ID
	}
	for _, p := range packages {
		id := strconv.FormatInt(p.ID, 10)
		if r.Packages[id] == nil {
			r.Packages[id] = describePackage(id, p.Package)
		}
		e := environment{PackageDB: database(p.Installed), RepositoryIDs: []string{}}
		if inventory.OfSystem(p.Type) {
			e.DistributionID = where
		}
		if p.LayerIndex < len(m.Layers) {
			e.IntroducedIn = m.Layers[p.LayerIndex].Hash
		}
		if from, ok := repositories[p.Type]; ok {
			r.Repositories[from.ID] = &from
			e.RepositoryIDs = append(e.RepositoryIDs, from.ID)
		}
		r.Environments[id] = append(r.Environments[id], e)
	}
	return r
}

func describePackage(id string, p inventory.Package) *packageBody {
	version := p.Version
	if p.Type == "golang" && version == "devel" {
		version = "(devel)" // as the program says
	}
	out := &packageBody{ID: id, Name: p.Name, Version: version, Kind: "binary", Module: p.Module, Arch: p.Architecture, NormalizedVersion: normalized(p)}
	if p.SourceName != "" && inventory.OfSystem(p.Type) {
		out.Source = &packageBody{ID: "source-" + id, Name: p.SourceName, Version: cmp.Or(p.SourceVersion, p.Version), Kind: "source", Module: p.Module}
	}
	return out
}

var semanticVersion = regexp.MustCompile(`^v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})`)

// normalized is claircore's form of the versions that it compares by numbers.
func normalized(p inventory.Package) string {
	if p.Type != "golang" {
		return ""
	}
	found := semanticVersion.FindStringSubmatch(p.Version)
	if found == nil {
		return ""
	}
	return fmt.Sprintf("semver:0.%s.%s.%s.0.0.0.0.0.0", found[1], found[2], found[3])
}

// database is the place of a package, as claircore names it: the database of the
// system's packages; for RPM its folder; for those of languages a path.
func database(p inventory.Installed) string {
	if p.Type == "rpm" {
		return path.Dir(p.Path)
	}
	return databasePrefixes[p.Type] + p.Path
}

// newVulnerabilityReport joins a manifest's packages with what affects them.
func newVulnerabilityReport(index indexReport, packages []clairapi.IndexedPackage, threats []clairapi.Threat) (vulnerabilityReport, error) {
	r := vulnerabilityReport{
		Hash: index.Hash, Packages: index.Packages, Distributions: index.Distributions, Repositories: index.Repositories, Environments: index.Environments,
		Vulnerabilities: make(map[string]*vulnerability), PackageVulnerabilities: make(map[string][]string),
	}
	byID := make(map[int64]*inventory.Package, len(packages))
	for i := range packages {
		byID[packages[i].ID] = &packages[i].Package
	}
	scored, probable, exploited := make(map[string][]cvssItem), make(map[string][]epssItem), make(map[string][]kevItem)
	for i := range threats {
		t := &threats[i]
		p := byID[t.PackageID]
		if p == nil {
			continue // the inventory changed between two reads
		}
		v := describeThreat(*t, *p)
		if known := r.Vulnerabilities[v.ID]; known == nil {
			if d := index.Distributions[distributionID]; d != nil && inventory.OfSystem(p.Type) {
				v.Distribution = d
			}
			r.Vulnerabilities[v.ID] = v
			if item, ok := score(*t); ok {
				scored[v.ID] = []cvssItem{item}
			}
			if t.EPSS > 0 || t.Percentile > 0 {
				probable[v.ID] = []epssItem{{CVE: t.Vulnerability, EPSS: t.EPSS, Percentile: t.Percentile}}
			}
			if !t.ExploitedSince.IsZero() {
				exploited[v.ID] = []kevItem{{CVE: t.Vulnerability, DateAdded: t.ExploitedSince.Format(time.DateOnly)}}
			}
		}
		id := strconv.FormatInt(t.PackageID, 10)
		r.PackageVulnerabilities[id] = append(r.PackageVulnerabilities[id], v.ID)
	}
	for _, e := range []struct {
		key   string
		items any
		n     int
	}{{enrichmentCVSS, scored, len(scored)}, {enrichmentEPSS, probable, len(probable)}, {enrichmentKEV, exploited, len(exploited)}} {
		if e.n == 0 {
			continue
		}
		text, err := json.Marshal(e.items)
		if err != nil {
			return r, fmt.Errorf("enrichments of %s: %w", index.Hash, err)
		}
		r.Enrichments = append(r.Enrichments, entry[[]json.RawMessage]{e.key, []json.RawMessage{text}})
	}
	return r, nil
}

// describeThreat writes a vulnerability with the package that it is stated of:
// that is the source's where the statement is on sources. Its id is the same for
// the same statement on the same version, in every report. Distribution and
// repository are there, if empty: clair-scanner reads of them without a look.
func describeThreat(t clairapi.Threat, p inventory.Package) *vulnerability {
	s := t.Statement
	subject := &packageBody{Name: p.Name, Version: p.Version, Kind: "binary", Arch: p.Architecture, Module: p.Module}
	if s.Source {
		subject = &packageBody{Name: p.SourceName, Version: cmp.Or(p.SourceVersion, p.Version), Kind: "source", Module: p.Module}
	}
	subject.NormalizedVersion = normalized(inventory.Package{Type: p.Type, Version: subject.Version})
	v := &vulnerability{
		Updater: updaterName(s.Feed, s.Part), Name: t.Vulnerability, Description: t.Description, Issued: t.Published,
		Links: strings.Join(clairapi.Pages(p, t), " "), Severity: cmp.Or(s.Note, clairapi.SeverityName(t.Severity)), NormalizedSeverity: clairapi.SeverityName(t.Severity),
		Package: subject, Distribution: &distribution{}, Repository: &repository{}, FixedInVersion: s.Fixed,
	}
	if from, ok := repositories[p.Type]; ok {
		v.Repository = &repository{Name: from.Name, URI: from.URI}
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s\x00%s\x00%s\x00%s\x00%s", s.Feed, s.Part, s.ID, v.Name, p.Type, p.Distribution, subject.Name, subject.Version)
	if !s.Source {
		fmt.Fprintf(h, "\x00%s", subject.Arch)
	}
	v.ID = strconv.FormatUint(h.Sum64()>>1, 10)
	subject.ID = v.ID
	return v
}

// updaters are what Clair calls the updaters of feeds that have one document;
// those of languages are OSV's.
var updaters = map[string]string{
	"debian": "debian/updater", "nvd": "clair.cvss", "epss": "clair.epss", "kev": "clair.kev",
	"pypi": "osv/pypi", "npm": "osv/npm", "maven": "osv/maven", "go": "osv/go", "crates-io": "osv/crates.io", "rubygems": "osv/rubygems",
	"nuget": "osv/nuget", "packagist": "osv/packagist", "hex": "osv/hex", "pub": "osv/pub",
}

// updaterName is what Clair calls the updater of a feed's document.
func updaterName(feed, part string) string {
	if name := updaters[feed]; name != "" {
		return name
	}
	switch feed {
	case "alpine":
		branch, repository, _ := strings.Cut(part, "/")
		return "alpine-" + repository + "-" + branch + "-updater"
	case "redhat":
		return "rhel-vex/" + part // what is told of updaters is told of documents
	}
	return feed + "/" + part
}
