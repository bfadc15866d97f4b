package redhat

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

// key is what one judgement is about: a package in an ecosystem, in a module's
// stream or in none.
type key struct {
	ecosystem, module, name string
	source                  bool
}

// rank orders what is said of one key; the highest holds. A package that is
// fixed in one channel of a release, and not affected in another, is fixed; one
// that was fixed is not unfixed any more.
type rank int

const (
	notAffected rank = iota + 1
	undetermined
	unfixed
	fixed
)

// ranks are the product statuses of CSAF that Red Hat uses.
var ranks = map[string]rank{
	"known_not_affected": notAffected, "under_investigation": undetermined, "known_affected": unfixed, "fixed": fixed,
}

// judgement is what is said of a key.
type judgement struct {
	rank     rank
	severity advisory.Severity
	fix      advisory.FixState
	note     string
	said     bool            // fix and note are set
	fixes    map[string]*fix // by version
}

// fix is a version with where it is published.
type fix struct {
	architectures map[string]bool
	id            string
	severity      advisory.Severity
}

// statements resolves the products of one vulnerability.
type statements struct {
	doc     *document
	v       *vulnerability
	skipped *feed.Skipped
	// aggregate is the severity of products that have none of their own.
	aggregate    advisory.Severity
	severities   map[int32]advisory.Severity
	remediations map[int32]*remediation
	flags        map[int32]string
	judgements   map[key]*judgement
	// binaries are the versions of binary packages by ecosystem and module.
	binaries map[key]bool
	// mainstream are the releases that something is said of.
	mainstream map[string]bool
	products   map[int32]resolved
}

// resolved is what a product of the tree is.
type resolved struct {
	component
	ecosystem string
	err       error
}

func newStatements(doc *document, v *vulnerability, skipped *feed.Skipped) *statements {
	s := &statements{
		doc: doc, v: v, skipped: skipped, aggregate: severity(doc.severity),
		severities: make(map[int32]advisory.Severity), remediations: make(map[int32]*remediation), flags: make(map[int32]string),
		judgements: make(map[key]*judgement), binaries: make(map[key]bool), mainstream: make(map[string]bool), products: make(map[int32]resolved),
	}
	for _, impact := range v.impacts {
		grade := severity(impact.word)
		for _, n := range impact.products {
			s.severities[n] = max(s.severities[n], grade)
		}
	}
	for i := range v.remediations {
		r := &v.remediations[i]
		switch r.category {
		case "vendor_fix", "none_available", "no_fix_planned":
			for _, n := range r.products {
				if known := s.remediations[n]; known == nil || known.category != "vendor_fix" {
					s.remediations[n] = r
				}
			}
		}
	}
	for _, flag := range v.flags {
		for _, n := range flag.products {
			s.flags[n] = flag.word
		}
	}
	return s
}

// severity is Red Hat's, https://access.redhat.com/security/updates/classification/.
func severity(word string) advisory.Severity {
	switch strings.ToLower(word) {
	case "low":
		return advisory.Low
	case "moderate":
		return advisory.Medium
	case "important":
		return advisory.High
	case "critical":
		return advisory.Critical
	}
	return advisory.Unknown
}

// advisories judges all products.
func (s *statements) advisories() []advisory.Advisory {
	for _, status := range slices.Sorted(maps.Keys(s.v.status)) {
		if ranks[status] == 0 { // first_affected and the like, which Red Hat does not use
			continue
		}
		for _, n := range s.v.status[status] {
			s.judge(n, ranks[status])
		}
	}
	var list []advisory.Advisory
	keys := slices.SortedFunc(maps.Keys(s.judgements), func(a, b key) int {
		return cmp.Or(strings.Compare(a.ecosystem, b.ecosystem), strings.Compare(a.name, b.name), strings.Compare(a.module, b.module), btoi(a.source)-btoi(b.source))
	})
	for _, k := range keys {
		list = s.state(list, k, s.judgements[k])
	}
	return list
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// resolve finds out what package of which product a number stands for.
func (s *statements) resolve(n int32) resolved {
	if r, known := s.products[n]; known {
		return r
	}
	r := s.walk(n)
	s.products[n] = r
	return r
}

func (s *statements) walk(n int32) (r resolved) {
	p := s.doc.products[n]
	if p.of == none {
		r.err = errNotRPM // a product as a whole
		return r
	}
	// The component, what it is a component of (a module, at most), the product.
	of, module := p.of, ""
	for depth := 0; s.doc.products[of].of != none; depth++ {
		if depth == maxDepth {
			r.err = errors.New("the products are components of each other")
			return r
		}
		if m, err := moduleOf(s.doc.products[s.doc.products[of].component].purl); err == nil {
			module = m
		} else if !errors.Is(err, errNotRPM) {
			r.err = err
			return r
		}
		of = s.doc.products[of].of
	}
	platform, ok := parseCPE(s.doc.products[of].cpe)
	if !ok {
		r.err = fmt.Errorf("the product %q has no CPE but %q", s.doc.products[of].id, s.doc.products[of].cpe)
	}
	listed := s.doc.products[p.component]
	var err error
	if listed.purl != "" {
		r.component, err = parseComponent(listed.purl)
	} else if !ok || !platform.mainstream() && !platform.extended() { // who knows what of: mostly Java's archives
		err = errNotRPM
	} else {
		r.component, err = named(listed.id)
	}
	if err != nil {
		r.err = err
		return r
	}
	if r.module == "" {
		r.module = module
	}
	r.ecosystem = platform.ecosystem()
	if ok && platform.mainstream() {
		s.mainstream[r.ecosystem] = true
	}
	return r
}

// judge adds what is said of one product.
func (s *statements) judge(n int32, rank rank) {
	r := s.resolve(n)
	switch {
	case errors.Is(r.err, errNotRPM):
		return
	case r.err == nil && rank == fixed && r.version == "":
		r.err = errors.New("fixed in no version")
	case r.err == nil && debugging(r.name):
		return
	}
	if r.err != nil {
		s.skipped.Add(s.v.cve+" "+s.doc.products[n].id, r.err.Error())
		return
	}
	k := key{ecosystem: r.ecosystem, module: r.module, name: r.name, source: r.source}
	if rank == notAffected && r.version != "" {
		return // it is said of that version, one that was published beside a fix, not of all
	}
	if !r.source && r.version != "" {
		s.binaries[key{ecosystem: r.ecosystem, module: r.module, name: bare(r.version)}] = true
	}
	j := s.judgements[k]
	if j == nil || j.rank < rank {
		j = &judgement{rank: rank, fixes: make(map[string]*fix)}
		s.judgements[k] = j
	}
	if j.rank > rank {
		return
	}
	grade, graded := s.severities[n]
	if !graded {
		grade = s.aggregate
	}
	j.severity = max(j.severity, grade)
	switch rank {
	case fixed:
		f := j.fixes[r.version]
		if f == nil {
			f = &fix{architectures: make(map[string]bool)}
			j.fixes[r.version] = f
		}
		f.architectures[r.architecture] = true
		f.severity = max(f.severity, grade)
		if remedy := s.remediations[n]; remedy != nil {
			f.name(erratum(remedy.url))
		}
	case unfixed:
		state, note := advisory.FixUnknown, ""
		if remedy := s.remediations[n]; remedy != nil && remedy.category != "vendor_fix" {
			state, note = prospect(remedy), remedy.details
		}
		if !j.said || hope(state) > hope(j.fix) || hope(state) == hope(j.fix) && note < j.note {
			j.fix, j.note, j.said = state, note, true
		}
	case notAffected:
		if flag := s.flags[n]; !j.said || flag < j.note {
			j.note, j.said = flag, true
		}
	}
}

// bare is a version without its epoch: a source package and what is built of it
// have the same, or are different builds.
func bare(version string) string {
	if _, rest, found := strings.Cut(version, ":"); found {
		return rest
	}
	return version
}

// name gives the fix the first of the ids that are known.
func (f *fix) name(id string) {
	if id != "" && (f.id == "" || id < f.id) {
		f.id = id
	}
}

// erratum is the id at the end of https://access.redhat.com/errata/RHSA-2024:1.
func erratum(url string) string {
	id := url[strings.LastIndexByte(url, '/')+1:]
	if len(id) > 30 || !strings.HasPrefix(id, "RH") || !strings.Contains(id, "-") || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:") != "" {
		return ""
	}
	return id
}

// prospect is what Red Hat means to do about a product that is affected.
func prospect(r *remediation) advisory.FixState {
	switch text := strings.ToLower(strings.TrimSpace(r.details)); {
	case text == "out of support scope":
		return advisory.EndOfLife
	case text == "will not fix":
		return advisory.WillNotFix
	case text == "fix deferred", text == "deferred":
		return advisory.Deferred
	case r.category == "no_fix_planned":
		return advisory.WillNotFix
	}
	return advisory.FixUnknown
}

// hope orders fix states: of several that are said, the most hopeful holds.
func hope(f advisory.FixState) int {
	return slices.Index([]advisory.FixState{advisory.EndOfLife, advisory.WillNotFix, advisory.Deferred, advisory.FixUnknown}, f)
}

// state appends what a judgement states.
func (s *statements) state(list []advisory.Advisory, k key, j *judgement) []advisory.Advisory {
	a := advisory.Advisory{
		Vulnerability: s.v.cve, Ecosystem: k.ecosystem, Package: k.name, Source: k.source, Module: k.module,
		Severity: j.severity, Note: j.note, Fix: j.fix,
	}
	switch j.rank {
	case notAffected:
		a.Status, a.Severity = advisory.NotAffected, advisory.Unknown
	case undetermined:
		a.Status, a.Severity = advisory.Undetermined, advisory.Unknown
	case unfixed:
		a.Status = advisory.Affected
	case fixed:
		return s.fixes(list, a, k, j)
	}
	return append(list, a)
}

// built reports whether a source package's version is listed in its binary
// packages, too.
func (s *statements) built(k key, version string) bool {
	return version != "" && s.binaries[key{ecosystem: k.ecosystem, module: k.module, name: bare(version)}]
}

// fixes appends a statement for each version that fixed a package: one for all
// architectures where they do not differ.
func (s *statements) fixes(list []advisory.Advisory, a advisory.Advisory, k key, j *judgement) []advisory.Advisory {
	builds := make(map[build][]string)
	for version, f := range j.fixes {
		if !k.source || !s.built(k, version) {
			b := buildOf(version, f.id)
			builds[b] = append(builds[b], version)
		}
	}
	merged := make(map[string]*fix)
	every := make(map[string]bool)
	for b, versions := range builds {
		version := b.first(versions)
		m := merged[version]
		if m == nil {
			m = &fix{architectures: make(map[string]bool)}
			merged[version] = m
		}
		for _, one := range versions {
			for architecture := range j.fixes[one].architectures {
				m.architectures[architecture], every[architecture] = true, true
			}
			m.severity = max(m.severity, j.fixes[one].severity)
			m.name(j.fixes[one].id)
		}
	}
	for version, f := range merged {
		a.Status, a.Fixed, a.ID, a.Severity, a.Architectures = advisory.Affected, version, f.id, f.severity, ""
		if !f.architectures[""] && len(f.architectures) < len(every) {
			a.Architectures = strings.Join(slices.Sorted(maps.Keys(f.architectures)), " ")
		}
		list = append(list, a)
	}
	return list
}

// build is what versions have in common that are one version of a module's
// package, built once for each set of other modules that it may be used with.
// Their releases end in the number and the context of the build,
// ".module+el8.10.0+23147+20b7d289": none is later than another of the same
// erratum, and a machine gets those of its own context.
type build struct {
	// stem is the version up to the number; id is the erratum.
	stem, id string
}

func buildOf(version, id string) build {
	at := strings.LastIndex(version, ".module+")
	if at < 0 {
		return build{stem: version}
	}
	fields := strings.Split(version[at:], "+") // .module, el8.10.0, number, context
	if len(fields) != 4 || fields[2] == "" || strings.Trim(fields[2], "0123456789") != "" {
		return build{stem: version}
	}
	return build{stem: version[:at] + fields[0] + "+" + fields[1], id: id}
}

// first is the version before which all versions of the build are affected: the
// one there is, or what comes before all of them.
func (b build) first(versions []string) string {
	if len(versions) == 1 {
		return versions[0]
	}
	lowest := ""
	for _, version := range versions {
		number, _, _ := strings.Cut(version[len(b.stem)+1:], "+")
		if number = strings.TrimLeft(number, "0"); lowest == "" || len(number) < len(lowest) || len(number) == len(lowest) && number < lowest {
			lowest = number
		}
	}
	return b.stem + "+" + lowest
}
