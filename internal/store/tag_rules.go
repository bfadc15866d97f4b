package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pratique/pratique/internal/oci/registry"
)

// rules returns what the registry of a repository asks of tags.
func rules(ctx context.Context, tx *sql.Tx, repositoryID int64) (r registry.Rules, err error) {
	var immutable string
	err = tx.QueryRowContext(ctx, `select g.immutable_tags, g.version_tags from repositories r join registries g on g.id = r.registry_id
		where r.id = $1`, repositoryID).Scan(&immutable, &r.VersionTags)
	if err != nil {
		return r, fmt.Errorf("rules of the registry: %w", noRows(err, missing{registry.ErrRepositoryUnknown}))
	}
	return r, json.Unmarshal([]byte(immutable), &r.ImmutableTags)
}

const putTag = `insert into tags (repository_id, name, digest, updated_at) values ($1, $2, $3, $4)
	on conflict (repository_id, name) do update set digest = excluded.digest, updated_at = excluded.updated_at`

// setTags points tags of a repository at a manifest, as far as its rules let them,
// and then those that follow versions. The repository is locked.
func (s *Store) setTags(ctx context.Context, tx *sql.Tx, repositoryID int64, digest string, tags []string) error {
	if len(tags) == 0 {
		return nil
	}
	rules, err := rules(ctx, tx, repositoryID)
	if err != nil {
		return err
	}
	var before map[string]string
	if len(rules.ImmutableTags) > 0 || rules.VersionTags {
		if before, err = s.tagDigests(ctx, tx, repositoryID); err != nil {
			return err
		}
	}
	after := make(map[string]string, len(before)+len(tags))
	maps.Copy(after, before)
	for _, tag := range tags {
		if old, ok := before[tag]; ok && old != digest && rules.Immutable(tag) {
			return &registry.ImmutableError{Tag: tag, Digest: old}
		}
		after[tag] = digest
	}
	if rules.VersionTags {
		follows := registry.Following(slices.Collect(maps.Keys(after)))
		for _, tag := range tags {
			if version, ok := follows[tag]; ok && after[version] != digest {
				return &registry.FollowsError{Tag: tag, Version: version}
			}
		}
	}
	now := micros(s.now())
	for _, tag := range tags {
		if _, err := tx.ExecContext(ctx, putTag, repositoryID, tag, digest, now); err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
	}
	if !rules.VersionTags {
		return nil
	}
	return s.follow(ctx, tx, repositoryID, registry.Following(slices.Collect(maps.Keys(before))), after)
}

// tagDigests are the tags of a repository.
func (s *Store) tagDigests(ctx context.Context, tx *sql.Tx, repositoryID int64) (map[string]string, error) {
	tags := make(map[string]string)
	_, err := queryAll(ctx, tx, func(rows *sql.Rows) (none struct{}, err error) {
		var name, digest string
		err = rows.Scan(&name, &digest)
		tags[name] = digest
		return none, err
	}, `select name, digest from tags where repository_id = $1`, repositoryID)
	return tags, err
}

// follow points the tags that follow versions at these, and removes those that
// followed one before and have none left.
func (s *Store) follow(ctx context.Context, tx *sql.Tx, repositoryID int64, before map[string]string, tags map[string]string) error {
	follows := registry.Following(slices.Collect(maps.Keys(tags)))
	now := micros(s.now())
	for tag, version := range follows {
		if tags[tag] == tags[version] {
			continue
		}
		if _, err := tx.ExecContext(ctx, putTag, repositoryID, tag, tags[version], now); err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
	}
	for tag := range before {
		if _, still := follows[tag]; still {
			continue
		}
		if _, err := tx.ExecContext(ctx, `delete from tags where repository_id = $1 and name = $2`, repositoryID, tag); err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
	}
	return nil
}

// dropTag removes a tag as far as the rules let it go, and returns what it named.
func (s *Store) dropTag(ctx context.Context, tx *sql.Tx, repositoryID int64, tag string) (digest string, err error) {
	rules, err := rules(ctx, tx, repositoryID)
	if err != nil {
		return "", err
	}
	tags, err := s.tagDigests(ctx, tx, repositoryID)
	if err != nil {
		return "", err
	}
	digest, ok := tags[tag]
	if !ok {
		return "", missing{registry.ErrManifestUnknown}
	}
	follows := registry.Following(slices.Collect(maps.Keys(tags)))
	if version, ok := follows[tag]; ok && rules.VersionTags {
		return "", &registry.FollowsError{Tag: tag, Version: version}
	}
	if rules.Immutable(tag) {
		return "", &registry.ImmutableError{Tag: tag, Digest: digest}
	}
	if _, err := tx.ExecContext(ctx, `delete from tags where repository_id = $1 and name = $2`, repositoryID, tag); err != nil {
		return "", err
	}
	if !rules.VersionTags {
		return digest, nil
	}
	delete(tags, tag)
	return digest, s.follow(ctx, tx, repositoryID, follows, tags)
}

// dropTags removes the tags of a manifest that goes, and returns them.
func (s *Store) dropTags(ctx context.Context, tx *sql.Tx, repositoryID int64, digest string) (dropped []string, err error) {
	rules, err := rules(ctx, tx, repositoryID)
	if err != nil {
		return nil, err
	}
	if dropped, err = queryAll(ctx, tx, scanString, `delete from tags where repository_id = $1 and digest = $2 returning name`, repositoryID, digest); err != nil || len(dropped) == 0 {
		return dropped, err
	}
	tags, err := s.tagDigests(ctx, tx, repositoryID)
	if err != nil {
		return nil, err
	}
	before := slices.Collect(maps.Keys(tags))
	follows := registry.Following(append(before, dropped...))
	for _, tag := range dropped {
		if _, ok := follows[tag]; rules.Immutable(tag) && !(ok && rules.VersionTags) {
			return nil, &registry.ImmutableError{Tag: tag, Digest: digest}
		}
	}
	if !rules.VersionTags {
		return dropped, nil
	}
	return dropped, s.follow(ctx, tx, repositoryID, follows, tags)
}

// followAll has the tags of all repositories of a registry follow versions, each in
// a transaction: others want to push.
func (s *Store) followAll(ctx context.Context, registryID int64) error {
	ids, err := queryAll(ctx, s.read, scanID, `select id from repositories where registry_id = $1 order by id`, registryID)
	if err != nil {
		return fmt.Errorf("repositories of registry %d: %w", registryID, err)
	}
	for _, id := range ids {
		err := s.tx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, `update repositories set updated_at = updated_at where id = $1`, id); err != nil {
				return err
			}
			tags, err := s.tagDigests(ctx, tx, id)
			if err != nil {
				return err
			}
			return s.follow(ctx, tx, id, nil, tags)
		})
		if err != nil {
			return fmt.Errorf("tags of repository %d: %w", id, err)
		}
	}
	return nil
}
