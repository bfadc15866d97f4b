package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pratique/pratique/internal/assess"
)

// typeColumns are those of an assessment type t, for scanType.
const typeColumns = `t.id, t.name, t.color, t.description, t.blocks, t.warns, t.expiry_days, t.position, t.enabled, t.rule, t.reopen, t.for_vex, t.version`

// returningType is the same where a statement answers what it wrote: there SQLite
// does not know the table by another name.
const returningType = `id, name, color, description, blocks, warns, expiry_days, position, enabled, rule, reopen, for_vex, version`

func scanType(rows *sql.Rows) (t assess.Type, err error) {
	var days sql.NullInt64
	var warns bool
	var rule, reopen string
	if err := rows.Scan(&t.ID, &t.Name, &t.Color, &t.Description, &t.Blocks, &warns, &days, &t.Position, &t.Enabled, &rule, &reopen, &t.ForVEX, &t.Version); err != nil {
		return t, err
	}
	t.ExpiryDays, t.Effect = int(days.Int64), effect(t.Blocks, warns)
	if reopen != "" {
		for _, r := range strings.Split(reopen, ",") {
			t.Reopen = append(t.Reopen, assess.Reopening(r))
		}
	}
	if rule != "" {
		if err := json.Unmarshal([]byte(rule), &t.Rule); err != nil {
			return t, fmt.Errorf("rule of assessment type %q: %w", t.Name, err)
		}
	}
	return t, nil
}

func effect(blocks, warns bool) assess.Effect {
	switch {
	case blocks:
		return assess.EffectBlocks
	case warns:
		return assess.EffectWarns
	}
	return assess.EffectNone
}

// typeValues are what a type is stored as, in the order of typeFields.
func typeValues(t assess.Type) ([]any, error) {
	rule, err := t.RuleText()
	if err != nil {
		return nil, fmt.Errorf("rule of assessment type %q: %w", t.Name, err)
	}
	reopen := make([]string, len(t.Reopen))
	for i, r := range t.Reopen {
		reopen[i] = string(r)
	}
	days := sql.NullInt64{Int64: int64(t.ExpiryDays), Valid: t.ExpiryDays > 0}
	return []any{t.Name, t.Color, t.Description, t.Blocks, t.Effect == assess.EffectWarns, days, t.Position, t.Enabled, rule, strings.Join(reopen, ","), t.ForVEX}, nil
}

const typeFields = `name, color, description, blocks, warns, expiry_days, position, enabled, rule, reopen, for_vex`

// SeedAssessmentTypes stores the types where there are none at all.
func (s *Store) SeedAssessmentTypes(ctx context.Context, types []assess.Type) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		var known int
		if err := tx.QueryRowContext(ctx, `select count(*) from assessment_types`).Scan(&known); err != nil || known > 0 {
			return err
		}
		for _, t := range types {
			values, err := typeValues(t)
			if err != nil {
				return err
			}
			// Another replica may be starting too.
			if _, err := tx.ExecContext(ctx, `insert into assessment_types (`+typeFields+`)
				values (`+parameters(1, len(values))+`) on conflict (name) do nothing`, values...); err != nil {
				return fmt.Errorf("insert assessment type %s: %w", t.Name, err)
			}
		}
		return nil
	})
}

// AssessmentTypes lists the types by position, then name.
func (s *Store) AssessmentTypes(ctx context.Context) ([]assess.Type, error) {
	return assessmentTypes(ctx, s.read)
}

func assessmentTypes(ctx context.Context, q querier) ([]assess.Type, error) {
	types, err := queryAll(ctx, q, scanType, `select `+typeColumns+` from assessment_types t where t.deleted_at is null order by t.position, t.name`)
	if err != nil {
		return nil, fmt.Errorf("list assessment types: %w", err)
	}
	return types, nil
}

// typeByName returns assess.ErrNotFound where there is none.
func typeByName(ctx context.Context, q querier, name string) (assess.Type, error) {
	found, err := queryAll(ctx, q, scanType, `select `+typeColumns+` from assessment_types t where t.name = $1 and t.deleted_at is null`, name)
	if err == nil && len(found) == 0 {
		err = assess.ErrNotFound
	}
	if err != nil {
		return assess.Type{}, fmt.Errorf("assessment type %q: %w", name, err)
	}
	return found[0], nil
}

// VEXType returns the name of the type that VEX statements become; "" where an
// administrator left none.
func (s *Store) VEXType(ctx context.Context) (string, error) {
	names, err := queryAll(ctx, s.read, scanString, `select name from assessment_types where for_vex and deleted_at is null order by position, name limit 1`)
	if err != nil || len(names) == 0 {
		return "", err
	}
	return names[0], nil
}

// CreateAssessmentType stores a type, or returns assess.ErrExists. One of that
// name that was deleted is the same again, and what was assessed with it is of it.
func (s *Store) CreateAssessmentType(ctx context.Context, t assess.Type) (assess.Type, error) {
	values, err := typeValues(t)
	if err != nil {
		return t, err
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		created, err := queryAll(ctx, tx, scanType, `insert into assessment_types as t (`+typeFields+`) values (`+parameters(1, len(values))+`)
			on conflict (name) do update set deleted_at = null, version = t.version + 1, color = excluded.color, description = excluded.description,
				blocks = excluded.blocks, warns = excluded.warns, expiry_days = excluded.expiry_days, position = excluded.position,
				enabled = excluded.enabled, rule = excluded.rule, reopen = excluded.reopen, for_vex = excluded.for_vex
			where t.deleted_at is not null
			returning `+returningType, values...)
		if err != nil {
			return err
		}
		if len(created) == 0 {
			return assess.ErrExists
		}
		t = created[0]
		if err := oneForVEX(ctx, tx, t); err != nil || t.Rule == nil {
			return err
		}
		return s.allDue(ctx, tx)
	})
	return t, err
}

// oneForVEX makes the type the only one that VEX statements become, if it is one.
func oneForVEX(ctx context.Context, tx *sql.Tx, t assess.Type) error {
	if !t.ForVEX {
		return nil
	}
	_, err := tx.ExecContext(ctx, `update assessment_types set for_vex = false, version = version + 1 where for_vex and id <> $1`, t.ID)
	return err
}

// UpdateAssessmentType replaces all of the type with that id. It returns
// assess.ErrNotFound, assess.ErrExists where another one has its name, or
// assess.ErrChanged where its version is not t's any more. Policies that name it
// follow, and what its rule is about is judged again.
func (s *Store) UpdateAssessmentType(ctx context.Context, t assess.Type) (assess.Type, error) {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		found, err := queryAll(ctx, tx, scanType, `select `+typeColumns+` from assessment_types t where t.id = $1 and t.deleted_at is null`, t.ID)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return assess.ErrNotFound
		}
		old := found[0]
		if old.Version != t.Version {
			return assess.ErrChanged
		}
		if old.Name != t.Name {
			// The name of one that was deleted is free.
			if _, err := tx.ExecContext(ctx, `update assessment_types set name = name || ' (deleted ' || cast(id as text) || ')'
				where name = $1 and deleted_at is not null`, t.Name); err != nil {
				return err
			}
		}
		values, err := typeValues(t)
		if err != nil {
			return err
		}
		updated, err := queryAll(ctx, tx, scanType, `update assessment_types as t set (`+typeFields+`) = (`+parameters(1, len(values))+`), version = version + 1
			where id = $`+fmt.Sprint(len(values)+1)+` and version = $`+fmt.Sprint(len(values)+2)+` returning `+returningType, append(values, t.ID, t.Version)...)
		if err != nil {
			return err
		}
		if len(updated) == 0 {
			return assess.ErrChanged
		}
		t = updated[0]
		if err := oneForVEX(ctx, tx, t); err != nil {
			return err
		}
		if old.Name != t.Name {
			if err := replaceInPolicies(ctx, tx, old.Name, t.Name); err != nil {
				return err
			}
		}
		if before, _ := old.RuleText(); before == values[8] && (t.Rule == nil || old.Enabled == t.Enabled && old.Position == t.Position) {
			return nil
		}
		return s.allDue(ctx, tx)
	})
	if conflicting(err) {
		err = assess.ErrExists
	}
	return t, err
}

// OrderAssessmentTypes gives the types the order of the ids.
func (s *Store) OrderAssessmentTypes(ctx context.Context, ids []int64) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		for i, id := range ids {
			if _, err := tx.ExecContext(ctx, `update assessment_types set position = $1, version = version + 1 where id = $2 and position <> $1`, i+1, id); err != nil {
				return fmt.Errorf("order assessment types: %w", err)
			}
		}
		return s.allDue(ctx, tx)
	})
}

// DeleteAssessmentType takes a type away. Where it is in use, another type takes
// its place, by the name of replacement; where that is "" it returns an
// *assess.InUseError. It returns assess.ErrNotFound, or assess.ErrChanged where
// version is neither 0 nor the type's.
func (s *Store) DeleteAssessmentType(ctx context.Context, name, replacement, by string, version int64) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		t, err := typeByName(ctx, tx, name)
		if err != nil {
			return err
		}
		if version != 0 && version != t.Version {
			return assess.ErrChanged
		}
		use := &assess.InUseError{Type: name, ForVEX: t.ForVEX}
		if err := tx.QueryRowContext(ctx, `select count(*) from assessments where type_id = $1 and ended_at is null and (expires_at is null or expires_at > $2)
			and not automatic`, t.ID, micros(s.now())).Scan(&use.Assessments); err != nil {
			return err
		}
		if use.Policies, err = policiesThatName(ctx, tx, name); err != nil {
			return err
		}
		if replacement == "" && use.Assessments+use.Policies > 0 || replacement == "" && use.ForVEX {
			return use
		}
		var other assess.Type
		if replacement != "" {
			if other, err = typeByName(ctx, tx, replacement); err != nil {
				return err
			}
			if err := s.replaceType(ctx, tx, t, other, by); err != nil {
				return err
			}
		}
		if err := s.endOfType(ctx, tx, t, by); err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx, `update assessment_types set deleted_at = $1, version = version + 1, for_vex = false, rule = ''
			where id = $2 and version = $3`, micros(s.now()), t.ID, t.Version)
		if err != nil {
			return err
		}
		if err := changedOne(done, assess.ErrChanged); err != nil {
			return err
		}
		if t.Rule == nil {
			return nil
		}
		return s.allDue(ctx, tx)
	})
}

// replaceType gives what people assessed as one type, and the policies that name
// it, the other.
func (s *Store) replaceType(ctx context.Context, tx *sql.Tx, t, other assess.Type, by string) error {
	ids, err := queryAll(ctx, tx, scanID, `update assessments set type_id = $1, version = version + 1
		where type_id = $2 and ended_at is null and not automatic returning id`, other.ID, t.ID)
	if err != nil {
		return fmt.Errorf("replace assessment type %q: %w", t.Name, err)
	}
	if err := s.record(ctx, tx, by, assess.Retyped, "assessment type "+t.Name+" was deleted", ids); err != nil {
		return err
	}
	if err := replaceInPolicies(ctx, tx, t.Name, other.Name); err != nil {
		return err
	}
	if !t.ForVEX {
		return nil
	}
	other.ForVEX = true
	if _, err := tx.ExecContext(ctx, `update assessment_types set for_vex = true, version = version + 1 where id = $1`, other.ID); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `update assessment_types set for_vex = false where id = $1`, t.ID)
	return err
}

// endOfType ends what is left of a type that goes: what its rule assessed.
func (s *Store) endOfType(ctx context.Context, tx *sql.Tx, t assess.Type, by string) error {
	_, err := s.end(ctx, tx, ending{s.now(), by, assess.RuleEnded, "its type was deleted"}, `type_id = $7`, t.ID)
	return err
}
