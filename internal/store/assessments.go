package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/assess"
)

// selectAssessment reads what scanAssessment scans.
const selectAssessment = `select a.id, a.vulnerability_id, v.name, t.name, a.scope_kind, a.scope_value, a.comment, a.justification, a.author, a.automatic,
		a.created_at, a.expires_at, a.ended_at, a.ended_by, a.ended_reason, a.ended_note, a.version
	from assessments a
	join vulnerabilities v on v.id = a.vulnerability_id
	join assessment_types t on t.id = a.type_id `

func scanAssessment(rows *sql.Rows) (a assess.Assessment, err error) {
	var created, expires, ended sql.NullInt64
	err = rows.Scan(&a.ID, &a.VulnerabilityID, &a.Vulnerability, &a.Type, &a.Scope.Kind, &a.Scope.Value, &a.Comment, &a.Justification, &a.Author, &a.Automatic,
		&created, &expires, &ended, &a.EndedBy, &a.EndedReason, &a.EndedNote, &a.Version)
	a.CreatedAt, a.ExpiresAt, a.EndedAt = at(created), at(expires), at(ended)
	return a, err
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
	if f.Author != "" {
		where.add(`a.author = ?`, f.Author)
	}
	if f.Automatic != nil {
		where.add(`a.automatic = ?`, *f.Automatic)
	}
	if f.In != nil {
		in, args := oneOf(f.In), anys(f.In)
		where.add(`(a.scope_kind in ('everywhere', 'package')
			or a.scope_kind = 'registry' and a.scope_value `+in+`
			or a.scope_kind = 'repository' and exists (select 1 from registries g where substr(a.scope_value, 1, length(g.name) + 1) = g.name || '/' and g.name `+in+`)
			or a.scope_kind = 'image' and exists (select 1 from manifests mf join repositories p on p.id = mf.repository_id
				join registries g on g.id = p.registry_id where mf.digest = a.scope_value and g.name `+in+`))`, append(append(append([]any{}, args...), args...), args...)...)
	}
	if !f.LiveAt.IsZero() {
		where.add(`a.ended_at is null`)
		where.add(`(a.expires_at is null or a.expires_at > ?)`, micros(f.LiveAt))
	}
	if f.Before > 0 {
		where.add(`a.id < ?`, f.Before)
	}
	order := inOrder(&where, f)
	query := selectAssessment + where.String() + order
	if f.Limit > 0 {
		where.args = append(where.args, f.Limit)
		query += fmt.Sprintf(` limit $%d`, len(where.args))
	}
	return queryAll(ctx, s.read, scanAssessment, query, where.args...)
}

// never is later than any expiry.
const never = math.MaxInt64

// inOrder is the order by clause of a filter. Where the list goes on after an item
// it adds the condition.
func inOrder(where *conditions, f assess.Filter) string {
	direction, beyond := " desc", "<"
	if f.Ascending {
		direction, beyond = "", ">"
	}
	key, value := "", any(nil)
	switch f.Sort {
	case assess.ByExpiry:
		key = fmt.Sprintf(`coalesce(a.expires_at, %d)`, int64(never))
		if f.After != nil {
			value = int64(never)
			if !f.After.Expires.IsZero() {
				value = micros(f.After.Expires)
			}
		}
	case assess.ByVulnerability:
		key = `v.name`
		if f.After != nil {
			value = f.After.Name
		}
	default:
		if f.After != nil {
			where.add(`a.id `+beyond+` ?`, f.After.ID)
		}
		return ` order by a.id` + direction
	}
	if f.After != nil {
		where.add(`(`+key+` `+beyond+` ? or `+key+` = ? and a.id > ?)`, value, value, f.After.ID)
	}
	return ` order by ` + key + direction + `, a.id`
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

// LiveAssessments returns what holds at a time on the vulnerabilities.
func (s *Store) LiveAssessments(ctx context.Context, vulnerabilities []int64, when time.Time) ([]assess.Assessment, error) {
	var all []assess.Assessment
	ids := slices.Clone(vulnerabilities)
	slices.Sort(ids)
	for chunk := range slices.Chunk(slices.Compact(ids), 1000) {
		found, err := queryAll(ctx, s.read, scanAssessment, selectAssessment+`where a.vulnerability_id in (`+literals(chunk)+`)
			and a.ended_at is null and (a.expires_at is null or a.expires_at > $1) order by a.id`, micros(when))
		if err != nil {
			return nil, fmt.Errorf("live assessments: %w", err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// UnknownTargets returns those of the scopes that name what does not exist.
func (s *Store) UnknownTargets(ctx context.Context, scopes []assess.Scope) (map[assess.Scope]bool, error) {
	list := make([]assess.Assessment, len(scopes))
	for i, scope := range scopes {
		list[i].Scope = scope
	}
	return unknownTargets(ctx, s.read, list)
}
