package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/assess"
)

// joinAssessments makes the assessments of one vulnerability those of another
// that turned out to be the same. Where both are live in one scope the other's
// stays, unless a rule took it and a person the one's.
func (r *replacement) joinAssessments(ctx context.Context, tx *sql.Tx, from, to int64) error {
	now := time.UnixMicro(r.now)
	joined := ending{now, assess.System, assess.Superseded, "the vulnerability is the same as another one that is assessed in this scope"}
	const same = `vulnerability_id = $7 and exists (select 1 from assessments o where o.vulnerability_id = $8 and o.ended_at is null
		and o.scope_kind = assessments.scope_kind and o.scope_value = assessments.scope_value`
	if _, err := r.end(ctx, tx, joined, `automatic and `+same+` and not o.automatic)`, to, from); err != nil {
		return err
	}
	if _, err := r.end(ctx, tx, joined, same+`)`, from, to); err != nil {
		return err
	}
	ids, err := queryAll(ctx, tx, scanID, `update assessments set vulnerability_id = $2, version = version + 1 where vulnerability_id = $1 returning id`, from, to)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `update assessment_events set vulnerability_id = $2 where vulnerability_id = $1`, from, to); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `delete from assessment_due where vulnerability_id = $1`, from); err != nil {
		return err
	}
	if err := r.record(ctx, tx, assess.System, assess.Joined, "another name of the same vulnerability", ids); err != nil {
		return err
	}
	return r.due(ctx, tx, []int64{to})
}
