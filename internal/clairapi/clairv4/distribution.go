package clairv4

import (
	"regexp"
	"strings"

	"github.com/pratique/pratique/internal/inventory"
)

// distributionID is the one distribution of a report.
const distributionID = "1"

// releaseNames are what claircore calls the distributions, and the CPE that it
// gives them, with "%" for the release.
var releaseNames = map[string]struct{ name, cpe string }{
	"alpine": {"Alpine Linux", ""},
	"amzn":   {"Amazon Linux", "cpe:2.3:o:amazon:amazon_linux:%:*:*:*:*:*:*:*"},
	"debian": {"Debian GNU/Linux", ""},
	"ol":     {"Oracle Linux Server", ""},
	"photon": {"VMware Photon OS", ""},
	"rhel":   {"Red Hat Enterprise Linux Server", "cpe:2.3:o:redhat:enterprise_linux:%:*:*:*:*:*:*:*"},
	"ubuntu": {"Ubuntu", ""},
	"sles":   {"SLES", ""},
}

// codenames of releases whose pretty name may not tell them.
var codenames = map[string]string{
	"debian:8": "jessie", "debian:9": "stretch", "debian:10": "buster", "debian:11": "bullseye", "debian:12": "bookworm", "debian:13": "trixie", "debian:14": "forky",
	"ubuntu:14.04": "trusty", "ubuntu:16.04": "xenial", "ubuntu:18.04": "bionic", "ubuntu:20.04": "focal", "ubuntu:22.04": "jammy", "ubuntu:24.04": "noble", "ubuntu:26.04": "resolute",
}

var inParentheses = regexp.MustCompile(`\(([\w ]+)\)\s*$`)

// describeDistribution writes a distribution as claircore's scanners do: each has
// its own idea of what the version is. It is nil where there is none.
func describeDistribution(d inventory.Distribution) *distribution {
	if d.ID == "" {
		return nil
	}
	known := releaseNames[d.ID]
	out := &distribution{ID: distributionID, DID: d.ID, Name: known.name, Version: d.Version, VersionID: d.Version, PrettyName: d.PrettyName}
	if out.Name == "" {
		out.Name = strings.TrimSpace(strings.TrimSuffix(inParentheses.ReplaceAllString(d.PrettyName, ""), d.Version))
	}
	if out.Name == "" {
		out.Name = d.ID
	}
	out.CPE = strings.ReplaceAll(known.cpe, "%", d.Version)
	out.VersionCodeName = codenames[d.String()]
	if found := inParentheses.FindStringSubmatch(d.PrettyName); found != nil && out.VersionCodeName == "" {
		out.VersionCodeName = strings.ToLower(found[1])
	}
	switch d.ID {
	case "alpine":
		out.Version = strings.TrimPrefix(d.Version, "v")
		out.VersionID = ""
		if out.PrettyName == "" {
			out.PrettyName = "Alpine Linux " + d.Version
		}
	case "debian":
		if out.VersionCodeName != "" {
			out.Version = d.Version + " (" + out.VersionCodeName + ")"
		}
		out.PrettyName = out.Name + " " + out.Version
	case "ubuntu":
		if out.VersionCodeName != "" {
			out.Version = d.Version + " (" + strings.ToUpper(out.VersionCodeName[:1]) + out.VersionCodeName[1:] + ")"
		}
		out.PrettyName = out.Name + " " + d.Version
	}
	if out.PrettyName == "" {
		out.PrettyName = strings.TrimSpace(out.Name + " " + d.Version)
	}
	return out
}

// repositories are where packages of languages come from. The first seven are
// claircore's, the others those that we add.
var repositories = map[string]repository{
	"golang":   {ID: "1", Name: "go", URI: "https://pkg.go.dev/"},
	"maven":    {ID: "2", Name: "maven", URI: "https://repo1.maven.apache.org/maven2"},
	"pypi":     {ID: "3", Name: "pypi", URI: "https://pypi.org/simple"},
	"gem":      {ID: "4", Name: "rubygems", URI: "https://rubygems.org/gems/"},
	"npm":      {ID: "5", Name: "npm", URI: "https://www.npmjs.com/"},
	"cargo":    {ID: "6", Name: "crates.io", URI: "https://crates.io/"},
	"nuget":    {ID: "7", Name: "nuget", URI: "https://www.nuget.org/packages/"},
	"composer": {ID: "8", Name: "packagist", URI: "https://packagist.org/"},
	"hex":      {ID: "9", Name: "hex", URI: "https://hex.pm/"},
	"pub":      {ID: "10", Name: "pub", URI: "https://pub.dev/"},
	"conda":    {ID: "11", Name: "conda", URI: "https://conda.anaconda.org/"},
}

// databasePrefixes are what claircore puts before the path of a language's package.
var databasePrefixes = map[string]string{
	"golang": "go:", "maven": "maven:", "pypi": "python:", "gem": "ruby:", "npm": "nodejs:",
}
