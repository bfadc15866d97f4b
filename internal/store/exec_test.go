package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/assess"
)

// Exec runs statements that set a test up.
func (s *Store) Exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := s.write.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := s.tx(t.Context(), func(*sql.Tx) error { return nil }); err != nil { // which counts
		t.Fatal(err)
	}
	s.CountAll(t)
}

// CountAll counts what is left.
func (s *Store) CountAll(t testing.TB) {
	t.Helper()
	for left := 1; left > 0; {
		var err error
		if left, err = s.CountFindings(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// FewImages makes n images many.
func (s *Store) FewImages(n int) { s.fewImages = n }

// CountAtOnce bounds the findings that a transaction counts.
func (s *Store) CountAtOnce(n int) { s.findingsAtOnce = n }

// EndAssessmentsUnder is what the deletion of a registry or a repository does.
func (s *Store) EndAssessmentsUnder(ctx context.Context, registry, repository, by string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		return s.endAssessmentsUnder(ctx, tx, registry, repository, s.now(), by)
	})
}

// Count is the number of rows of a table.
func (s *Store) Count(t testing.TB, table string) (n int) {
	t.Helper()
	if err := s.read.QueryRow("select count(*) from " + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Strings are the answers of a query.
func (s *Store) Strings(t testing.TB, query string) []string {
	t.Helper()
	all, err := queryAll(context.Background(), s.read, scanString, query)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// VersionKeys lists all keys of versions, and how far their making is.
func (s *Store) VersionKeys(t testing.TB) string {
	t.Helper()
	var text strings.Builder
	for _, query := range []string{
		`select 'package', id, version_key, source_key from packages order by id`,
		`select 'fixed', id, introduced_key, fixed_key from advisories order by id`,
		`select 'progress', 0, null, null from rekeying`,
	} {
		if _, err := queryAll(t.Context(), s.read, func(rows *sql.Rows) (none struct{}, err error) {
			var kind string
			var id int64
			var a, b []byte
			err = rows.Scan(&kind, &id, &a, &b)
			if b == nil {
				kind += " null"
			}
			fmt.Fprintf(&text, "%s %d %x %x\n", kind, id, a, b)
			return none, err
		}, query); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}

// CreateAssessment stores one assessment.
func (s *Store) CreateAssessment(ctx context.Context, a assess.Assessment) (assess.Assessment, error) {
	created, err := s.CreateAssessments(ctx, []assess.Assessment{a}, assess.Keep{})
	if err != nil {
		return a, err
	}
	return created[0], nil
}

// Kept returns the lines of the tables that affected.go keeps, and what they should
// be, counted among all findings.
func (s *Store) Kept(t testing.TB) (kept, counted []string) {
	t.Helper()
	read := func(query string) []string {
		t.Helper()
		lines, err := queryAll(t.Context(), s.write, scanString, query)
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	every := `(select m.vulnerability_id, m.image_id, max(` + effectiveOf + `) as severity from (` + everyFinding(`> 0`) + `) m
		join vulnerabilities v on v.id = m.vulnerability_id group by m.vulnerability_id, m.image_id)`
	const line = `select v.name || ' in ' || f.image_id || ' ' || f.severity from `
	const rest = ` f join vulnerabilities v on v.id = f.vulnerability_id order by 1`
	const risk = ` r where r.critical + r.high > 0 order by 1`
	const of = `select a.name || ': ' || a.severity || ' in ' || a.images || ', CVSS ' || round(cast(a.cvss * 10 as numeric)) || ', EPSS ' || round(cast(a.epss * 1000 as numeric))
		|| case when a.exploited then ' exploited' else '' end from `
	kept = append(read(line+`found`+rest), read(of+`affected a order by 1`)...)
	kept = append(kept, read(`select image_id || ' has ' || critical || ' and ' || high from image_risks`+risk)...)
	counted = append(read(line+every+rest), read(of+`(select v.name, max(f.severity) as severity, count(*) as images, v.cvss, coalesce(e.score, 0) as epss,
			v.exploited_at is not null as exploited
		from `+every+` f join vulnerabilities v on v.id = f.vulnerability_id left join epss e on e.name = v.name
		group by v.id, v.name, v.cvss, e.score, v.exploited_at) a order by 1`)...)
	counted = append(counted, read(`select image_id || ' has ' || critical || ' and ' || high from (select image_id,
		sum(case when severity = 5 then 1 else 0 end) as critical, sum(case when severity = 4 then 1 else 0 end) as high from `+every+` f group by image_id)`+risk)...)
	return kept, counted
}
