package nvd

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/cvss"
)

var (
	cveID = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)
	cweID = regexp.MustCompile(`^CWE-[0-9]{1,6}$`)
)

// record is what is kept of a vulnerability; times are in UTC without saying so.
type record struct {
	ID           string              `json:"id"`
	Published    string              `json:"published"`
	Modified     string              `json:"lastModified"`
	Status       string              `json:"vulnStatus"`
	Descriptions []text              `json:"descriptions"`
	Metrics      map[string][]metric `json:"metrics"`
	Weaknesses   []struct {
		Description []text `json:"description"`
	} `json:"weaknesses"`
	References []struct {
		URL string `json:"url"`
	} `json:"references"`
	// Of CISA's catalogue of known exploited vulnerabilities.
	ExploitAdded   string `json:"cisaExploitAdd"`
	ActionDue      string `json:"cisaActionDue"`
	RequiredAction string `json:"cisaRequiredAction"`
}

type text struct {
	Language string `json:"lang"`
	Value    string `json:"value"`
}

// metric is a judgement by CVSS, or by something else.
type metric struct {
	Source string `json:"source"`
	Type   string `json:"type"` // Primary, Secondary
	CVSS   struct {
		Vector string `json:"vectorString"`
	} `json:"cvssData"`
}

// The most of each that is looked at; more is cut later.
const (
	maxMetrics    = 100
	maxReferences = 1000
)

// detail is what the record says; skip is told what of it is malformed.
func (r *record) detail(skip func(reason string)) advisory.Detail {
	d := advisory.Detail{Description: english(r.Descriptions), Published: date(r.Published), Modified: date(r.Modified)}
	r.judge(&d, skip)
	for _, w := range r.Weaknesses {
		for _, text := range w.Description {
			// Others are NVD's words for "none of those" and "not enough is known".
			if cweID.MatchString(text.Value) && len(d.Weaknesses) < maxMetrics {
				d.Weaknesses = append(d.Weaknesses, text.Value)
			}
		}
	}
	for _, reference := range r.References[:min(len(r.References), maxReferences)] {
		d.References = append(d.References, reference.URL)
	}
	if r.Status == "Rejected" {
		d.Withdrawn = cmp.Or(d.Modified, d.Published)
	}
	if added := date(r.ExploitAdded); !added.IsZero() {
		d.Exploited = &advisory.Exploitation{Added: added, Due: date(r.ActionDue), Action: r.RequiredAction}
	}
	return d
}

// judge adds the scores, and the severity that the primary one of the newest
// version of CVSS gives; where nobody's is primary, that of the newest.
func (r *record) judge(d *advisory.Detail, skip func(reason string)) {
	type judged struct {
		advisory.Score
		primary bool
	}
	var all []judged
	for name, metrics := range r.Metrics {
		if !strings.HasPrefix(name, "cvssMetric") { // judgements of another kind
			continue
		}
		for _, m := range metrics[:min(len(metrics), maxMetrics)] {
			score, err := cvss.Parse(m.CVSS.Vector, m.Source)
			if err != nil {
				skip(name + ": " + err.Error())
				continue
			}
			all = append(all, judged{score, m.Type == "Primary"})
		}
	}
	slices.SortFunc(all, func(a, b judged) int {
		switch {
		case a.primary != b.primary && a.primary:
			return -1
		case a.primary != b.primary:
			return 1
		}
		return cmp.Or(strings.Compare(b.Version, a.Version), cmp.Compare(b.Base, a.Base), strings.Compare(a.Source, b.Source))
	})
	for n, j := range all {
		if n == 0 {
			d.Severity = severity(j.Score)
		}
		d.Scores = append(d.Scores, j.Score)
	}
}

// severity is the qualitative rating of a base score: section 5 of CVSS 3.1 and
// 6 of 4.0; NVD's own for version 2, https://nvd.nist.gov/vuln-metrics/cvss.
func severity(s advisory.Score) advisory.Severity {
	switch {
	case s.Base >= 9 && s.Version != "2.0":
		return advisory.Critical
	case s.Base >= 7:
		return advisory.High
	case s.Base >= 4:
		return advisory.Medium
	case s.Base > 0 || s.Version == "2.0":
		return advisory.Low
	}
	return advisory.Negligible // "none"
}

func english(list []text) string {
	for _, t := range list {
		if t.Language == "en" {
			return t.Value
		}
	}
	return ""
}

// date reads a time or a day; the zero time where it is neither.
func date(text string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
