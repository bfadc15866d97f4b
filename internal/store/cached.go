package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/upstream"
)

// CachedTag returns what is known of a tag, which may be nothing.
func (s *Store) CachedTag(ctx context.Context, repositoryID int64, tag string) (t upstream.CachedTag, err error) {
	var connector, cached sql.NullString
	var checked sql.NullInt64
	err = s.read.QueryRowContext(ctx, `select t.digest, c.digest, c.connector, c.checked_at
		from tags t left join cached_tags c on c.repository_id = t.repository_id and c.name = t.name
		where t.repository_id = $1 and t.name = $2`, repositoryID, tag).Scan(&t.Digest, &cached, &connector, &checked)
	if errors.Is(err, sql.ErrNoRows) {
		return upstream.CachedTag{}, nil
	}
	if err != nil {
		return upstream.CachedTag{}, fmt.Errorf("tag %s: %w", tag, err)
	}
	t.Connector, t.CheckedAt, t.Local = connector.String, at(checked), cached.String != t.Digest
	return t, nil
}

// CacheManifest stores a manifest that came from upstream, and points a tag at it
// unless that is "". What it refers to need not be here. A manifest that was pushed
// stays one; a tag that was pushed meanwhile stays where it is.
func (s *Store) CacheManifest(ctx context.Context, repositoryID int64, m *registry.Manifest, tag, connector string) error {
	annotations, err := annotationsText(m)
	if err != nil {
		return err
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.touch(ctx, tx, repositoryID); err != nil {
			return err
		}
		now := micros(s.now())
		var known int
		err := tx.QueryRowContext(ctx, `select count(*) from manifests where repository_id = $1 and digest = $2`, repositoryID, m.Digest).Scan(&known)
		if err != nil {
			return err
		}
		if known == 0 {
			if err := s.insertManifest(ctx, tx, repositoryID, m, annotations); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `insert into cached_manifests (repository_id, digest, connector, pulled_at) values ($1, $2, $3, $4)
				on conflict (repository_id, digest) do update set connector = excluded.connector, pulled_at = excluded.pulled_at`,
				repositoryID, m.Digest, connector, now); err != nil {
				return err
			}
		}
		if tag == "" {
			return nil
		}
		var pushed int
		if err := tx.QueryRowContext(ctx, `select count(*) from tags t where t.repository_id = $1 and t.name = $2 and not exists (
			select 1 from cached_tags c where c.repository_id = t.repository_id and c.name = t.name and c.digest = t.digest)`, repositoryID, tag).Scan(&pushed); err != nil || pushed > 0 {
			return err
		}
		if err := s.setTags(ctx, tx, repositoryID, m.Digest, []string{tag}); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `insert into cached_tags (repository_id, name, digest, connector, checked_at) values ($1, $2, $3, $4, $5)
			on conflict (repository_id, name) do update set digest = excluded.digest, connector = excluded.connector, checked_at = excluded.checked_at`,
			repositoryID, tag, m.Digest, connector, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("cache manifest %s: %w", m.Digest, err)
	}
	return nil
}

// pushedHere makes a manifest and tags ones that upstream has no part in.
func pushedHere(ctx context.Context, tx *sql.Tx, repositoryID int64, digest string, tags []string) error {
	if _, err := tx.ExecContext(ctx, `delete from cached_manifests where repository_id = $1 and digest = $2`, repositoryID, digest); err != nil {
		return err
	}
	for _, tag := range tags {
		if _, err := tx.ExecContext(ctx, `delete from cached_tags where repository_id = $1 and name = $2`, repositoryID, tag); err != nil {
			return err
		}
	}
	return nil
}

// TagChecked remembers that upstream says of a tag what it said before.
func (s *Store) TagChecked(ctx context.Context, repositoryID int64, tag string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `update cached_tags set checked_at = $1 where repository_id = $2 and name = $3`, micros(s.now()), repositoryID, tag)
		return err
	})
	if err != nil {
		return fmt.Errorf("tag %s: %w", tag, err)
	}
	return nil
}

// ManifestPulled remembers, to the hour, when a manifest from upstream was pulled.
func (s *Store) ManifestPulled(ctx context.Context, repositoryID int64, digest string) error {
	var last int64
	err := s.read.QueryRowContext(ctx, `select pulled_at from cached_manifests where repository_id = $1 and digest = $2`, repositoryID, digest).Scan(&last)
	now := s.now()
	if errors.Is(err, sql.ErrNoRows) || err == nil && now.Sub(time.UnixMicro(last)) < time.Hour {
		return nil
	}
	if err == nil {
		err = s.tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `update cached_manifests set pulled_at = $1 where repository_id = $2 and digest = $3`, micros(now), repositoryID, digest)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("pull of manifest %s: %w", digest, err)
	}
	return nil
}

// Wanted returns a manifest of a repository that came from upstream and refers to
// a blob, or registry.ErrBlobUnknown.
func (s *Store) Wanted(ctx context.Context, repositoryID int64, digest string) (*registry.Manifest, error) {
	m, err := scanManifest(s.read.QueryRowContext(ctx, `select `+manifestColumns+`
		from manifest_references f join manifests m on m.id = f.manifest_id
		join cached_manifests c on c.repository_id = m.repository_id and c.digest = m.digest
		where f.digest = $1 and m.repository_id = $2 and f.kind <> 'manifest' order by m.id limit 1`, digest, repositoryID))
	if errors.Is(err, registry.ErrManifestUnknown) {
		err = missing{registry.ErrBlobUnknown}
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	return m, nil
}

// Unpulled lists at most limit manifests from upstream that were not pulled since a time.
func (s *Store) Unpulled(ctx context.Context, before time.Time, limit int) ([]upstream.Stale, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (m upstream.Stale, err error) {
		err = rows.Scan(&m.RepositoryID, &m.Digest)
		return m, err
	}, `select repository_id, digest from cached_manifests where pulled_at < $1 order by pulled_at limit $2`, micros(before), limit)
	if err != nil {
		return nil, fmt.Errorf("manifests that nobody pulls: %w", err)
	}
	return list, nil
}

// ForgetCached forgets that a manifest came from upstream.
func (s *Store) ForgetCached(ctx context.Context, repositoryID int64, digest string) error {
	return s.tx(ctx, func(tx *sql.Tx) error { return pushedHere(ctx, tx, repositoryID, digest, nil) })
}
