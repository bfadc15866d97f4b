package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

// Groups calls each with every group of a document, in the order of names. The
// vulnerabilities have the names by which they are known now.
func (s *Store) Groups(ctx context.Context, feedName, part string, each func(feed.Entry) error) error {
	const page = 500
	for after := ""; ; {
		entries, err := s.groups(ctx, feedName, part, after, page)
		if err != nil {
			return fmt.Errorf("groups of %s %s: %w", feedName, part, err)
		}
		for _, e := range entries {
			if err := each(*e); err != nil {
				return err
			}
		}
		if len(entries) < page {
			return nil
		}
		after = entries[len(entries)-1].Name
	}
}

func (s *Store) groups(ctx context.Context, feedName, part, after string, limit int) ([]*feed.Entry, error) {
	byID := make(map[int64]*feed.Entry)
	var ids []any
	entries, err := queryAll(ctx, s.read, func(rows *sql.Rows) (*feed.Entry, error) {
		var id int64
		var print []byte
		e := &feed.Entry{Group: advisory.Group{Part: part, Details: make(map[string]advisory.Detail)}}
		if err := rows.Scan(&id, &e.Name, &print); err != nil {
			return nil, err
		}
		copy(e.Fingerprint[:], print)
		byID[id] = e
		ids = append(ids, id)
		return e, nil
	}, `select id, name, fingerprint from advisory_groups where feed = $1 and part = $2 and name > $3 order by name limit $4`, feedName, part, after, limit)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	if _, err := queryAll(ctx, s.read, func(rows *sql.Rows) (none struct{}, err error) {
		var id int64
		var a advisory.Advisory
		var from struct{ feed, part string }
		err = rows.Scan(&id, &a.Vulnerability, &a.ID, &a.Ecosystem, &a.Package, &a.Source, &a.Module, &a.Architectures, &a.Status,
			&a.Introduced, &a.Fixed, &a.LastAffected, &a.Fix, &a.Severity, &a.Note, &from.feed, &from.part)
		if err == nil {
			byID[id].Advisories = append(byID[id].Advisories, a)
		}
		return none, err
	}, `select a.group_id, v.name, `+statementColumns+`
		from advisories a join advisory_groups g on g.id = a.group_id join vulnerabilities v on v.id = a.vulnerability_id
		where a.group_id in (`+parameters(1, len(ids))+`) order by a.id`, ids...); err != nil {
		return nil, err
	}
	_, err = queryAll(ctx, s.read, func(rows *sql.Rows) (none struct{}, err error) {
		var id int64
		var name, text string
		var d advisory.Detail
		if err = rows.Scan(&id, &name, &text); err == nil {
			err = json.Unmarshal([]byte(text), &d)
			byID[id].Details[name] = d
		}
		return none, err
	}, `select d.group_id, v.name, d.detail from vulnerability_details d join vulnerabilities v on v.id = d.vulnerability_id
		where d.group_id in (`+parameters(1, len(ids))+`)`, ids...)
	return entries, err
}

// LastImport returns when the newest bundle was made that was imported, zero
// where none was.
func (s *Store) LastImport(ctx context.Context) (time.Time, error) {
	var last sql.NullInt64
	if err := s.read.QueryRowContext(ctx, `select max(created_at) from feed_imports`).Scan(&last); err != nil {
		return time.Time{}, fmt.Errorf("last import: %w", err)
	}
	return at(last), nil
}

// Import runs fn with a store whose writes are one transaction, and notes that a
// bundle was imported that was made at a time.
func (s *Store) Import(ctx context.Context, created time.Time, fn func(feed.Store) error) error {
	return s.within(ctx, func(inside *Store) error {
		if err := fn(inside); err != nil {
			return err
		}
		if _, err := inside.in.ExecContext(ctx, `insert into feed_imports (created_at, imported_at) values ($1, $2)`, micros(created), micros(s.now())); err != nil {
			return fmt.Errorf("note the import: %w", err)
		}
		return nil
	})
}
