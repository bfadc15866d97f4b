package clairv1

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
)

// metadata is what Clair has from NVD; its members are those of its "NVD" fetcher.
type metadata struct {
	NVD struct {
		CVSSv2 *cvss2 `json:"CVSSv2,omitempty"`
		CVSSv3 *cvss3 `json:"CVSSv3,omitempty"`
	} `json:"NVD"`
}

type cvss2 struct {
	PublishedDateTime string  `json:"PublishedDateTime,omitempty"`
	Vectors           string  `json:"Vectors,omitempty"`
	Score             float64 `json:"Score"`
	// Derived is ours: the vector of a later version whose score this is, because
	// nobody gives one of version 2.
	Derived string `json:"Derived,omitempty"`
}

type cvss3 struct {
	Vectors             string  `json:"Vectors,omitempty"`
	Score               float64 `json:"Score"`
	ExploitabilityScore float64 `json:"ExploitabilityScore,omitempty"`
	ImpactScore         float64 `json:"ImpactScore,omitempty"`
}

// metadata is the CVSS scores of a vulnerability: of each version NVD's where it
// gives one, else the first. It is nil where there is none.
func (a *API) metadata(v match.Vulnerability) json.RawMessage {
	var published time.Time
	for _, d := range v.Details {
		if published.IsZero() || !d.Published.IsZero() && d.Feed == advisory.NVD {
			published = d.Published
		}
	}
	return a.score(v.Scores(), published)
}

// findingMetadata is the same of a finding. Where no feed gives a score of the
// vulnerability as such, it is the one that counts for the finding.
func (a *API) findingMetadata(f match.Finding, stated []match.Stated) json.RawMessage {
	if text := a.metadata(match.Vulnerability{Details: stated}); text != nil || f.Vector == "" {
		return text
	}
	s := advisory.Score{Version: "2.0", Vector: f.Vector, Base: f.CVSS}
	if head, _, _ := strings.Cut(f.Vector, "/"); strings.HasPrefix(head, "CVSS:") {
		s.Version = strings.TrimPrefix(head, "CVSS:")
	}
	return a.score(map[string]advisory.Score{s.Version[:1]: s}, time.Time{})
}

func (a *API) score(scores map[string]advisory.Score, published time.Time) json.RawMessage {
	var m metadata
	if s, ok := scores["3"]; ok {
		_, metrics, _ := strings.Cut(s.Vector, "/") // Clair writes no "CVSS:3.1"
		m.NVD.CVSSv3 = &cvss3{Vectors: metrics, Score: s.Base}
		m.NVD.CVSSv3.ExploitabilityScore, m.NVD.CVSSv3.ImpactScore = subscores(metrics)
	}
	switch s, derived, ok := match.CVSS2(scores); {
	case !ok, derived && !a.opts.DeriveCVSS2:
	case derived:
		m.NVD.CVSSv2 = &cvss2{Score: s.Base, Derived: s.Vector}
	default:
		m.NVD.CVSSv2 = &cvss2{Vectors: s.Vector, Score: s.Base}
	}
	if m.NVD.CVSSv2 == nil && m.NVD.CVSSv3 == nil {
		return nil
	}
	if m.NVD.CVSSv2 != nil && !published.IsZero() {
		m.NVD.CVSSv2.PublishedDateTime = published.Format("2006-01-02T15:04Z")
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil // numbers and texts always can be written
	}
	return text
}
