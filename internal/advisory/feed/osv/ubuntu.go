package osv

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
)

// pocket is where Ubuntu publishes updates of a release.
type pocket int

const (
	// archivePocket is open to everybody.
	archivePocket pocket = iota
	// esmPocket, Expanded Security Maintenance, continues the archive for those
	// who have Ubuntu Pro: its versions follow the archive's.
	esmPocket
	// apartPocket is any other, as those of FIPS and of real-time kernels: it
	// has builds of its own, whose versions say nothing of the archive's.
	apartPocket
)

var ubuntuRelease = regexp.MustCompile(`^[0-9]{2}\.[0-9]{2}$`)

// readUbuntu reads what follows "Ubuntu:" in an ecosystem: "22.04:LTS", "25.10",
// "Pro:16.04:LTS", "Pro:FIPS-updates:18.04:LTS", "22.04:LTS:for:NVIDIA:BlueField".
func readUbuntu(s string) (release string, p pocket, name string) {
	var others []string
	for _, part := range strings.Split(s, ":") {
		switch {
		case release == "" && ubuntuRelease.MatchString(part):
			release = part
		case part != "LTS":
			others = append(others, part)
		}
	}
	switch name = strings.Join(others, " "); name {
	case "":
		return release, archivePocket, name
	case "Pro":
		return release, esmPocket, name
	}
	return release, apartPocket, name
}

// ubuntu judges a record of Ubuntu: on one vulnerability (UBUNTU-CVE-…), or on
// an update (USN-…).
func (j *judgement) ubuntu() {
	rec := j.record
	// All records are made anew every few weeks: a change of this date alone
	// would have all of them stored and matched again.
	rec.modified = time.Time{}
	if rec.details == "[Unknown description]" {
		rec.details = ""
	}
	var vulnerabilities []string
	switch id, one := strings.CutPrefix(rec.id, "UBUNTU-"); {
	case one && isCVE(id):
		vulnerabilities = []string{id}
	default:
		j.erratum = true
		vulnerabilities = cves(ubuntuNames(rec.aliases), ubuntuNames(rec.upstream))
		if len(vulnerabilities) == 0 { // before there was "upstream"
			vulnerabilities = cves(rec.related)
		}
		if len(vulnerabilities) == 0 && strings.Contains(rec.summary, "vulnerabilit") {
			vulnerabilities = []string{rec.id}
		}
	}
	// LSN-… are on patches of the running kernel, which say nothing of what is in
	// an image; USN-… without vulnerabilities mend what an earlier one broke.
	if strings.HasPrefix(rec.id, "LSN-") || len(vulnerabilities) == 0 {
		for i := range rec.affected {
			j.belongs(&rec.affected[i])
		}
		return
	}
	places := make(map[advisory.Key]*place)
	var order []*place
	for i := range rec.affected {
		a := &rec.affected[i]
		words, ok := j.belongs(a)
		if !ok {
			continue
		}
		release, p, name := readUbuntu(words)
		if release == "" {
			j.unplaced(a)
			continue
		}
		key := advisory.Key{Ecosystem: "ubuntu:" + release, Package: a.name, Source: true}
		at := places[key]
		if at == nil {
			at = &place{key: key}
			places[key] = at
			order = append(order, at)
		}
		list, ok := j.ranges(a)
		if !ok {
			continue
		}
		if len(list) == 0 {
			list = j.listed(a)
		}
		at.entries = append(at.entries, ubuntuEntry{a, p, name, list})
	}
	for _, at := range order {
		j.place(at, vulnerabilities)
	}
}

// ubuntuNames turns Ubuntu's names of vulnerabilities, UBUNTU-CVE-2024-1, into everybody's.
func ubuntuNames(names []string) []string {
	var plain []string
	for _, name := range names {
		plain = append(plain, strings.TrimPrefix(name, "UBUNTU-"))
	}
	return plain
}

// place is a source package in a release, with what a record says of it in each
// pocket.
type place struct {
	key     advisory.Key
	entries []ubuntuEntry
}

type ubuntuEntry struct {
	*affected
	pocket pocket
	name   string
	list   []interval
}

// place states what a record says of a package in a release.
//
// Of what is fixed with Ubuntu Pro only, no fix is stated, for most have none:
// it is affected up to, not including, the fixed version, which the note names;
// so who has it is not told to be affected. "~" sorts before everything, the end
// of the version too: LastAffected "1.2+esm1~" is the last version before 1.2+esm1
// (deb-version(7)).
func (j *judgement) place(at *place, vulnerabilities []string) {
	// open is set where the archive is spoken of, repaired where it has a fix;
	// pro is the fix of ESM, if any.
	var open, repaired bool
	var pro *ubuntuEntry
	for i, e := range at.entries {
		switch {
		case e.pocket == archivePocket:
			open, repaired = true, repaired || e.fix() != ""
		case e.pocket == esmPocket && pro == nil && e.fix() != "":
			pro = &at.entries[i]
		}
	}
	for _, e := range at.entries {
		list := e.list
		base := advisory.Advisory{Ecosystem: at.key.Ecosystem, Package: at.key.Package, Source: true}
		switch {
		case e.pocket == archivePocket && pro != nil && e.fix() == "":
			list = before(list, pro.fix())
			base.Fix, base.Note = advisory.Deferred, pro.note()
		case e.pocket == archivePocket: // as published
		case e.pocket == esmPocket && !open:
			if fix := e.fix(); fix != "" {
				list = before(list, fix)
				base.Fix, base.Note = advisory.Deferred, e.note()
			}
		case e.pocket == esmPocket && (e.fix() == "" || !repaired):
			continue // what is said of the archive holds for it too
		case e.pocket == apartPocket && e.named():
			base.Note = e.note()
		default:
			// The archive has packages of that name too, or states a fix of its
			// own: of a range it is not known which versions are this pocket's.
			list = j.listed(e.affected)
			base.Note = e.note()
			if e.fix() != "" {
				base.Fix = advisory.Deferred
			}
			if len(list) == 0 {
				list, base.Status = e.list, advisory.Undetermined
			}
		}
		j.notice(base, e.affected, vulnerabilities, list)
	}
}

// notice states what an entry says: of the vulnerabilities that its notice
// names, each with its own grade, else of the record's.
func (j *judgement) notice(base advisory.Advisory, a *affected, vulnerabilities []string, list []interval) {
	stated := false
	for _, n := range a.notices {
		if ids := cves([]string{n.vulnerability}); len(ids) > 0 {
			stated = true
			base.Severity = priority(n.grades)
			j.state(base, ids, list)
		}
	}
	if stated {
		return
	}
	base.Severity = first(priority(a.grades), priority(j.record.grades))
	j.state(base, vulnerabilities, list)
}

// priority is the grade that Ubuntu's security team gives
// (https://ubuntu.com/security/cves/about#priority).
func priority(grades []grade) advisory.Severity {
	for _, g := range grades {
		if g.kind == ubuntuPriority {
			return word(g.score)
		}
	}
	return advisory.Unknown
}

// before ends intervals before a fix.
func before(list []interval, fix string) []interval {
	list = slices.Clone(list)
	for i, v := range list {
		if v.last == "" && (v.fixed == "" || v.fixed == fix) {
			list[i].fixed, list[i].last = "", fix+"~"
		}
	}
	return list
}

// fix is the fixed version, "" where there is none.
func (e ubuntuEntry) fix() string {
	for _, v := range e.list {
		if v.fixed != "" {
			return v.fixed
		}
	}
	return ""
}

// named reports that the package is called after its pocket, as linux-fips and
// linux-bluefield are: no other pocket has one of that name.
func (e ubuntuEntry) named() bool {
	for _, word := range strings.FieldsFunc(strings.ToLower(e.name), func(r rune) bool { return r == ' ' || r == '-' }) {
		if word != "pro" && len(word) > 3 && strings.Contains(e.affected.name, word) {
			return true
		}
	}
	return false
}

var purlDistro = regexp.MustCompile(`[?&]distro=([^?&#]+)`)

// note says where the fix is, "1.2+esm1 in esm-infra/xenial: Available with Ubuntu Pro".
func (e ubuntuEntry) note() string {
	where := e.ecosystem
	if match := purlDistro.FindStringSubmatch(e.purl); match != nil {
		if distro, err := url.QueryUnescape(match[1]); err == nil {
			where = distro
		}
	}
	if fix := e.fix(); fix != "" {
		where = fmt.Sprintf("fixed by %s in %s", fix, where)
	}
	if e.availability != "" {
		where += ": " + e.availability
	}
	return where
}
