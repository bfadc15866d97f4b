package store

import (
	"context"
	"database/sql"
	"fmt"

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

// AuditEntries lists at most limit entries with a smaller id, the newest first;
// a zero id is no bound.
func (s *Store) AuditEntries(ctx context.Context, before int64, limit int) ([]audit.Entry, error) {
	entries, err := queryAll(ctx, s.read, func(rows *sql.Rows) (e audit.Entry, err error) {
		var when sql.NullInt64
		var detail string
		err = rows.Scan(&e.ID, &when, &e.Actor, &e.Action, &e.Object, &detail)
		e.At, e.Detail = at(when), []byte(detail)
		return e, err
	}, `select id, at, actor, action, object, detail from audit_log where $1 = 0 or id < $1 order by id desc limit $2`, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list the audit log: %w", err)
	}
	return entries, nil
}
