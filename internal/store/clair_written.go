package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// WriteVulnerability keeps a vulnerability of a namespace as a client of the v1
// API writes it, in place of what a client wrote before, has packages matched
// with it, and makes a notification where that is any change.
func (s *Store) WriteVulnerability(ctx context.Context, namespace, name string, w clairapi.Written, decide match.Decide) error {
	content, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("write vulnerability %q: %w", name, err)
	}
	err = s.within(ctx, func(s *Store) error {
		old, err := s.told(ctx, namespace, name)
		if err != nil {
			return err
		}
		if old != nil {
			if before, err := json.Marshal(old.Written); err != nil || string(before) == string(content) && old.isWritten {
				return err
			}
		}
		entry := feed.Entry{Group: asGroup(namespace, name, w), Fingerprint: sha256.Sum256(content)}
		if err := s.ReplaceAdvisories(ctx, clairapi.WrittenFeed, namespace, []feed.Entry{entry}, nil, decide); err != nil {
			return err
		}
		if _, err := s.in.ExecContext(ctx, `insert into clair_written (namespace, name, content) values ($1, $2, $3)
			on conflict (namespace, name) do update set content = excluded.content`, namespace, name, string(content)); err != nil {
			return err
		}
		return s.finishWrite(ctx, namespace, name, old)
	})
	if err != nil {
		return fmt.Errorf("write vulnerability %q of %q: %w", name, namespace, err)
	}
	return nil
}

// DeleteWritten deletes a vulnerability that a client wrote, or returns
// clairapi.ErrNotFound. What feeds say of it stays.
func (s *Store) DeleteWritten(ctx context.Context, namespace, name string, decide match.Decide) error {
	err := s.within(ctx, func(s *Store) error {
		old, err := s.told(ctx, namespace, name)
		if err != nil {
			return err
		}
		if old == nil || !old.isWritten {
			return clairapi.ErrNotFound
		}
		if err := s.ReplaceAdvisories(ctx, clairapi.WrittenFeed, namespace, nil, []string{name}, decide); err != nil {
			return err
		}
		if _, err := s.in.ExecContext(ctx, `delete from clair_written where namespace = $1 and name = $2`, namespace, name); err != nil {
			return err
		}
		return s.finishWrite(ctx, namespace, name, old)
	})
	if err != nil {
		return fmt.Errorf("delete vulnerability %q of %q: %w", name, namespace, err)
	}
	return nil
}

// finishWrite makes the notification of a write, and ends the reading that it is.
func (s *Store) finishWrite(ctx context.Context, namespace, name string, old *toldSide) error {
	now, err := s.told(ctx, namespace, name)
	if err != nil {
		return err
	}
	t := clairapi.Told{Namespace: namespace, Name: name}
	if old != nil {
		t.Old = &old.Side
	}
	if now != nil {
		t.New = &now.Side
	}
	if err := s.addTold(ctx, s.in, t); err != nil {
		return err
	}
	return s.endUpdates(ctx, s.in, clairapi.WrittenFeed, namespace)
}

// toldSide is a side of a notification, with whether a client wrote it.
type toldSide struct {
	clairapi.Side
	isWritten bool
}

// told returns a vulnerability of a namespace as a notification tells it; nil
// where nobody speaks of it. It is for transactions.
func (s *Store) told(ctx context.Context, namespace, name string) (*toldSide, error) {
	var side toldSide
	w, err := s.written(ctx, s.in, namespace, name)
	switch {
	case err == nil:
		side.Written, side.isWritten = w, true
	case !errors.Is(err, clairapi.ErrNotFound):
		return nil, err
	default:
		v, err := namespaceVulnerability(ctx, s.in, namespace, name)
		if errors.Is(err, clairapi.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		side.Description, side.Severity = v.Description, v.Severity
		for _, st := range v.Statements {
			side.Fixes = append(side.Fixes, clairapi.Fix{Package: st.Package, Version: st.Fixed})
		}
	}
	side.Packages, err = queryAll(ctx, s.in, scanID, `select m.package_id from matches m
		join vulnerabilities v on v.id = m.vulnerability_id join packages p on p.id = m.package_id
		where v.name = $1 and m.gone_at is null and p.distribution = $2 order by m.package_id`, name, namespace)
	if err != nil {
		return nil, fmt.Errorf("packages affected by %q: %w", name, err)
	}
	return &side, nil
}

// Written returns a vulnerability of a namespace as a client wrote it, or
// clairapi.ErrNotFound.
func (s *Store) Written(ctx context.Context, namespace, name string) (clairapi.Written, error) {
	return s.written(ctx, s.read, namespace, name)
}

// WrittenAfter returns the vulnerabilities of a namespace that clients wrote, by
// name, of those after the given one.
func (s *Store) WrittenAfter(ctx context.Context, namespace, after string, limit int) (map[string]clairapi.Written, error) {
	type row struct {
		name string
		clairapi.Written
	}
	rows, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		var content string
		if err = rows.Scan(&r.name, &content); err == nil {
			err = json.Unmarshal([]byte(content), &r.Written)
		}
		return r, err
	}, `select name, content from clair_written where namespace = $1 and name > $2 order by name limit $3`, namespace, after, limit)
	if err != nil {
		return nil, fmt.Errorf("written vulnerabilities of %q: %w", namespace, err)
	}
	written := make(map[string]clairapi.Written, len(rows))
	for _, r := range rows {
		written[r.name] = r.Written
	}
	return written, nil
}

func (s *Store) written(ctx context.Context, q querier, namespace, name string) (w clairapi.Written, err error) {
	var content string
	err = q.QueryRowContext(ctx, `select content from clair_written where namespace = $1 and name = $2`, namespace, name).Scan(&content)
	if err == nil {
		err = json.Unmarshal([]byte(content), &w)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = clairapi.ErrNotFound
	}
	if err != nil {
		return w, fmt.Errorf("written vulnerability %q of %q: %w", name, namespace, err)
	}
	return w, nil
}

// asGroup makes advisories of what a client wrote. Clair knows the features of
// dpkg by their sources, those of rpm and apk by their own names; of apk both
// are taken.
func asGroup(namespace, name string, w clairapi.Written) advisory.Group {
	g := advisory.Group{Part: namespace, Name: name, Details: map[string]advisory.Detail{name: {Description: w.Description, Severity: w.Severity}}}
	if w.Link != "" {
		d := g.Details[name]
		d.References = []string{w.Link}
		g.Details[name] = d
	}
	sources := map[string][]bool{"deb": {true}, "apk": {true, false}, "rpm": {false}}
	id, _, _ := strings.Cut(namespace, ":")
	for _, f := range w.Fixes {
		for _, source := range sources[inventory.PackageType(id)] {
			g.Advisories = append(g.Advisories, advisory.Advisory{
				Vulnerability: name, Ecosystem: namespace, Package: f.Package, Source: source, Module: advisory.AnyModule,
				Status: advisory.Affected, Fixed: f.Version, Severity: w.Severity,
			})
		}
	}
	return g
}
