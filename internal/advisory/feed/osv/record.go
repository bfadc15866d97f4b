package osv

import (
	"fmt"
	"time"
)

// record is what is wanted of a record (https://ossf.github.io/osv-schema/).
type record struct {
	id, summary, details       string
	aliases, upstream, related []string
	published, modified        time.Time
	withdrawn                  time.Time
	grades                     []grade
	severity                   string
	references                 []reference
	weaknesses                 []string
	review                     string
	affected                   []affected
	// problems are parts that are malformed, and were left out.
	problems []string
}

// grade is an element of "severity": a CVSS vector or a publisher's own word.
type grade struct{ kind, score string }

// ubuntuPriority is the kind of the grade that Ubuntu's security team gives.
const ubuntuPriority = "Ubuntu"

type reference struct{ kind, url string }

// affected is an element of "affected".
type affected struct {
	ecosystem, name, purl string
	ranges                []span
	// versions is the text of the list, which is mostly not wanted, and long.
	versions []byte
	grades   []grade
	severity string
	// informational is what a RUSTSEC record is on, if not on a vulnerability.
	informational string
	// systems are the operating systems that alone are affected, none is all.
	systems []string
	// outside are ranges of versions that are not those of the ecosystem.
	outside []span
	// availability is who can have the fix of Ubuntu's.
	availability string
	// notices are the vulnerabilities that a notice of Ubuntu's fixes here.
	notices []notice
	// problem says what is malformed; such an entry states nothing.
	problem string
}

// span is an element of "ranges".
type span struct {
	kind   string
	events []event
}

// event is one of "events"; its kind is the member's name.
type event struct{ kind, version string }

// notice is an element of Ubuntu's "cves_map".
type notice struct {
	vulnerability string
	grades        []grade
}

// The most that is read of each list of a record. The longest real ones hold
// some 150 names, 500 entries and 30 events.
const (
	maxNames  = 5_000
	maxList   = 20_000
	maxEvents = 10_000
)

// readRecord reads a record. The error says that the text is none; parts that
// are malformed are left out and told in problems.
func (r *reader) readRecord() (*record, error) {
	rec := &record{}
	err := r.object(func(name string) error { return r.member(rec, name) })
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return nil, err
	}
	rec.told(r)
	return rec, nil
}

// told keeps the reader's problem.
func (rec *record) told(r *reader) {
	if r.problem != "" {
		rec.problems = append(rec.problems, r.problem)
		r.problem = ""
	}
}

func (r *reader) member(rec *record, name string) (err error) {
	defer rec.told(r)
	switch name {
	case "id":
		return r.string(&rec.id)
	case "summary":
		return r.string(&rec.summary)
	case "details":
		return r.string(&rec.details)
	case "aliases":
		return r.strings(&rec.aliases, maxNames)
	case "upstream":
		return r.strings(&rec.upstream, maxNames)
	case "related":
		return r.strings(&rec.related, maxNames)
	case "published":
		return r.time(&rec.published)
	case "modified":
		return r.time(&rec.modified)
	case "withdrawn":
		return r.time(&rec.withdrawn)
	case "severity":
		return r.grades(&rec.grades)
	case "references":
		return r.array(func() error { return r.reference(rec) })
	case "database_specific":
		return r.loosely(func(name string) error {
			switch name {
			case "severity":
				return r.string(&rec.severity)
			case "cwe_ids":
				return r.strings(&rec.weaknesses, maxNames)
			case "review_status":
				return r.string(&rec.review)
			}
			return r.skip()
		})
	case "affected":
		return r.array(func() error { return r.affected(rec) })
	}
	return r.skip()
}

// loosely reads what is particular to a publisher, which may be anything.
func (r *reader) loosely(member func(name string) error) error {
	problem := r.problem
	defer func() { r.problem = problem }()
	return r.object(member)
}

func (r *reader) reference(rec *record) error {
	var ref reference
	err := r.object(func(name string) error {
		switch name {
		case "type":
			return r.string(&ref.kind)
		case "url":
			return r.string(&ref.url)
		}
		return r.skip()
	})
	if len(rec.references) < maxNames {
		rec.references = append(rec.references, ref)
	}
	return err
}

func (r *reader) grades(list *[]grade) error {
	return r.array(func() error {
		var g grade
		err := r.object(func(name string) error {
			switch name {
			case "type":
				return r.string(&g.kind)
			case "score":
				return r.string(&g.score)
			}
			return r.skip()
		})
		if len(*list) < maxNames {
			*list = append(*list, g)
		}
		return err
	})
}

// affected reads an entry. Where anything in it has another type than wanted
// it states nothing: a range whose end was lost would have none.
func (r *reader) affected(rec *record) error {
	if len(rec.affected) == maxList {
		err := r.skip()
		r.note(fmt.Sprintf("more than %d entries", maxList))
		return err
	}
	var a affected
	err := r.object(func(name string) error {
		switch name {
		case "package":
			return r.object(func(name string) error {
				switch name {
				case "ecosystem":
					return r.string(&a.ecosystem)
				case "name":
					return r.string(&a.name)
				case "purl":
					return r.string(&a.purl)
				}
				return r.skip()
			})
		case "ranges":
			return r.spans(&a.ranges)
		case "versions":
			var err error
			a.versions, err = r.raw()
			return err
		case "severity":
			return r.grades(&a.grades)
		case "ecosystem_specific":
			return r.loosely(func(name string) error { return r.ecosystemSpecific(&a, name) })
		case "database_specific":
			return r.loosely(func(name string) error { return r.databaseSpecific(rec, &a, name) })
		}
		return r.skip()
	})
	if a.ecosystem == "" {
		rec.told(r) // nobody's
	}
	a.problem, r.problem = r.problem, ""
	rec.affected = append(rec.affected, a)
	return err
}

func (r *reader) spans(list *[]span) error {
	events := 0
	return r.array(func() error {
		var s span
		err := r.object(func(name string) error {
			switch name {
			case "type":
				return r.string(&s.kind)
			case "events":
				return r.array(func() error {
					if events++; events > maxEvents {
						err := r.skip()
						r.note(fmt.Sprintf("more than %d events", maxEvents))
						return err
					}
					return r.event(&s)
				})
			}
			return r.skip()
		})
		*list = append(*list, s)
		return err
	})
}

// event reads an event. The schema has one member in each; earlier versions of
// it had several.
func (r *reader) event(s *span) error {
	var events [4]event
	err := r.object(func(name string) error {
		for i, kind := range [...]string{introduced, lastAffected, fixed, limit} {
			if name == kind {
				events[i].kind = kind
				return r.string(&events[i].version)
			}
		}
		return r.skip()
	})
	for _, e := range events {
		if e.kind == "" {
			continue
		}
		if e.version == "" {
			r.note("an event without a version")
		}
		s.events = append(s.events, e)
	}
	return err
}

// ecosystemSpecific reads what Ubuntu, Go and crates.io put there.
func (r *reader) ecosystemSpecific(a *affected, name string) error {
	switch name {
	case "availability":
		return r.string(&a.availability)
	case "severity":
		return r.string(&a.severity)
	case "ubuntu_priority": // before there was a severity of that type
		var priority string
		err := r.string(&priority)
		a.grades = append(a.grades, grade{ubuntuPriority, priority})
		return err
	case "custom_ranges":
		return r.spans(&a.outside)
	case "imports":
		return r.imports(a)
	case "affects":
		return r.object(func(name string) error {
			if name == "os" {
				return r.strings(&a.systems, maxNames)
			}
			return r.skip()
		})
	}
	return r.skip()
}

// imports reads the packages of a Go module that are affected. Where each of
// them is on some systems only, so is the module.
func (r *reader) imports(a *affected) error {
	all := false
	err := r.array(func() error {
		var systems []string
		err := r.object(func(name string) error {
			if name == "goos" {
				return r.strings(&systems, maxNames)
			}
			return r.skip()
		})
		all = all || len(systems) == 0
		if len(a.systems)+len(systems) <= maxNames {
			a.systems = append(a.systems, systems...)
		}
		return err
	})
	if all {
		a.systems = nil
	}
	return err
}

// databaseSpecific reads what RustSec, Ubuntu and the lists of malicious
// packages put there.
func (r *reader) databaseSpecific(rec *record, a *affected, name string) error {
	switch name {
	case "severity":
		return r.string(&a.severity)
	case "informational":
		return r.string(&a.informational)
	case "cwes":
		return r.array(func() error {
			return r.object(func(name string) error {
				if name != "cweId" || len(rec.weaknesses) >= maxNames {
					return r.skip()
				}
				var weakness string
				err := r.string(&weakness)
				rec.weaknesses = append(rec.weaknesses, weakness)
				return err
			})
		})
	case "cves_map":
		return r.object(func(name string) error {
			if name != "cves" {
				return r.skip()
			}
			return r.array(func() error { return r.notice(a) })
		})
	}
	return r.skip()
}

func (r *reader) notice(a *affected) error {
	var n notice
	err := r.object(func(name string) error {
		switch name {
		case "id":
			return r.string(&n.vulnerability)
		case "severity":
			return r.grades(&n.grades)
		}
		return r.skip()
	})
	if len(a.notices) < maxNames {
		a.notices = append(a.notices, n)
	}
	return err
}
