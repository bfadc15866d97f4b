package clairv4

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/remote"
)

// vulnerabilityReport is the part of the matcher's answer that matters here.
type vulnerabilityReport struct {
	Manifest        string                       `json:"manifest_hash"`
	Packages        map[string]*pkg              `json:"packages"`
	Distributions   map[string]*distribution     `json:"distributions"`
	Environments    map[string][]environment     `json:"environments"`
	Vulnerabilities map[string]*vulnerability    `json:"vulnerabilities"`
	ByPackage       map[string][]string          `json:"package_vulnerabilities"`
	Enrichments     map[string][]json.RawMessage `json:"enrichments"`
}

type pkg struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
}

type distribution struct {
	DID       string `json:"did"`
	Version   string `json:"version"`
	VersionID string `json:"version_id"`
}

// key is the distribution as an inventory has it ("debian:12", "alpine:v3.20").
func (d distribution) key() string {
	version := cmp.Or(d.VersionID, d.Version)
	switch {
	case d.DID == "" || version == "":
		return d.DID
	case d.DID == "alpine" && !strings.HasPrefix(version, "v") && version != "edge":
		version = "v" + version
	}
	return d.DID + ":" + version
}

type environment struct {
	IntroducedIn string `json:"introduced_in"`
	Distribution string `json:"distribution_id"`
}

type vulnerability struct {
	Name               string `json:"name"`
	Description        string `json:"description"`
	Links              string `json:"links"` // separated by spaces
	NormalizedSeverity string `json:"normalized_severity"`
	FixedInVersion     string `json:"fixed_in_version"`
}

// report reads what the matcher says; found is false where it does not know the image.
func (s *scanner) report(ctx context.Context, job source.Job) (r source.Report, found bool, err error) {
	answer, err := s.Call(ctx, http.MethodGet, "/matcher/api/v1/vulnerability_report/"+job.Digest, nil, nil)
	if err != nil {
		return r, false, err
	}
	switch answer.Status {
	case http.StatusOK, http.StatusCreated:
		r, err = read(answer, job.Digest)
		return r, err == nil, err
	case http.StatusNotFound:
		return r, false, nil
	case http.StatusAccepted:
		return r, false, source.Fail("not-ready", nil, "Clair has no vulnerability data yet: its first update is not done")
	}
	return r, false, s.Unexpected(answer, "the question for the vulnerabilities", message(answer))
}

func read(answer *remote.Answer, digest string) (source.Report, error) {
	var v vulnerabilityReport
	if err := answer.Decode(&v); err != nil {
		return source.Report{}, err
	}
	if v.Manifest != digest {
		return source.Report{}, source.Malformed("it is about another image than the one that was asked for")
	}
	scores := v.scores()
	var report source.Report
	for id, names := range v.ByPackage {
		p := v.Packages[id]
		if p == nil {
			return source.Report{}, source.Malformed("it has vulnerabilities of a package that it does not list")
		}
		var env environment
		if list := v.Environments[id]; len(list) > 0 {
			env = list[0]
		}
		in := ""
		if d := v.Distributions[env.Distribution]; d != nil {
			in = d.key()
		}
		for _, name := range names {
			found := v.Vulnerabilities[name]
			if found == nil {
				return source.Report{}, source.Malformed("it names a vulnerability of a package that it does not list")
			}
			severity, err := advisory.ParseSeverity(found.NormalizedSeverity)
			if err != nil {
				severity = advisory.Unknown
			}
			link, _, _ := strings.Cut(found.Links, " ")
			report.Findings = append(report.Findings, source.Reported{
				Vulnerability: found.Name, Description: found.Description, Link: link, Severity: severity,
				CVSS: scores[name].Score, Vector: scores[name].Vector,
				Package: p.Name, Version: p.Version, Architecture: p.Arch, Distribution: in,
				Fixed: fixed(found.FixedInVersion), Layer: env.IntroducedIn,
			})
		}
	}
	return report, nil
}

// fixed reads a version: "0" is none, and OSV's are written as a query.
func fixed(version string) string {
	if version == "0" {
		return ""
	}
	for part := range strings.SplitSeq(version, "&") {
		if value, ok := strings.CutPrefix(part, "fixed="); ok {
			return value
		}
	}
	if strings.HasPrefix(version, "introduced=") || strings.HasPrefix(version, "lastAffected=") {
		return ""
	}
	return version
}

type score struct {
	Score  float64 `json:"baseScore"`
	Vector string  `json:"vectorString"`
}

// scores are the CVSS scores that Clair adds, by vulnerability; what is not as
// expected is left out, since findings do not depend on it.
func (v *vulnerabilityReport) scores() map[string]score {
	best := make(map[string]score)
	for kind, documents := range v.Enrichments {
		if !strings.Contains(kind, "enricher=clair.cvss") {
			continue
		}
		for _, document := range documents {
			var byID map[string][]score
			if json.Unmarshal(document, &byID) != nil {
				continue
			}
			for id, list := range byID {
				for _, s := range list {
					if cmp.Compare(s.Score, best[id].Score) > 0 {
						best[id] = s
					}
				}
			}
		}
	}
	return best
}
