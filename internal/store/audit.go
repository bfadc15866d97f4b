package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/pratique/pratique/internal/audit"
)

// AppendAudit stores an entry and gives it its id and time.
func (s *Store) AppendAudit(ctx context.Context, e audit.Entry) error {
	if e.Detail == nil {
		e.Detail = []byte("{}")
	}
	return s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `insert into audit_log (at, actor, action, object, detail) values ($1, $2, $3, $4, $5)`,
			micros(s.now()), e.Actor, e.Action, e.Object, string(e.Detail)); err != nil {
			return fmt.Errorf("append to the audit log: %w", err)
		}
		return nil
	})
}

// AuditEntries lists those that the filter lets through, in its order.
func (s *Store) AuditEntries(ctx context.Context, f audit.Filter) ([]audit.Entry, error) {
	var where conditions
	if f.Actor != "" {
		where.add(`actor = ?`, f.Actor)
	}
	if strings.HasSuffix(f.Action, ".") {
		where.add(`action like ? escape '\'`, escapeLike(f.Action)+"%")
	} else if f.Action != "" {
		where.add(`action = ?`, f.Action)
	}
	if f.Object != "" {
		where.add(`lower(object) like lower(?) escape '\'`, "%"+escapeLike(f.Object)+"%")
	}
	if !f.Since.IsZero() {
		where.add(`at >= ?`, micros(f.Since))
	}
	if !f.Before.IsZero() {
		where.add(`at < ?`, micros(f.Before))
	}
	order, beyond := ` order by id desc`, `<`
	if f.Oldest {
		order, beyond = ` order by id`, `>`
	}
	if f.After > 0 {
		where.add(`id `+beyond+` ?`, f.After)
	}
	where.args = append(where.args, f.Limit)
	entries, err := queryAll(ctx, s.read, func(rows *sql.Rows) (e audit.Entry, err error) {
		var when sql.NullInt64
		var detail string
		err = rows.Scan(&e.ID, &when, &e.Actor, &e.Action, &e.Object, &detail)
		e.At, e.Detail = at(when), []byte(detail)
		return e, err
	}, `select id, at, actor, action, object, detail from audit_log `+where.String()+order+fmt.Sprintf(` limit $%d`, len(where.args)), where.args...)
	if err != nil {
		return nil, fmt.Errorf("list the audit log: %w", err)
	}
	return entries, nil
}

// AuditActions lists the actions that there are entries of, by name. It jumps from
// one to the next in the index, since the log has many entries of few actions.
func (s *Store) AuditActions(ctx context.Context) ([]string, error) {
	actions, err := queryAll(ctx, s.read, func(rows *sql.Rows) (action string, err error) {
		err = rows.Scan(&action)
		return action, err
	}, `with recursive known(action) as (
			select min(action) from audit_log
			union all
			select (select min(l.action) from audit_log l where l.action > known.action) from known where known.action is not null)
		select action from known where action is not null order by action`)
	if err != nil {
		return nil, fmt.Errorf("list the actions of the audit log: %w", err)
	}
	return actions, nil
}
