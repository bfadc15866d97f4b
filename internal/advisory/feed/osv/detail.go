package osv

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
)

// details are what the record says of each vulnerability that it states
// anything of.
func (j *judgement) details() map[string]advisory.Detail {
	rec := j.record
	severities := make(map[string]advisory.Severity)
	for _, a := range j.advisories {
		severities[a.Vulnerability] = max(severities[a.Vulnerability], a.Severity)
	}
	details := make(map[string]advisory.Detail, len(severities))
	if _, own := severities[rec.id]; len(severities) != 1 || j.erratum && !own {
		// What is said of an update as a whole (its dates, its grade, the
		// highest score) is said of none of the vulnerabilities that it fixes.
		if rec.withdrawn.IsZero() {
			j.shared(details, severities)
		}
		return details
	}
	for vulnerability, severity := range severities {
		own := vulnerability == rec.id
		if !own && !rec.withdrawn.IsZero() {
			return nil // the record is withdrawn, most often as a duplicate, not the vulnerability
		}
		d := advisory.Detail{
			Description: rec.prose(), Severity: severity, Scores: scores(rec.grades), Weaknesses: weaknesses(rec.weaknesses),
			Published: rec.published, Modified: rec.modified, Withdrawn: rec.withdrawn,
		}
		for _, name := range append([]string{rec.id}, rec.aliases...) {
			if name != vulnerability && name != "" {
				d.Aliases = append(d.Aliases, name)
			}
		}
		for _, ref := range rec.references {
			d.References = append(d.References, ref.url)
		}
		for _, a := range rec.affected {
			d.Scores = append(d.Scores, scores(a.grades)...)
		}
		details[vulnerability] = d
	}
	return details
}

// prose is the summary and the details.
func (rec *record) prose() string {
	if rec.summary == "" || strings.HasPrefix(rec.details, rec.summary) {
		return rec.details
	}
	return strings.TrimSpace(rec.summary + "\n\n" + rec.details)
}

var cveInText = regexp.MustCompile(`CVE-[0-9]{4}-[0-9]{4,19}`)

// shared adds what a record on several vulnerabilities says of each: the parts
// of its text and the references that name it.
func (j *judgement) shared(details map[string]advisory.Detail, severities map[string]advisory.Severity) {
	rec := j.record
	const most = 3 // kernels' texts name some often
	said := make(map[string][]string)
	for _, block := range blocks(rec.details) {
		for _, id := range named(block) {
			if len(said[id]) < most {
				said[id] = append(said[id], block)
			}
		}
	}
	references := make(map[string][]string)
	var general []string
	for _, ref := range rec.references {
		ids := named(ref.url)
		for _, id := range ids {
			references[id] = append(references[id], ref.url)
		}
		if len(ids) == 0 && ref.kind == "ADVISORY" {
			general = append(general, ref.url)
		}
	}
	graded := make(map[string][]grade)
	for _, a := range rec.affected {
		for _, n := range a.notices {
			graded[n.vulnerability] = n.grades
		}
	}
	for vulnerability, severity := range severities {
		d := advisory.Detail{
			Description: strings.Join(append([]string{rec.summary}, said[vulnerability]...), "\n"),
			References:  append(references[vulnerability], general...),
			Scores:      scores(graded[vulnerability]),
		}
		if !j.erratum && len(said[vulnerability]) == 0 {
			d.Description = rec.prose()
		}
		switch {
		case len(severities) == 1:
			d.Severity = severity
			d.Scores = append(d.Scores, scores(rec.grades)...)
		case len(graded[vulnerability]) > 0:
			d.Severity = severity
		}
		details[vulnerability] = d
	}
}

// blocks splits prose into its paragraphs, and lists into their items.
func blocks(text string) (list []string) {
	for _, paragraph := range strings.Split(text, "\n\n") {
		items := []string{paragraph}
		if strings.Contains(paragraph, "\n* ") {
			items = strings.Split(paragraph, "\n")
		}
		for _, item := range items {
			if item = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(item), "* ")); item != "" {
				list = append(list, item)
			}
		}
	}
	return list
}

// named are the distinct CVE ids that a text names.
func named(text string) []string {
	if !strings.Contains(text, "CVE-") {
		return nil
	}
	ids := cveInText.FindAllString(text, 50)
	slices.Sort(ids)
	return slices.Compact(ids)
}

var cwe = regexp.MustCompile(`^CWE-[0-9]+$`)

func weaknesses(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !cwe.MatchString(name) })
}
