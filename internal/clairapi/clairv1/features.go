package clairv1

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// featureKey is what makes a feature: one per name and version. Several binary
// packages of one Debian source are one feature.
type featureKey struct{ namespace, name, version string }

// keyOf names the feature of a package as Clair does: by the source package
// for dpkg, by the binary package for apk and rpm.
func keyOf(p inventory.Package) featureKey {
	k := featureKey{p.Distribution, p.Name, p.Version}
	if p.Type == "deb" {
		k.name, k.version = cmp.Or(p.SourceName, p.Name), cmp.Or(p.SourceVersion, p.Version)
	}
	return k
}

// featureList is the features of a chain of layers.
type featureList map[featureKey]*featureEntry

type featureEntry struct {
	body featureBody
	// layer is the index of the first layer that has the feature.
	layer    int
	findings map[string]match.Finding
}

func newFeatureList(chain []clairapi.Layer, packages []inventory.Installed) featureList {
	list := make(featureList)
	for _, p := range packages {
		// Clair 2 knows packages of distributions only: others have no namespace.
		format := packageVersionFormat(p.Type)
		if format == "" {
			continue
		}
		k := keyOf(p.Package)
		e := list[k]
		if e == nil {
			e = &featureEntry{layer: p.LayerIndex, body: featureBody{
				Name: k.name, NamespaceName: k.namespace, Version: k.version, VersionFormat: format,
			}}
			list[k] = e
		}
		e.layer = min(e.layer, p.LayerIndex)
		if e.layer < len(chain) {
			e.body.AddedBy = chain[e.layer].Name
		}
	}
	return list
}

// affect adds vulnerabilities. Those of a source are the same for each of its
// binary packages, but for distributions where binaries are judged apart: then
// the worst counts.
func (l featureList) affect(findings []match.Finding) {
	for _, f := range findings {
		e := l[keyOf(f.Package)]
		if e == nil {
			continue // the inventory changed between two reads
		}
		if e.findings == nil {
			e.findings = make(map[string]match.Finding)
		}
		if old, known := e.findings[f.Vulnerability]; !known || worst(f, old) < 0 {
			e.findings[f.Vulnerability] = f
		}
	}
}

// sorted returns the features by name and version, each with its vulnerabilities,
// whose scores are given by name. Clair's order is random.
func (a *API) sorted(l featureList, scores map[string][]match.Stated) []featureBody {
	list := make([]featureBody, 0, len(l))
	for k, e := range l {
		found := make([]match.Finding, 0, len(e.findings))
		for _, f := range e.findings {
			found = append(found, f)
		}
		slices.SortFunc(found, worst)
		for _, f := range found {
			e.body.Vulnerabilities = append(e.body.Vulnerabilities, vulnerabilityBody{
				Name: f.Vulnerability, NamespaceName: k.namespace, Description: f.Description,
				Link: link(k.namespace, f.Vulnerability), Severity: severityName(f.Severity), FixedBy: f.Fixed, Metadata: a.findingMetadata(f, scores[f.Vulnerability]),
			})
		}
		list = append(list, e.body)
	}
	slices.SortFunc(list, func(a, b featureBody) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.NamespaceName, b.NamespaceName))
	})
	return list
}

// worst orders the most severe first, then by score, then what can be fixed, then
// by name.
// ProGet keeps only the first vulnerability of a feature.
func worst(a, b match.Finding) int {
	unfixable := func(f match.Finding) int {
		if f.Fixed == "" {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.CVSS, a.CVSS), cmp.Compare(unfixable(a), unfixable(b)),
		cmp.Compare(a.Vulnerability, b.Vulnerability), cmp.Compare(a.Fixed, b.Fixed))
}

// severityName is Clair's spelling: "Negligible".
func severityName(s advisory.Severity) string {
	name := s.String()
	return strings.ToUpper(name[:1]) + name[1:]
}

// packageVersionFormat is the ordering of a package type's versions, in Clair's
// words: Alpine's are "dpkg" there. It is "" for what Clair did not know.
func packageVersionFormat(packageType string) string {
	switch packageType {
	case "deb", "apk":
		return "dpkg"
	case "rpm":
		return "rpm"
	}
	return ""
}

// versionFormat is the same by distribution.
func versionFormat(namespace string) string {
	id, _, _ := strings.Cut(namespace, ":")
	switch id {
	case "debian", "ubuntu", "alpine", "wolfi", "chainguard":
		return "dpkg"
	case "centos", "rhel", "fedora", "oracle", "ol", "amzn", "rocky", "almalinux", "sles", "opensuse", "photon", "mariner", "azurelinux":
		return "rpm"
	}
	return ""
}

// link is the page of a vulnerability at the publisher of a distribution.
func link(namespace, vulnerability string) string {
	id, _, _ := strings.Cut(namespace, ":")
	switch id {
	case "debian":
		return "https://security-tracker.debian.org/tracker/" + vulnerability
	case "alpine":
		return "https://security.alpinelinux.org/vuln/" + vulnerability
	}
	return ""
}
