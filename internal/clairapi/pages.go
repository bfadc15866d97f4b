package clairapi

import (
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
)

// SeverityName is the spelling of Clair and Harbor: "Negligible".
func SeverityName(s advisory.Severity) string {
	name := s.String()
	return strings.ToUpper(name[:1]) + name[1:]
}

// Pages are the web pages of a vulnerability, the distribution's own first. Quay
// reads the CVE ids out of them.
func Pages(p inventory.Package, t Threat) []string {
	var list []string
	add := func(base, id string) { list = append(list, base+id) }
	id, _, _ := strings.Cut(p.Distribution, ":")
	cve := strings.HasPrefix(t.Vulnerability, "CVE-")
	switch {
	case id == "debian":
		add("https://security-tracker.debian.org/tracker/", t.Vulnerability)
	case id == "alpine" && cve:
		add("https://security.alpinelinux.org/vuln/", t.Vulnerability)
	case id == "ubuntu" && cve:
		add("https://ubuntu.com/security/", t.Vulnerability)
	case (id == "rhel" || id == "centos") && cve:
		add("https://access.redhat.com/security/cve/", t.Vulnerability)
	case id == "amzn" && cve:
		add("https://explore.alas.aws.amazon.com/", t.Vulnerability+".html")
	case id == "ol" && cve:
		add("https://linux.oracle.com/cve/", t.Vulnerability+".html")
	case (id == "sles" || strings.HasPrefix(id, "opensuse")) && cve:
		add("https://www.suse.com/security/cve/", t.Vulnerability+".html")
	}
	for _, name := range []string{t.Statement.ID, t.Vulnerability} {
		switch {
		case strings.HasPrefix(name, "GHSA-"):
			add("https://github.com/advisories/", name)
		case strings.HasPrefix(name, "GO-"):
			add("https://pkg.go.dev/vuln/", name)
		case strings.HasPrefix(name, "RUSTSEC-"):
			add("https://rustsec.org/advisories/", name)
		case strings.HasPrefix(name, "PYSEC-"):
			add("https://osv.dev/vulnerability/", name)
		case strings.HasPrefix(name, "RHSA-"), strings.HasPrefix(name, "RHBA-"):
			add("https://access.redhat.com/errata/", name)
		}
		if t.Statement.ID == t.Vulnerability {
			break
		}
	}
	if cve {
		add("https://nvd.nist.gov/vuln/detail/", t.Vulnerability)
	}
	return list
}
