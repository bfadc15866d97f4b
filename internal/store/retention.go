package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/retention"
)

// Retention returns the rules of a registry, and which plan is confirmed.
func (s *Store) Retention(ctx context.Context, name string) (rules retention.Rules, confirmed string, err error) {
	var text string
	err = s.read.QueryRowContext(ctx, `select retention, retention_confirmed from registries where name = $1`, name).Scan(&text, &confirmed)
	if err == nil {
		err = json.Unmarshal([]byte(text), &rules)
	}
	if err != nil {
		return rules, "", fmt.Errorf("retention of registry %q: %w", name, noRows(err, missing{registry.ErrRegistryUnknown}))
	}
	return rules, confirmed, nil
}

// SetRetention changes the rules of a registry; registry.ErrChanged where tag is not
// empty and theirs is another. What was confirmed is so no longer.
func (s *Store) SetRetention(ctx context.Context, name, tag string, rules retention.Rules) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := lockRegistry(ctx, tx, name); err != nil {
			return err
		}
		var text string
		var now retention.Rules
		if err := tx.QueryRowContext(ctx, `select retention from registries where name = $1`, name).Scan(&text); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(text), &now); err != nil {
			return err
		}
		if tag != "" && now.Tag() != tag {
			return registry.ErrChanged
		}
		changed, err := json.Marshal(rules)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `update registries set retention = $1, retention_confirmed = '' where name = $2`, string(changed), name)
		return err
	})
	if err != nil {
		return fmt.Errorf("retention of registry %q: %w", name, err)
	}
	return nil
}

// ConfirmRetention lets a plan be done although it is large.
func (s *Store) ConfirmRetention(ctx context.Context, name, plan string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `update registries set retention_confirmed = $1 where name = $2`, plan, name)
		if err != nil {
			return err
		}
		return changedOne(done, missing{registry.ErrRegistryUnknown})
	})
	if err != nil {
		return fmt.Errorf("retention of registry %q: %w", name, err)
	}
	return nil
}

// Held returns what a repository holds, for retention.
func (s *Store) Held(ctx context.Context, repositoryID int64) (retention.Repository, error) {
	held, err := heldBy(ctx, s.read, repositoryID)
	if err != nil {
		return held, fmt.Errorf("content of repository %d: %w", repositoryID, err)
	}
	return held, nil
}

func heldBy(ctx context.Context, q querier, repositoryID int64) (r retention.Repository, err error) {
	var counted sql.NullInt64
	if err := q.QueryRowContext(ctx, `select name, counted_since from repositories where id = $1`, repositoryID).Scan(&r.Name, &counted); err != nil {
		return r, noRows(err, missing{registry.ErrRepositoryUnknown})
	}
	r.CountedSince = at(counted)
	index := make(map[int64]int)
	if r.Manifests, err = queryAll(ctx, q, func(rows *sql.Rows) (m retention.Manifest, err error) {
		var id int64
		var pushed, pulled sql.NullInt64
		err = rows.Scan(&id, &m.Digest, &m.Subject, &pushed, &pulled)
		m.PushedAt, m.PulledAt = at(pushed), at(pulled)
		index[id] = len(index)
		return m, err
	}, `select m.id, m.digest, coalesce(m.subject, ''), coalesce(m.restored_at, m.pushed_at), n.last_pull from manifests m
		left join manifest_pulls n on n.repository_id = m.repository_id and n.digest = m.digest where m.repository_id = $1 order by m.id`, repositoryID); err != nil {
		return r, err
	}
	if _, err := queryAll(ctx, q, func(rows *sql.Rows) (none struct{}, err error) {
		var id int64
		var child string
		err = rows.Scan(&id, &child)
		if i, ok := index[id]; ok {
			r.Manifests[i].Children = append(r.Manifests[i].Children, child)
		}
		return none, err
	}, `select f.manifest_id, f.digest from manifest_references f join manifests m on m.id = f.manifest_id
		where m.repository_id = $1 and f.kind = 'manifest' order by f.manifest_id, f.position`, repositoryID); err != nil {
		return r, err
	}
	_, err = queryAll(ctx, q, func(rows *sql.Rows) (none struct{}, err error) {
		var id int64
		var name string
		var set, pulled sql.NullInt64
		err = rows.Scan(&id, &name, &set, &pulled)
		if i, ok := index[id]; ok {
			r.Manifests[i].Tags = append(r.Manifests[i].Tags, retention.Tag{Name: name, SetAt: at(set), PulledAt: at(pulled)})
		}
		return none, err
	}, `select m.id, t.name, t.updated_at, n.last_pull from tags t join manifests m on m.repository_id = t.repository_id and m.digest = t.digest
		left join tag_pulls n on n.repository_id = t.repository_id and n.name = t.name
		where t.repository_id = $1 order by t.name`, repositoryID)
	return r, err
}

// Retain puts into the trash what a plan says of a repository as it is now, and was
// approved. It returns what went.
func (s *Store) Retain(ctx context.Context, repositoryID int64, plan func(retention.Repository) []retention.Deletion, approved map[retention.Deletion]bool, why registry.Deletion) (done []retention.Deletion, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		done = nil
		if err := s.touch(ctx, tx, repositoryID); err != nil {
			return err
		}
		held, err := heldBy(ctx, tx, repositoryID)
		if err != nil {
			return err
		}
		// Tags go before their manifests, and come back with them.
		type tags struct {
			names  []string
			reason string
		}
		dropped := make(map[string]tags)
		for _, d := range plan(held) {
			if !approved[retention.Deletion{Repository: d.Repository, Digest: d.Digest, Tag: d.Tag}] {
				continue // it came to go only now
			}
			if d.Tag != "" {
				if _, err = s.dropTag(ctx, tx, repositoryID, d.Tag); err == nil {
					dropped[d.Digest] = tags{append(dropped[d.Digest].names, d.Tag), d.Reason}
				}
			} else {
				why.Reason = "retention: " + d.Reason
				if _, err = s.removeManifest(ctx, tx, repositoryID, d.Digest, dropped[d.Digest].names, why); err == nil {
					delete(dropped, d.Digest)
				}
			}
			if errors.Is(err, registry.ErrManifestUnknown) {
				continue // with what it was attached to
			}
			if err != nil {
				return err
			}
			done = append(done, d)
		}
		for _, digest := range slices.Sorted(maps.Keys(dropped)) {
			why.Reason = "retention: " + dropped[digest].reason
			if err := s.trashTags(ctx, tx, repositoryID, digest, dropped[digest].names, why); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("retention in repository %d: %w", repositoryID, err)
	}
	return done, nil
}

// Excepted are the digests that exceptions from policy name in a registry: somebody
// relies on these.
func (s *Store) Excepted(ctx context.Context, name string, when time.Time) (map[string]bool, error) {
	list, err := s.LiveExceptions(ctx, name, when)
	if err != nil {
		return nil, err
	}
	digests := make(map[string]bool)
	for _, e := range list {
		if e.Digest != "" {
			digests[e.Digest] = true
		}
	}
	return digests, nil
}
