package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/retention"
)

const retentionColumns = `t.trash_days, t.rules, t.revision, t.changed_at, t.changed_by, t.held_digest, t.held_at, t.confirmed_digest, t.confirmed_by, t.ran_at, t.outcome`

// Retention returns what a registry keeps, or registry.ErrRegistryUnknown.
func (s *Store) Retention(ctx context.Context, registryName string) (retention.Settings, error) {
	return retentionOf(ctx, s.read, registryName)
}

func retentionOf(ctx context.Context, q querier, registryName string) (r retention.Settings, err error) {
	var days, revision, changed, held, ran sql.NullInt64
	var rules, by, heldDigest, confirmed, confirmedBy, outcome sql.NullString
	err = q.QueryRowContext(ctx, `select `+retentionColumns+` from registries g left join retention t on t.registry_id = g.id where g.name = $1`, registryName).
		Scan(&days, &rules, &revision, &changed, &by, &heldDigest, &held, &confirmed, &confirmedBy, &ran, &outcome)
	if err != nil {
		return r, fmt.Errorf("retention of registry %q: %w", registryName, noRows(err, missing{registry.ErrRegistryUnknown}))
	}
	if days.Valid {
		n := int(days.Int64)
		r.TrashDays = &n
	}
	r.Revision, r.ChangedAt, r.ChangedBy = revision.Int64+1, at(changed), by.String
	r.Held, r.HeldAt, r.Confirmed, r.ConfirmedBy, r.RanAt, r.Outcome = heldDigest.String, at(held), confirmed.String, confirmedBy.String, at(ran), outcome.String
	if rules.Valid {
		err = json.Unmarshal([]byte(rules.String), &r.Rules)
	}
	return r, err
}

// SetRetention changes what a registry keeps. It returns registry.ErrChanged where
// the revision is another one, unless it is 0, and registry.ErrRegistryUnknown.
func (s *Store) SetRetention(ctx context.Context, registryName string, trashDays *int, rules retention.Rules, revision int64, by string) (r retention.Settings, err error) {
	text, err := json.Marshal(rules)
	if err != nil {
		return r, err
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		id, err := lockRegistry(ctx, tx, registryName)
		if err != nil {
			return err
		}
		if r, err = retentionOf(ctx, tx, registryName); err != nil {
			return err
		}
		if revision != 0 && r.Revision != revision {
			return registry.ErrChanged
		}
		if _, err := tx.ExecContext(ctx, `insert into retention (registry_id, trash_days, rules, changed_at, changed_by) values ($1, $2, $3, $4, $5)
			on conflict (registry_id) do update set trash_days = excluded.trash_days, rules = excluded.rules, changed_at = excluded.changed_at,
				changed_by = excluded.changed_by, revision = retention.revision + 1, held_digest = '', held_at = null, confirmed_digest = ''`,
			id, trashDays, string(text), micros(s.now()), by); err != nil {
			return err
		}
		r, err = retentionOf(ctx, tx, registryName)
		return err
	})
	if err != nil {
		return retention.Settings{}, fmt.Errorf("change retention of %s: %w", registryName, err)
	}
	return r, nil
}

// NoteRetention remembers how a run ended. A list that was held waits for somebody
// to confirm it; "" ends that.
func (s *Store) NoteRetention(ctx context.Context, registryName, held, outcome string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		now := micros(s.now())
		_, err := tx.ExecContext(ctx, `update retention set ran_at = $1, outcome = $2, held_digest = $3,
			held_at = case when $3 = '' then null when held_digest = $3 then held_at else $1 end,
			confirmed_digest = case when $3 = '' then '' else confirmed_digest end
			where registry_id = (select id from registries where name = $4)`, now, outcome, held, registryName)
		return err
	})
}

// ConfirmRetention lets the very list go that is named.
func (s *Store) ConfirmRetention(ctx context.Context, registryName, digest, by string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `update retention set confirmed_digest = $1, confirmed_by = $2 where registry_id = (select id from registries where name = $3)`, digest, by, registryName)
		if err != nil {
			return err
		}
		return changedOne(done, missing{registry.ErrRegistryUnknown})
	})
}

// RetainedRegistries lists the registries that have rules.
func (s *Store) RetainedRegistries(ctx context.Context) ([]string, error) {
	list, err := queryAll(ctx, s.read, scanString, `select g.name from registries g join retention t on t.registry_id = g.id where t.rules <> '{}' order by g.name`)
	if err != nil {
		return nil, fmt.Errorf("registries with retention: %w", err)
	}
	return list, nil
}

// PlanRetention says what the rules let go of a registry, or returns
// registry.ErrRegistryUnknown. It reads one repository at a time.
func (s *Store) PlanRetention(ctx context.Context, registryName string, rules retention.Rules) (p retention.Plan, err error) {
	now := s.now()
	exceptions, err := s.LiveExceptions(ctx, registryName, now)
	if err != nil {
		return p, err
	}
	const page = 200
	for after := ""; ; {
		list, err := s.Repositories(ctx, registryName, after, page)
		if err != nil {
			return p, err
		}
		for _, r := range list {
			after = r.Name
			held, err := s.held(ctx, s.read, r, exceptions)
			if err != nil {
				return p, fmt.Errorf("what is in %s: %w", r, err)
			}
			p.Add(rules.Of(held, now))
		}
		if len(list) < page {
			return p, nil
		}
	}
}

// held reads what is in a repository.
func (s *Store) held(ctx context.Context, q querier, r registry.Repository, exceptions []policy.Exception) (out retention.Repository, err error) {
	out.Name = r.Name
	var rules registry.Rules
	var immutable string
	if err := q.QueryRowContext(ctx, `select immutable_tags, version_tags from registries where id = $1`, r.RegistryID).Scan(&immutable, &rules.VersionTags); err != nil {
		return out, err
	}
	if err := json.Unmarshal([]byte(immutable), &rules.ImmutableTags); err != nil {
		return out, err
	}
	if out.Tags, err = queryAll(ctx, q, func(rows *sql.Rows) (t retention.Tag, err error) {
		var updated sql.NullInt64
		err = rows.Scan(&t.Name, &t.Digest, &updated)
		t.UpdatedAt = at(updated)
		return t, err
	}, `select name, digest, updated_at from tags where repository_id = $1 order by name`, r.ID); err != nil {
		return out, err
	}
	names := make([]string, len(out.Tags))
	for i, t := range out.Tags {
		names[i] = t.Name
	}
	follows := map[string]string{}
	if rules.VersionTags {
		follows = registry.Following(names)
	}
	for i, t := range out.Tags {
		if rules.Immutable(t.Name) {
			out.Tags[i].Fixed = "it is immutable"
		} else if follows[t.Name] != "" {
			out.Tags[i].Fixed = "it follows versions"
		}
	}
	if out.Manifests, err = queryAll(ctx, q, func(rows *sql.Rows) (m retention.Manifest, err error) {
		var pushed sql.NullInt64
		err = rows.Scan(&m.Digest, &m.Subject, &pushed, &m.Size)
		m.PushedAt = at(pushed)
		return m, err
	}, `select m.digest, coalesce(m.subject, ''), m.pushed_at, m.size + coalesce((select sum(b.size) from repository_blobs b where b.repository_id = m.repository_id
			and b.digest in (select f.digest from manifest_references f where f.manifest_id = m.id)), 0)
		from manifests m where m.repository_id = $1 and not exists (select 1 from attachments a where a.manifest_id = m.id) order by m.digest`, r.ID); err != nil {
		return out, err
	}
	at := make(map[string]int, len(out.Manifests))
	for i, m := range out.Manifests {
		at[m.Digest] = i
	}
	type edge struct{ from, to string }
	edges, err := queryAll(ctx, q, func(rows *sql.Rows) (e edge, err error) {
		err = rows.Scan(&e.from, &e.to)
		return e, err
	}, `select m.digest, f.digest from manifests m join manifest_references f on f.manifest_id = m.id and f.kind = 'manifest' where m.repository_id = $1 order by m.digest, f.position`, r.ID)
	if err != nil {
		return out, err
	}
	for _, e := range edges {
		if i, ok := at[e.from]; ok {
			out.Manifests[i].Children = append(out.Manifests[i].Children, e.to)
		}
	}
	tags := map[string][]string{}
	for _, t := range out.Tags {
		tags[t.Digest] = append(tags[t.Digest], t.Name)
	}
	for i, m := range out.Manifests {
		out.Manifests[i].Excepted = slices.ContainsFunc(exceptions, func(e policy.Exception) bool {
			return e.Covers(r.Registry, r.Name, policy.Names{Digests: []string{m.Digest}, Tags: tags[m.Digest]})
		})
	}
	return out, nil
}

// Retain puts into the trash what is on a list of one repository and what the
// rules still let go: somebody may have pushed since the list was made. It returns
// what went.
func (s *Store) Retain(ctx context.Context, registryName string, rules retention.Rules, name string, list []retention.Entry, now time.Time, d registry.Deletion) (gone []retention.Entry, err error) {
	exceptions, err := s.LiveExceptions(ctx, registryName, now)
	if err != nil {
		return nil, err
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		gone = nil
		r, err := repository(ctx, tx, registryName, name)
		if errors.Is(err, registry.ErrRepositoryUnknown) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.touch(ctx, tx, r.ID); err != nil {
			return err
		}
		held, err := s.held(ctx, tx, r, exceptions)
		if err != nil {
			return err
		}
		still := rules.Of(held, now).Entries
		for _, e := range list {
			if !slices.ContainsFunc(still, func(o retention.Entry) bool {
				return o.Digest == e.Digest && o.Tag == e.Tag && slices.Equal(o.Tags, e.Tags)
			}) {
				continue
			}
			d.Reason = "retention: " + e.Reason
			if e.Tag != "" {
				err = s.retainTag(ctx, tx, r.ID, e.Tag, d)
			} else {
				err = s.retainManifest(ctx, tx, r.ID, e.Digest, d)
			}
			if err != nil {
				return fmt.Errorf("%s@%s: %w", r, e.Digest, err)
			}
			gone = append(gone, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("retention of %s/%s: %w", registryName, name, err)
	}
	return gone, nil
}

func (s *Store) retainTag(ctx context.Context, tx *sql.Tx, repositoryID int64, tag string, d registry.Deletion) error {
	digest, err := s.dropTag(ctx, tx, repositoryID, tag)
	if err != nil {
		return err
	}
	return s.trashTags(ctx, tx, repositoryID, digest, []string{tag}, d)
}

func (s *Store) retainManifest(ctx context.Context, tx *sql.Tx, repositoryID int64, digest string, d registry.Deletion) error {
	tags, err := s.dropTags(ctx, tx, repositoryID, digest)
	if err != nil {
		return err
	}
	if err := s.trashManifest(ctx, tx, repositoryID, digest, tags, d); err != nil {
		return err
	}
	if err := removeAttachments(ctx, tx, repositoryID, digest, ""); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `delete from manifests where repository_id = $1 and digest = $2`, repositoryID, digest)
	return err
}
