package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/assess"
)

// assessmentBatch bounds rows per statement: see insertRows.
const assessmentBatch = 100

// CreateAssessments stores the assessments and ends the live ones of the same
// vulnerabilities and scopes, all or nothing. It returns a *assess.RefusedError
// that says which cannot be stored: assess.ErrUnknownVulnerability,
// assess.ErrNotFound where there is no such type, or assess.ErrUnknownTarget.
func (s *Store) CreateAssessments(ctx context.Context, list []assess.Assessment, keep assess.Keep) ([]assess.Assessment, error) {
	const tries = 10
	for try := 1; ; try++ {
		created := slices.Clone(list)
		err := s.tx(ctx, func(tx *sql.Tx) error { return s.createAssessments(ctx, tx, created, keep) })
		// On PostgreSQL a rival can take the place of the live one between
		// the update and the insert; then there is one more to supersede.
		if err == nil {
			return created, nil
		}
		if !conflicting(err) || try == tries {
			return nil, err
		}
	}
}

func (s *Store) createAssessments(ctx context.Context, tx *sql.Tx, list []assess.Assessment, keep assess.Keep) error {
	refused := &assess.RefusedError{}
	if err := s.nameAssessed(ctx, tx, list, keep, refused); err != nil {
		return err
	}
	missing, err := unknownTargets(ctx, tx, list)
	if err != nil {
		return err
	}
	for i, a := range list {
		if missing[a.Scope] && !keep.Allows(a.Scope.Kind) {
			refused.Add(i, assess.ErrUnknownTarget)
		}
	}
	types, err := assessmentTypes(ctx, tx)
	if err != nil {
		return err
	}
	kinds := make(map[string]int64, len(types))
	for _, t := range types {
		kinds[t.Name] = t.ID
	}
	for i, a := range list {
		if kinds[a.Type] == 0 {
			refused.Add(i, assess.ErrNotFound)
		}
	}
	if refused.Any() {
		return refused
	}
	return s.insertAssessments(ctx, tx, list, kinds)
}

// nameAssessed finds the vulnerabilities by their names, or by aliases that are
// those of no other.
func (s *Store) nameAssessed(ctx context.Context, tx *sql.Tx, list []assess.Assessment, keep assess.Keep, refused *assess.RefusedError) error {
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = a.Vulnerability
	}
	known, err := vulnerabilitiesNamed(ctx, tx, names)
	if err != nil {
		return err
	}
	var fresh []any
	seen := make(map[string]bool)
	for i, a := range list {
		if _, ok := known[a.Vulnerability]; ok || seen[a.Vulnerability] {
			continue
		}
		if !keep.Vulnerabilities {
			refused.Add(i, assess.ErrUnknownVulnerability)
			continue
		}
		seen[a.Vulnerability] = true
		fresh = append(fresh, a.Vulnerability)
	}
	if refused.Any() {
		return nil
	}
	for chunk := range slices.Chunk(fresh, assessmentBatch) {
		var values []any
		for _, name := range chunk {
			values = append(values, name, micros(s.now()))
		}
		if _, err := tx.ExecContext(ctx, `insert into vulnerabilities (name, first_seen) values `+placeholders(len(chunk), 2)+`
			on conflict (name) do nothing`, values...); err != nil {
			return fmt.Errorf("insert vulnerabilities: %w", err)
		}
	}
	if len(fresh) > 0 {
		if known, err = vulnerabilitiesNamed(ctx, tx, names); err != nil {
			return err
		}
	}
	for i := range list {
		v := known[list[i].Vulnerability]
		list[i].VulnerabilityID, list[i].Vulnerability = v.id, v.name
	}
	return nil
}

// vulnerabilitiesNamed returns vulnerabilities with their own names, by the names
// or aliases given.
func vulnerabilitiesNamed(ctx context.Context, q querier, names []string) (map[string]named, error) {
	known := make(map[string]named)
	distinct := slices.Clone(names)
	slices.Sort(distinct)
	for chunk := range slices.Chunk(slices.Compact(distinct), assessmentBatch) {
		found, err := queryAll(ctx, q, scanNamed, `select name, id from vulnerabilities where name in (`+parameters(1, len(chunk))+`)`, anys(chunk)...)
		if err != nil {
			return nil, fmt.Errorf("read vulnerabilities: %w", err)
		}
		for _, v := range found {
			known[v.name] = v
		}
		chunk = slices.DeleteFunc(slices.Clone(chunk), func(name string) bool { _, ok := known[name]; return ok })
		if len(chunk) == 0 {
			continue
		}
		type row struct {
			alias string
			named
		}
		aliases, err := queryAll(ctx, q, func(rows *sql.Rows) (r row, err error) {
			err = rows.Scan(&r.alias, &r.name, &r.id)
			return r, err
		}, `select a.alias, v.name, v.id from (select alias, min(vulnerability_id) as id from vulnerability_aliases
				where alias in (`+parameters(1, len(chunk))+`) group by alias having count(distinct vulnerability_id) = 1) a
			join vulnerabilities v on v.id = a.id`, anys(chunk)...)
		if err != nil {
			return nil, fmt.Errorf("read aliases: %w", err)
		}
		for _, a := range aliases {
			known[a.alias] = a.named
		}
	}
	return known, nil
}

// unknownTargets returns the scopes that name what does not exist.
func unknownTargets(ctx context.Context, q querier, list []assess.Assessment) (map[assess.Scope]bool, error) {
	missing := make(map[assess.Scope]bool)
	byKind := make(map[assess.ScopeKind][]string)
	for _, a := range list {
		if a.Scope.Kind != assess.Everywhere && !missing[a.Scope] {
			missing[a.Scope] = true
			byKind[a.Scope.Kind] = append(byKind[a.Scope.Kind], a.Scope.Value)
		}
	}
	for kind, values := range byKind {
		for chunk := range slices.Chunk(values, assessmentBatch) {
			in := `(` + parameters(1, len(chunk)) + `)`
			var query string
			args := anys(chunk)
			switch kind {
			case assess.Registry:
				query = `select name from registries where name in ` + in
			case assess.Repository:
				query = `select g.name || '/' || p.name from repositories p join registries g on g.id = p.registry_id
					where (g.name, p.name) in (values ` + placeholders(len(chunk), 2) + `)`
				args = nil
				for _, value := range chunk {
					registry, repository, _ := strings.Cut(value, "/")
					args = append(args, registry, repository)
				}
			case assess.Image:
				query = `select digest from images where digest in ` + in
			case assess.Package:
				query = `select distinct name from packages where name in ` + in
				for i, value := range chunk {
					args[i], _ = assess.Scope{Kind: kind, Value: value}.Package()
				}
			default:
				return nil, fmt.Errorf("scope kind %q: %w", kind, assess.ErrUnknownTarget)
			}
			found, err := queryAll(ctx, q, scanString, query, args...)
			if err != nil {
				return nil, fmt.Errorf("targets of assessments: %w", err)
			}
			for _, value := range found {
				delete(missing, assess.Scope{Kind: kind, Value: value})
			}
			if kind == assess.Package {
				for _, value := range chunk {
					scope := assess.Scope{Kind: kind, Value: value}
					if name, _ := scope.Package(); slices.Contains(found, name) {
						delete(missing, scope)
					}
				}
			}
		}
	}
	return missing, nil
}

// liveKey is what at most one live assessment has.
type liveKey struct {
	vulnerability int64
	assess.Scope
}

// insertAssessments supersedes what is live and inserts the assessments, whose
// types have these ids. Of those with one key the last stays live.
func (s *Store) insertAssessments(ctx context.Context, tx *sql.Tx, list []assess.Assessment, kinds map[string]int64) error {
	for start := 0; start < len(list); {
		// What supersedes one of the same call goes into a batch of its own.
		seen := make(map[liveKey]int)
		end := start
		for ; end < len(list) && end-start < assessmentBatch; end++ {
			key := liveKey{list[end].VulnerabilityID, list[end].Scope}
			if _, twice := seen[key]; twice {
				break
			}
			seen[key] = end
		}
		if err := s.insertAssessmentBatch(ctx, tx, list[start:end], seen, start, kinds); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (s *Store) insertAssessmentBatch(ctx context.Context, tx *sql.Tx, batch []assess.Assessment, index map[liveKey]int, offset int, kinds map[string]int64) error {
	keys := make([]any, 0, 3*len(batch))
	values := make([]any, 0, 10*len(batch))
	byAuthor := make(map[string][]int)
	for i, a := range batch {
		byAuthor[a.Author] = append(byAuthor[a.Author], i)
		values = append(values, a.VulnerabilityID, kinds[a.Type], string(a.Scope.Kind), a.Scope.Value, a.Comment, a.Justification, a.Author, a.Automatic,
			micros(a.CreatedAt), nullMicros(a.ExpiresAt))
	}
	for author, positions := range byAuthor {
		keys = keys[:0]
		for _, i := range positions {
			keys = append(keys, batch[i].VulnerabilityID, string(batch[i].Scope.Kind), batch[i].Scope.Value)
		}
		var tuples strings.Builder
		for i := range positions {
			if i > 0 {
				tuples.WriteString(", ")
			}
			fmt.Fprintf(&tuples, "(cast($%d as bigint), $%d, $%d)", 7+3*i, 8+3*i, 9+3*i)
		}
		if _, err := s.end(ctx, tx, ending{batch[positions[0]].CreatedAt, author, assess.Superseded, ""},
			`(vulnerability_id, scope_kind, scope_value) in (values `+tuples.String()+`)`, keys...); err != nil {
			return fmt.Errorf("supersede: %w", err)
		}
	}
	type row struct {
		id int64
		liveKey
	}
	created, err := queryAll(ctx, tx, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.vulnerability, &r.Kind, &r.Value)
		return r, err
	}, `insert into assessments (vulnerability_id, type_id, scope_kind, scope_value, comment, justification, author, automatic, created_at, expires_at)
		values `+placeholders(len(batch), 10)+` returning id, vulnerability_id, scope_kind, scope_value`, values...)
	if err != nil {
		return fmt.Errorf("insert assessments: %w", err)
	}
	for _, r := range created {
		i := index[r.liveKey] - offset
		batch[i].ID, batch[i].Version = r.id, 1
	}
	var drafts []draft
	for _, a := range batch {
		drafts = append(drafts, draft{a.ID, a.Author, assess.Created, a.Note})
	}
	return s.recordAll(ctx, tx, drafts)
}

// ending is how live assessments end.
type ending struct {
	at     time.Time
	by     string
	reason assess.EndReason
	note   string
}

// end ends the live assessments that the condition, whose parameters start at $7,
// lets through; those whose time had come have expired. It returns their ids.
func (s *Store) end(ctx context.Context, tx *sql.Tx, e ending, where string, args ...any) ([]int64, error) {
	ids, err := queryAll(ctx, tx, scanID, `update assessments set
			ended_at = case when expires_at <= $1 then expires_at else $1 end,
			ended_by = case when expires_at <= $1 then $2 else $3 end,
			ended_reason = case when expires_at <= $1 then $4 else $5 end,
			ended_note = case when expires_at <= $1 then '' else $6 end
		where ended_at is null and `+where+` returning id`,
		append([]any{micros(e.at), assess.System, e.by, string(assess.Expired), string(e.reason), e.note}, args...)...)
	if err != nil {
		return nil, err
	}
	return ids, s.record(ctx, tx, e.by, assess.Ended, "", ids)
}

// EndAssessment ends a live assessment. It returns assess.ErrNotFound,
// assess.ErrEnded where it does not hold at that time, or assess.ErrChanged where
// version is neither 0 nor the assessment's.
func (s *Store) EndAssessment(ctx context.Context, id int64, when time.Time, by string, reason assess.EndReason, version int64) (assess.Assessment, error) {
	var a assess.Assessment
	err := s.tx(ctx, func(tx *sql.Tx) error {
		ended, err := s.end(ctx, tx, ending{when, by, reason, ""}, `id = $7 and (expires_at is null or expires_at > $1) and (version = $8 or $8 = 0)`, id, version)
		if err != nil {
			return err
		}
		if a, err = oneAssessment(ctx, tx, id); err != nil || len(ended) > 0 {
			return err
		}
		if a.Live(when) {
			return assess.ErrChanged
		}
		return assess.ErrEnded
	})
	return a, err
}

// EditAssessment changes what the edit says of a live assessment, as with At for
// its expiry, zero for never. It returns assess.ErrNotFound, assess.ErrEnded or
// assess.ErrChanged.
func (s *Store) EditAssessment(ctx context.Context, id int64, e assess.Edit) (assess.Assessment, error) {
	var a assess.Assessment
	err := s.tx(ctx, func(tx *sql.Tx) (err error) {
		if a, err = oneAssessment(ctx, tx, id); err != nil {
			return err
		}
		switch {
		case !a.Live(s.now()):
			return assess.ErrEnded
		case e.Version != 0 && e.Version != a.Version:
			return assess.ErrChanged
		}
		before := a
		if e.Comment != nil {
			a.Comment = *e.Comment
		}
		if e.Justification != nil {
			a.Justification = *e.Justification
		}
		if e.Expiry != nil {
			a.ExpiresAt = e.Expiry.At
		}
		if a == before {
			return nil
		}
		done, err := tx.ExecContext(ctx, `update assessments set comment = $1, justification = $2, expires_at = $3, version = version + 1
			where id = $4 and version = $5 and ended_at is null`, a.Comment, a.Justification, nullMicros(a.ExpiresAt), id, a.Version)
		if err != nil {
			return err
		}
		if err := changedOne(done, assess.ErrChanged); err != nil {
			return err
		}
		a.Version++
		return s.record(ctx, tx, e.By, assess.Edited, "", []int64{id})
	})
	return a, err
}

// ExpireAssessments ends at most limit assessments whose expiry is not after
// the time given, at their expiry, and returns them.
func (s *Store) ExpireAssessments(ctx context.Context, when time.Time, limit int) ([]assess.Assessment, error) {
	var ended []assess.Assessment
	err := s.tx(ctx, func(tx *sql.Tx) error {
		ended = nil
		ids, err := s.end(ctx, tx, ending{when, assess.System, assess.Expired, ""},
			`id in (select id from assessments where ended_at is null and expires_at <= $1 order by expires_at, id limit $7)`, limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		ended, err = queryAll(ctx, tx, scanAssessment, selectAssessment+`where a.id in (`+parameters(1, len(ids))+`) order by a.expires_at, a.id`, anys(ids)...)
		return err
	})
	return ended, err
}

// endAssessmentsUnder ends, inside the transaction that deletes a registry,
// or one repository of it where repository is not empty, the assessments
// whose scope goes with it: another of that name must not inherit them.
func (s *Store) endAssessmentsUnder(ctx context.Context, tx *sql.Tx, registry, repository string, when time.Time, by string) error {
	deleted := ending{when, by, assess.ScopeDeleted, ""}
	if repository != "" {
		if _, err := s.end(ctx, tx, deleted, `scope_kind = 'repository' and scope_value = $7`, registry+"/"+repository); err != nil {
			return fmt.Errorf("end assessments of repository %s/%s: %w", registry, repository, err)
		}
		return nil
	}
	if _, err := s.end(ctx, tx, deleted, `(scope_kind = 'registry' and scope_value = $7
			or scope_kind = 'repository' and substr(scope_value, 1, $8) = $9)`,
		registry, len([]rune(registry))+1, registry+"/"); err != nil {
		return fmt.Errorf("end assessments of registry %s: %w", registry, err)
	}
	return nil
}

// noRows replaces sql.ErrNoRows.
func noRows(err, otherwise error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return otherwise
	}
	return err
}
