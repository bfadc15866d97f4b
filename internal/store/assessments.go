package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/assess"
)

// selectAssessment reads what scanAssessment scans.
const selectAssessment = `select a.id, a.vulnerability_id, v.name, t.name, a.scope_kind, a.scope_value, a.comment, a.author,
		a.created_at, a.expires_at, a.ended_at, a.ended_by, a.ended_reason
	from assessments a
	join vulnerabilities v on v.id = a.vulnerability_id
	join assessment_types t on t.id = a.type_id `

func scanAssessment(rows *sql.Rows) (a assess.Assessment, err error) {
	var created, expires, ended sql.NullInt64
	err = rows.Scan(&a.ID, &a.VulnerabilityID, &a.Vulnerability, &a.Type, &a.Scope.Kind, &a.Scope.Value, &a.Comment, &a.Author,
		&created, &expires, &ended, &a.EndedBy, &a.EndedReason)
	a.CreatedAt, a.ExpiresAt, a.EndedAt = at(created), at(expires), at(ended)
	return a, err
}

// CreateAssessment stores the assessment and ends the live one of the same
// vulnerability and scope. It returns assess.ErrUnknownVulnerability,
// assess.ErrNotFound where there is no such type, or assess.ErrUnknownTarget.
func (s *Store) CreateAssessment(ctx context.Context, a assess.Assessment) (assess.Assessment, error) {
	const tries = 10
	for try := 1; ; try++ {
		err := s.tx(ctx, func(tx *sql.Tx) error { return s.createAssessment(ctx, tx, &a) })
		// On PostgreSQL a rival can take the place of the live one between
		// the update and the insert; then there is one more to supersede.
		if err == nil || !conflicting(err) || try == tries {
			return a, err
		}
	}
}

func (s *Store) createAssessment(ctx context.Context, tx *sql.Tx, a *assess.Assessment) error {
	err := tx.QueryRowContext(ctx, `select id from vulnerabilities where name = $1`, a.Vulnerability).Scan(&a.VulnerabilityID)
	if err != nil {
		return noRows(err, assess.ErrUnknownVulnerability)
	}
	var kind int64
	if err := tx.QueryRowContext(ctx, `select id from assessment_types where name = $1`, a.Type).Scan(&kind); err != nil {
		return noRows(err, assess.ErrNotFound)
	}
	if err := checkTarget(ctx, tx, a.Scope); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `update assessments set
			ended_at = case when expires_at <= $1 then expires_at else $1 end,
			ended_by = case when expires_at <= $1 then $2 else $3 end,
			ended_reason = case when expires_at <= $1 then $4 else $5 end
		where vulnerability_id = $6 and scope_kind = $7 and scope_value = $8 and ended_at is null`,
		micros(a.CreatedAt), assess.System, a.Author, string(assess.Expired), string(assess.Superseded),
		a.VulnerabilityID, string(a.Scope.Kind), a.Scope.Value); err != nil {
		return fmt.Errorf("supersede: %w", err)
	}
	if err := tx.QueryRowContext(ctx, `insert into assessments
			(vulnerability_id, type_id, scope_kind, scope_value, comment, author, created_at, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8) returning id`,
		a.VulnerabilityID, kind, string(a.Scope.Kind), a.Scope.Value, a.Comment, a.Author,
		micros(a.CreatedAt), nullMicros(a.ExpiresAt)).Scan(&a.ID); err != nil {
		return fmt.Errorf("insert assessment: %w", err)
	}
	return nil
}

// checkTarget returns assess.ErrUnknownTarget where what the scope names does not exist.
func checkTarget(ctx context.Context, tx *sql.Tx, scope assess.Scope) error {
	var query string
	args := []any{scope.Value}
	switch scope.Kind {
	case assess.Everywhere:
		return nil
	case assess.Registry:
		query = `select 1 from registries where name = $1`
	case assess.Repository:
		registry, repository, _ := strings.Cut(scope.Value, "/")
		query = `select 1 from repositories p join registries r on r.id = p.registry_id where r.name = $1 and p.name = $2`
		args = []any{registry, repository}
	case assess.Image:
		query = `select 1 from images where digest = $1`
	case assess.Package:
		query = `select 1 from packages where name = $1 limit 1`
	default:
		return fmt.Errorf("scope kind %q: %w", scope.Kind, assess.ErrUnknownTarget)
	}
	var one int
	return noRows(tx.QueryRowContext(ctx, query, args...).Scan(&one), assess.ErrUnknownTarget)
}

// noRows replaces sql.ErrNoRows.
func noRows(err, otherwise error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return otherwise
	}
	return err
}

// EndAssessment ends a live assessment. It returns assess.ErrNotFound, or
// assess.ErrEnded where it does not hold at that time.
func (s *Store) EndAssessment(ctx context.Context, id int64, when time.Time, by string, reason assess.EndReason) (assess.Assessment, error) {
	var a assess.Assessment
	err := s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `update assessments set ended_at = $1, ended_by = $2, ended_reason = $3
			where id = $4 and ended_at is null and (expires_at is null or expires_at > $1)`,
			micros(when), by, string(reason), id)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		if a, err = oneAssessment(ctx, tx, id); err != nil {
			return err
		}
		if n == 0 {
			return assess.ErrEnded
		}
		return nil
	})
	return a, err
}

// ExpireAssessments ends at most limit assessments whose expiry is not after
// the time given, at their expiry, and returns them.
func (s *Store) ExpireAssessments(ctx context.Context, when time.Time, limit int) ([]assess.Assessment, error) {
	var ended []assess.Assessment
	err := s.tx(ctx, func(tx *sql.Tx) error {
		ended = nil
		ids, err := queryAll(ctx, tx, func(rows *sql.Rows) (id int64, err error) {
			err = rows.Scan(&id)
			return id, err
		}, `update assessments set ended_at = expires_at, ended_by = $1, ended_reason = $2
			where id in (select id from assessments where ended_at is null and expires_at <= $3 order by expires_at, id limit $4)
				and ended_at is null
			returning id`, assess.System, string(assess.Expired), micros(when), limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		args := make([]any, len(ids))
		for i, id := range ids {
			args[i] = id
		}
		ended, err = queryAll(ctx, tx, scanAssessment, selectAssessment+`where a.id in `+placeholders(1, len(ids))+` order by a.expires_at, a.id`, args...)
		return err
	})
	return ended, err
}

// endAssessmentsUnder ends, inside the transaction that deletes a registry,
// or one repository of it where repository is not empty, the assessments
// whose scope goes with it: another of that name must not inherit them.
func endAssessmentsUnder(ctx context.Context, tx *sql.Tx, registry, repository string, when time.Time, by string) error {
	live := `update assessments set ended_at = $1, ended_by = $2, ended_reason = $3 where ended_at is null and `
	args := []any{micros(when), by, string(assess.ScopeDeleted)}
	if repository != "" {
		if _, err := tx.ExecContext(ctx, live+`scope_kind = 'repository' and scope_value = $4`,
			append(args, registry+"/"+repository)...); err != nil {
			return fmt.Errorf("end assessments of repository %s/%s: %w", registry, repository, err)
		}
		return nil
	}
	if _, err := tx.ExecContext(ctx, live+`(scope_kind = 'registry' and scope_value = $4
			or scope_kind = 'repository' and substr(scope_value, 1, $5) = $6)`,
		append(args, registry, len([]rune(registry))+1, registry+"/")...); err != nil {
		return fmt.Errorf("end assessments of registry %s: %w", registry, err)
	}
	return nil
}

// Assessment returns one, or assess.ErrNotFound.
func (s *Store) Assessment(ctx context.Context, id int64) (assess.Assessment, error) {
	return oneAssessment(ctx, s.read, id)
}

func oneAssessment(ctx context.Context, q querier, id int64) (assess.Assessment, error) {
	found, err := queryAll(ctx, q, scanAssessment, selectAssessment+`where a.id = $1`, id)
	if err != nil {
		return assess.Assessment{}, err
	}
	if len(found) == 0 {
		return assess.Assessment{}, assess.ErrNotFound
	}
	return found[0], nil
}

// Assessments lists those that the filter lets through, newest first.
func (s *Store) Assessments(ctx context.Context, f assess.Filter) ([]assess.Assessment, error) {
	var where conditions
	if f.Vulnerability != "" {
		where.add(`v.name = ?`, f.Vulnerability)
	}
	if f.Type != "" {
		where.add(`t.name = ?`, f.Type)
	}
	if f.Scope.Kind != "" {
		where.add(`a.scope_kind = ?`, string(f.Scope.Kind))
	}
	if f.Scope.Value != "" {
		where.add(`a.scope_value = ?`, f.Scope.Value)
	}
	if !f.LiveAt.IsZero() {
		where.add(`a.ended_at is null`)
		where.add(`(a.expires_at is null or a.expires_at > ?)`, micros(f.LiveAt))
	}
	if f.Before > 0 {
		where.add(`a.id < ?`, f.Before)
	}
	query := selectAssessment + where.String() + ` order by a.id desc`
	if f.Limit > 0 {
		where.args = append(where.args, f.Limit)
		query += fmt.Sprintf(` limit $%d`, len(where.args))
	}
	return queryAll(ctx, s.read, scanAssessment, query, where.args...)
}

// conditions collects the parts of a where clause with their arguments; "?"
// in a part stands for its next argument.
type conditions struct {
	parts []string
	args  []any
}

func (c *conditions) add(part string, args ...any) {
	for _, arg := range args {
		c.args = append(c.args, arg)
		part = strings.Replace(part, "?", fmt.Sprintf("$%d", len(c.args)), 1)
	}
	c.parts = append(c.parts, part)
}

// String is the clause, "" where there is no condition.
func (c *conditions) String() string {
	if len(c.parts) == 0 {
		return ""
	}
	return "where " + strings.Join(c.parts, " and ")
}
