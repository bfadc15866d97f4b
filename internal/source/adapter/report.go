package adapter

import (
	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/remote"
)

// vulnerabilityReport is the native and the generic report; they share a schema.
type vulnerabilityReport struct {
	Artifact struct {
		Digest string `json:"digest"`
	} `json:"artifact"`
	Vulnerabilities []item `json:"vulnerabilities"`
}

type item struct {
	ID          string   `json:"id"`
	Package     string   `json:"package"`
	Version     string   `json:"version"`
	Fixed       string   `json:"fix_version"`
	Severity    string   `json:"severity"`
	Status      string   `json:"status"`
	Description string   `json:"description"`
	Links       []string `json:"links"`
	CVSS        *struct {
		Score  *float64 `json:"score_v3"`
		Vector string   `json:"vector_v3"`
	} `json:"preferred_cvss"`
}

func read(answer *remote.Answer, digest string) (source.Report, error) {
	var v vulnerabilityReport
	if err := answer.Decode(&v); err != nil {
		return source.Report{}, err
	}
	if v.Artifact.Digest != digest {
		return source.Report{}, source.Malformed("it is about another image than the one that was asked for")
	}
	var report source.Report
	for _, i := range v.Vulnerabilities {
		if i.Status == "not_affected" {
			continue
		}
		f := source.Reported{Vulnerability: i.ID, Description: i.Description, Package: i.Package, Version: i.Version, Fixed: i.Fixed}
		if severity, err := advisory.ParseSeverity(i.Severity); err == nil {
			f.Severity = severity
		}
		if len(i.Links) > 0 {
			f.Link = i.Links[0]
		}
		if i.CVSS != nil && i.CVSS.Score != nil {
			f.CVSS, f.Vector = *i.CVSS.Score, i.CVSS.Vector
		}
		report.Findings = append(report.Findings, f)
	}
	return report, nil
}
