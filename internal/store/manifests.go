package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/oci/registry"
)

const manifestColumns = `m.id, m.digest, m.media_type, m.artifact_type, coalesce(m.subject, ''), m.annotations, m.content, m.pushed_by, m.pushed_at`

func scanManifest(row *sql.Row) (*registry.Manifest, error) {
	var m registry.Manifest
	var annotations string
	var pushed sql.NullInt64
	err := row.Scan(&m.ID, &m.Digest, &m.MediaType, &m.ArtifactType, &m.Subject, &annotations, &m.Content, &m.PushedBy, &pushed)
	if err != nil {
		return nil, noRows(err, missing{registry.ErrManifestUnknown})
	}
	m.PushedAt = at(pushed)
	if err := json.Unmarshal([]byte(annotations), &m.Annotations); err != nil {
		return nil, fmt.Errorf("annotations: %w", err)
	}
	return &m, nil
}

// Manifest returns a manifest of a repository by digest, without its
// References, or registry.ErrManifestUnknown.
func (s *Store) Manifest(ctx context.Context, repositoryID int64, digest string) (*registry.Manifest, error) {
	m, err := scanManifest(s.read.QueryRowContext(ctx,
		`select `+manifestColumns+` from manifests m where m.repository_id = $1 and m.digest = $2`, repositoryID, digest))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", digest, err)
	}
	return m, nil
}

// TaggedManifest returns the manifest that a tag names, or registry.ErrManifestUnknown.
func (s *Store) TaggedManifest(ctx context.Context, repositoryID int64, tag string) (*registry.Manifest, error) {
	m, err := scanManifest(s.read.QueryRowContext(ctx, `select `+manifestColumns+`
		from tags t join manifests m on m.repository_id = t.repository_id and m.digest = t.digest
		where t.repository_id = $1 and t.name = $2`, repositoryID, tag))
	if err != nil {
		return nil, fmt.Errorf("tag %s: %w", tag, err)
	}
	return m, nil
}

// ResolveManifest returns digest and media type of the manifest that a tag, or
// else a digest, names, or registry.ErrManifestUnknown.
func (s *Store) ResolveManifest(ctx context.Context, repositoryID int64, reference string) (digest, mediaType string, err error) {
	query := `select m.digest, m.media_type from manifests m where m.repository_id = $1 and m.digest = $2`
	if !strings.Contains(reference, ":") {
		query = `select m.digest, m.media_type from tags t join manifests m on m.repository_id = t.repository_id and m.digest = t.digest
			where t.repository_id = $1 and t.name = $2`
	}
	if err := s.read.QueryRowContext(ctx, query, repositoryID, reference).Scan(&digest, &mediaType); err != nil {
		return "", "", fmt.Errorf("manifest %s: %w", reference, noRows(err, missing{registry.ErrManifestUnknown}))
	}
	return digest, mediaType, nil
}

// PutManifest stores a manifest and points the tags at it, if all that it
// refers to is in the repository; else it returns *registry.MissingError and
// nothing changes. It returns *registry.ImmutableError or *registry.FollowsError
// where the rules of the registry keep a tag where it is. A manifest that is there already keeps who pushed it first
// and when. Its ID and PushedAt are filled in.
func (s *Store) PutManifest(ctx context.Context, repositoryID int64, m *registry.Manifest, tags []string) error {
	annotations, err := annotationsText(m)
	if err != nil {
		return err
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.touch(ctx, tx, repositoryID); err != nil {
			return err
		}
		if err := checkReferences(ctx, tx, repositoryID, m.References); err != nil {
			return err
		}
		if err := s.insertManifest(ctx, tx, repositoryID, m, annotations); err != nil {
			return err
		}
		if err := pushedHere(ctx, tx, repositoryID, m.Digest, tags); err != nil {
			return err
		}
		return s.setTags(ctx, tx, repositoryID, m.Digest, tags)
	})
	if err != nil {
		return fmt.Errorf("store manifest %s: %w", m.Digest, err)
	}
	return nil
}

func annotationsText(m *registry.Manifest) (string, error) {
	if len(m.Annotations) == 0 {
		return "{}", nil
	}
	text, err := json.Marshal(m.Annotations)
	if err != nil {
		return "", fmt.Errorf("manifest %s: annotations: %w", m.Digest, err)
	}
	return string(text), nil
}

func (s *Store) insertManifest(ctx context.Context, tx *sql.Tx, repositoryID int64, m *registry.Manifest, annotations string) error {
	now := s.now()
	var pushed sql.NullInt64
	err := tx.QueryRowContext(ctx, `update manifests set media_type = $1, artifact_type = $2, subject = $3
		where repository_id = $4 and digest = $5 returning id, pushed_by, pushed_at`,
		m.MediaType, m.ArtifactType, nullText(m.Subject), repositoryID, m.Digest).Scan(&m.ID, &m.PushedBy, &pushed)
	if err == nil {
		m.PushedAt = at(pushed)
		// Of another media type, the same bytes can be read otherwise.
		for _, stale := range []string{`delete from manifest_references where manifest_id = $1`, `delete from bills where manifest_id = $1`} {
			if _, err := tx.ExecContext(ctx, stale, m.ID); err != nil {
				return err
			}
		}
		return s.insertReferences(ctx, tx, m)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	m.PushedAt = now.UTC().Truncate(1000)
	err = tx.QueryRowContext(ctx, `insert into manifests
			(repository_id, digest, media_type, artifact_type, subject, size, annotations, content, pushed_by, pushed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning id`,
		repositoryID, m.Digest, m.MediaType, m.ArtifactType, nullText(m.Subject), len(m.Content),
		annotations, m.Content, m.PushedBy, micros(now)).Scan(&m.ID)
	if err != nil {
		return err
	}
	return s.insertReferences(ctx, tx, m)
}

func nullText(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

func (s *Store) insertReferences(ctx context.Context, tx *sql.Tx, m *registry.Manifest) error {
	values := make([]any, 0, 4*len(m.References))
	for i, r := range m.References {
		values = append(values, m.ID, string(r.Kind), i, r.Digest)
	}
	if err := s.insertRows(ctx, tx, `manifest_references (manifest_id bigint, kind text, position integer, digest text)`, values); err != nil {
		return err
	}
	return s.insertBills(ctx, tx, m)
}

// checkReferences returns *registry.MissingError where the repository lacks
// something, or holds it in another size.
func checkReferences(ctx context.Context, tx *sql.Tx, repositoryID int64, references []registry.Reference) error {
	var blobs, manifests []any
	for _, r := range references {
		if r.Kind == registry.KindManifest {
			manifests = append(manifests, r.Digest)
		} else {
			blobs = append(blobs, r.Digest)
		}
	}
	haveBlobs, err := sizes(ctx, tx, `repository_blobs`, repositoryID, blobs)
	if err != nil {
		return err
	}
	haveManifests, err := sizes(ctx, tx, `manifests`, repositoryID, manifests)
	if err != nil {
		return err
	}
	var lack registry.MissingError
	for _, r := range references {
		have := haveBlobs
		if r.Kind == registry.KindManifest {
			have = haveManifests
		}
		size, ok := have[r.Digest]
		if !ok {
			size = -1
		}
		if size == r.Size || !ok && r.Optional {
			continue
		}
		lack.References = append(lack.References, r)
		lack.Sizes = append(lack.Sizes, size)
	}
	if len(lack.References) > 0 {
		return &lack
	}
	return nil
}

// sizes returns those of the digests that table holds for a repository.
func sizes(ctx context.Context, tx *sql.Tx, table string, repositoryID int64, digests []any) (map[string]int64, error) {
	found := make(map[string]int64, len(digests))
	for batch := range slices.Chunk(digests, 500) {
		rows, err := tx.QueryContext(ctx, `select digest, size from `+table+` where repository_id = $1 and digest in (`+list(2, len(batch))+`)`,
			append([]any{repositoryID}, batch...)...)
		if err != nil {
			return nil, err
		}
		type row struct {
			digest string
			size   int64
		}
		all, err := collect(rows, func(r *row) []any { return []any{&r.digest, &r.size} })
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			found[r.digest] = r.size
		}
	}
	return found, nil
}

// list writes n parameters from $first on: "$2,$3".
func list(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

// DeleteManifest removes a manifest with its tags, which it returns, and with
// the bills that were attached to it here, or returns registry.ErrManifestUnknown;
// *registry.ImmutableError where one of the tags stays. It goes to the trash.
func (s *Store) DeleteManifest(ctx context.Context, repositoryID int64, digest string, d registry.Deletion) (tags []string, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.touch(ctx, tx, repositoryID); err != nil {
			return err
		}
		tags, err = s.removeManifest(ctx, tx, repositoryID, digest, nil, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("delete manifest %s: %w", digest, err)
	}
	return tags, nil
}

// removeManifest is DeleteManifest in a transaction that holds the repository. More
// tags went before, and come back with it.
func (s *Store) removeManifest(ctx context.Context, tx *sql.Tx, repositoryID int64, digest string, more []string, d registry.Deletion) (tags []string, err error) {
	if tags, err = s.dropTags(ctx, tx, repositoryID, digest); err != nil {
		return nil, err
	}
	if err := s.trashManifest(ctx, tx, repositoryID, digest, append(more, tags...), d); err != nil {
		return nil, err
	}
	if err := removeAttachments(ctx, tx, repositoryID, digest, ""); err != nil {
		return nil, err
	}
	done, err := tx.ExecContext(ctx, `delete from manifests where repository_id = $1 and digest = $2`, repositoryID, digest)
	if err != nil {
		return nil, err
	}
	return tags, changedOne(done, missing{registry.ErrManifestUnknown})
}

// DeleteTag removes a tag, or returns registry.ErrManifestUnknown,
// *registry.ImmutableError or *registry.FollowsError. It goes to the trash.
func (s *Store) DeleteTag(ctx context.Context, repositoryID int64, tag string, d registry.Deletion) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.touch(ctx, tx, repositoryID); err != nil {
			return err
		}
		digest, err := s.dropTag(ctx, tx, repositoryID, tag)
		if err != nil {
			return err
		}
		return s.trashTags(ctx, tx, repositoryID, digest, []string{tag}, d)
	})
	if err != nil {
		return fmt.Errorf("delete tag %s: %w", tag, err)
	}
	return nil
}

// Tags lists at most limit tags of a repository by name, from the one after after on.
func (s *Store) Tags(ctx context.Context, repositoryID int64, after string, limit int) ([]registry.Tag, error) {
	rows, err := s.read.QueryContext(ctx, `select name, digest, updated_at from tags
		where repository_id = $1 and name > $2 order by name limit $3`, repositoryID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	type row struct {
		registry.Tag
		updated sql.NullInt64
	}
	all, err := collect(rows, func(r *row) []any { return []any{&r.Name, &r.Digest, &r.updated} })
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	tags := make([]registry.Tag, len(all))
	for i, r := range all {
		r.UpdatedAt = at(r.updated)
		tags[i] = r.Tag
	}
	return tags, nil
}

// Referrers lists manifests whose subject is a digest, by digest, from the one
// after after on: at most limit, and no more than limitBytes of annotations,
// but always one. An artifactType that is not empty leaves out the others.
// more says that the list goes on.
func (s *Store) Referrers(ctx context.Context, repositoryID int64, subject, artifactType, after string, limit, limitBytes int) (found []registry.Referrer, more bool, err error) {
	rows, err := s.read.QueryContext(ctx, `select digest, media_type, artifact_type, size, annotations from manifests
		where repository_id = $1 and subject = $2 and digest > $3 and ($4 = '' or artifact_type = $4)
		order by digest limit $5`, repositoryID, subject, after, artifactType, limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("list referrers of %s: %w", subject, err)
	}
	defer rows.Close()
	for total := 0; rows.Next(); {
		var r registry.Referrer
		var annotations string
		if err := rows.Scan(&r.Digest, &r.MediaType, &r.ArtifactType, &r.Size, &annotations); err != nil {
			return nil, false, fmt.Errorf("list referrers of %s: %w", subject, err)
		}
		total += len(annotations)
		if len(found) == limit || len(found) > 0 && total > limitBytes {
			return found, true, nil
		}
		if err := json.Unmarshal([]byte(annotations), &r.Annotations); err != nil {
			return nil, false, fmt.Errorf("referrer %s: annotations: %w", r.Digest, err)
		}
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("list referrers of %s: %w", subject, err)
	}
	return found, false, nil
}
