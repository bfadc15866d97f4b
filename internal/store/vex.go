package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/vex"
)

const vexDocumentColumns = `d.id, d.digest, d.image, d.manifest, coalesce(d.manifest_id, 0), d.repository, d.brought_by, d.identifier, d.author,
		d.format, d.version, d.issued_at, d.skipped, d.error, d.statements, d.created_at`

func scanVEXDocument(rows *sql.Rows) (d vex.Stored, err error) {
	var issued, created sql.NullInt64
	var skipped string
	if err := rows.Scan(&d.ID, &d.Digest, &d.Image, &d.Manifest, &d.ManifestID, &d.Repository, &d.BroughtBy, &d.Document.ID, &d.Author,
		&d.Format, &d.Version, &issued, &skipped, &d.Error, &d.StatementCount, &created); err != nil {
		return d, err
	}
	d.Issued, d.CreatedAt = at(issued), at(created)
	return d, json.Unmarshal([]byte(skipped), &d.Skipped)
}

// AddVEXDocument stores a document unless it is there: the same bytes of the
// same manifest, or uploaded for the same image. It returns the one that is
// there, without its statements, and whether it is new.
func (s *Store) AddVEXDocument(ctx context.Context, d vex.Stored) (stored vex.Stored, added bool, err error) {
	skipped, err := json.Marshal(d.Skipped)
	if err != nil {
		return stored, false, fmt.Errorf("VEX document %q: %w", d.Document.ID, err)
	}
	if d.Skipped == nil {
		skipped = []byte("[]")
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		added = false
		manifest := sql.NullInt64{Int64: d.ManifestID, Valid: d.ManifestID != 0}
		var id int64
		err := tx.QueryRowContext(ctx, `insert into vex_documents (digest, image, manifest, manifest_id, repository, brought_by, identifier, author,
				format, version, issued_at, skipped, error, statements, created_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) on conflict do nothing returning id`,
			d.Digest, d.Image, d.Manifest, manifest, d.Repository, d.BroughtBy, d.Document.ID, d.Author,
			d.Format, d.Version, nullMicros(d.Issued), string(skipped), d.Error, len(d.Statements), micros(s.now())).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			where, args := `d.manifest = '' and d.digest = $1 and d.image = $2`, []any{d.Digest, d.Image}
			if d.ManifestID != 0 {
				where, args = `d.manifest_id = $1 and d.digest = $2`, []any{d.ManifestID, d.Digest}
			}
			stored, err = oneVEXDocument(ctx, tx, where, args...)
			return err
		}
		if err != nil {
			return err
		}
		added = true
		if err := s.insertVEXStatements(ctx, tx, id, d); err != nil {
			return err
		}
		if stored, err = oneVEXDocument(ctx, tx, `d.id = $1`, id); err != nil {
			return err
		}
		return s.auditVEXDocument(ctx, tx, "vex-document.create", d.BroughtBy, stored)
	})
	if err != nil {
		return stored, false, fmt.Errorf("store VEX document %q: %w", d.Document.ID, err)
	}
	return stored, added, nil
}

func (s *Store) insertVEXStatements(ctx context.Context, tx *sql.Tx, id int64, d vex.Stored) error {
	var statements, names []any
	for i, statement := range d.Statements {
		text, err := json.Marshal(statement)
		if err != nil {
			return err
		}
		statements = append(statements, id, i, string(text))
		for _, name := range statement.Names() {
			names = append(names, name, d.Image, id, i)
		}
	}
	if err := s.insertRows(ctx, tx, `vex_statements (document_id bigint, position integer, statement text)`, statements); err != nil {
		return err
	}
	return s.insertRows(ctx, tx, `vex_names (name text, image text, document_id bigint, position integer)`, names)
}

// auditVEXDocument writes an entry in the transaction of the change.
func (s *Store) auditVEXDocument(ctx context.Context, tx *sql.Tx, action, by string, d vex.Stored) error {
	return s.auditIn(ctx, tx, by, action, "vex-document "+strconv.FormatInt(d.ID, 10), struct {
		Identifier string `json:"identifier"`
		Author     string `json:"author"`
		Image      string `json:"image,omitempty"`
		Repository string `json:"repository,omitempty"`
		Referrer   string `json:"referrer,omitempty"`
		Digest     string `json:"digest"`
	}{d.Document.ID, d.Author, d.Image, d.Repository, d.Manifest, d.Digest})
}

func (s *Store) auditIn(ctx context.Context, tx *sql.Tx, actor, action, object string, detail any) error {
	text, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `insert into audit_log (at, actor, action, object, detail) values ($1, $2, $3, $4, $5)`,
		micros(s.now()), actor, action, object, string(text)); err != nil {
		return fmt.Errorf("append to the audit log: %w", err)
	}
	return nil
}

func oneVEXDocument(ctx context.Context, q querier, where string, args ...any) (vex.Stored, error) {
	found, err := queryAll(ctx, q, scanVEXDocument, `select `+vexDocumentColumns+` from vex_documents d where `+where, args...)
	if err == nil && len(found) == 0 {
		err = missing{vex.ErrNotFound}
	}
	if err != nil {
		return vex.Stored{}, err
	}
	return found[0], nil
}

// VEXDocument returns a document without its statements, or vex.ErrNotFound.
func (s *Store) VEXDocument(ctx context.Context, id int64) (vex.Stored, error) {
	d, err := oneVEXDocument(ctx, s.read, `d.id = $1`, id)
	if err != nil {
		return d, fmt.Errorf("VEX document %d: %w", id, err)
	}
	return d, nil
}

// VEXDocuments lists at most limit documents with a smaller id, the newest
// first; a zero id is no bound.
func (s *Store) VEXDocuments(ctx context.Context, before int64, limit int) ([]vex.Stored, error) {
	found, err := queryAll(ctx, s.read, scanVEXDocument, `select `+vexDocumentColumns+` from vex_documents d
		where $1 = 0 or d.id < $1 order by d.id desc limit $2`, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list VEX documents: %w", err)
	}
	return found, nil
}

// VEXStatements lists at most limit statements of a document, from a position
// on, each with at most outcomes of what it came to.
func (s *Store) VEXStatements(ctx context.Context, id int64, from, limit, outcomes int) ([]vex.Followed, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (f vex.Followed, err error) {
		var text string
		if err := rows.Scan(&f.Position, &text, &f.Known); err != nil {
			return f, err
		}
		return f, json.Unmarshal([]byte(text), &f.Statement)
	}, `select s.position, s.statement, exists (select 1 from vex_names n where n.document_id = s.document_id and n.position = s.position
				and (exists (select 1 from vulnerabilities v where v.name = n.name)
					or exists (select 1 from vulnerability_aliases a where a.alias = n.name)))
		from vex_statements s where s.document_id = $1 and s.position >= $2 order by s.position limit $3`, id, from, limit)
	if err != nil {
		return nil, fmt.Errorf("statements of VEX document %d: %w", id, err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	index := make(map[int]int, len(list))
	for i, f := range list {
		index[f.Position] = i
	}
	type row struct {
		vex.Outcome
		count int
	}
	found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.Position, &r.Image, &r.State, &r.Reason, &r.AssessmentID, &r.count)
		r.DocumentID = id
		return r, err
	}, `select position, image, state, reason, assessment_id, n from (
			select position, image, state, reason, coalesce(assessment_id, 0) as assessment_id,
				count(*) over (partition by position) as n, row_number() over (partition by position order by state, image) as i
			from vex_outcomes where document_id = $1 and position between $2 and $3) o
		where i <= $4 order by position, state, image`, id, list[0].Position, list[len(list)-1].Position, outcomes)
	if err != nil {
		return nil, fmt.Errorf("outcomes of VEX document %d: %w", id, err)
	}
	for _, r := range found {
		f := &list[index[r.Position]]
		f.Outcomes, f.OutcomeCount = append(f.Outcomes, r.Outcome), r.count
	}
	return list, nil
}

// DeleteVEXDocument removes a document and ends its assessments, in the name of
// by. It returns the images that it came to anything in, or vex.ErrNotFound.
func (s *Store) DeleteVEXDocument(ctx context.Context, id int64, by string) (images []string, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		d, err := oneVEXDocument(ctx, tx, `d.id = $1`, id)
		if err != nil {
			return err
		}
		if images, err = queryAll(ctx, tx, scanString, `select distinct image from vex_outcomes where document_id = $1 order by image`, id); err != nil {
			return err
		}
		live, err := queryAll(ctx, tx, scanID, `select a.id from vex_assessments x join assessments a on a.id = x.assessment_id
			where x.document_id = $1 and a.ended_at is null order by a.id`, id)
		if err != nil {
			return err
		}
		for _, assessment := range live {
			if err := s.endVEXAssessment(ctx, tx, assessment, by, assess.Withdrawn); err != nil && !errors.Is(err, vex.ErrRaced) {
				return err
			}
		}
		done, err := tx.ExecContext(ctx, `delete from vex_documents where id = $1`, id)
		if err != nil {
			return err
		}
		if err := changedOne(done, missing{vex.ErrNotFound}); err != nil {
			return err
		}
		return s.auditVEXDocument(ctx, tx, "vex-document.delete", by, d)
	})
	if err != nil {
		return nil, fmt.Errorf("delete VEX document %d: %w", id, err)
	}
	return images, nil
}

// VEXOrphans lists the documents of referrers that are gone.
func (s *Store) VEXOrphans(ctx context.Context) ([]int64, error) {
	ids, err := queryAll(ctx, s.read, scanID, `select id from vex_documents where manifest_id is null and manifest <> '' order by id`)
	if err != nil {
		return nil, fmt.Errorf("VEX documents without their referrers: %w", err)
	}
	return ids, nil
}

// AnyVEX reports whether there is any document.
func (s *Store) AnyVEX(ctx context.Context) (any bool, err error) {
	if err := s.read.QueryRowContext(ctx, `select exists (select 1 from vex_documents)`).Scan(&any); err != nil {
		return false, fmt.Errorf("look for VEX documents: %w", err)
	}
	return any, nil
}

// VEXReferrer returns a manifest, or vex.ErrNotFound.
func (s *Store) VEXReferrer(ctx context.Context, manifestID int64) (vex.Referrer, error) {
	r := vex.Referrer{ManifestID: manifestID}
	err := s.read.QueryRowContext(ctx, `select m.digest, m.artifact_type, coalesce(m.subject, ''), g.name || '/' || p.name, m.pushed_by, m.content
		from manifests m join repositories p on p.id = m.repository_id join registries g on g.id = p.registry_id
		where m.id = $1`, manifestID).Scan(&r.Digest, &r.ArtifactType, &r.Subject, &r.Repository, &r.PushedBy, &r.Content)
	if err != nil {
		return r, fmt.Errorf("manifest %d: %w", manifestID, noRows(err, missing{vex.ErrNotFound}))
	}
	return r, nil
}

// VEXImages lists the images to which a document may matter, or any document
// where id is 0, by digest: those that have a vulnerability that it names, that
// it is about, and in which it came to anything.
func (s *Store) VEXImages(ctx context.Context, id int64) ([]string, error) {
	only := func(column string) string {
		if id == 0 {
			return ""
		}
		return ` and ` + column + ` = ` + strconv.FormatInt(id, 10)
	}
	const affected = ` join matches m on m.vulnerability_id = v.id and m.gone_at is null
			join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
			join images i on i.inventory_id = ip.inventory_id
			where n.image = '' and exists (select 1 from manifests mf where mf.digest = i.digest)`
	images, err := queryAll(ctx, s.read, scanString, `with recursive below (digest, depth) as (
			select d.image, 0 from vex_documents d where d.image <> ''`+only("d.id")+`
			union
			select f.digest, b.depth + 1 from below b
			join manifests m on m.digest = b.digest
			join manifest_references f on f.manifest_id = m.id and f.kind = 'manifest'
			where b.depth < 4
		)
		select i.digest from below b join images i on i.digest = b.digest
		union select i.digest from vex_names n join vulnerabilities v on v.name = n.name`+affected+only("n.document_id")+`
		union select i.digest from vex_names n join vulnerability_aliases a on a.alias = n.name join vulnerabilities v on v.id = a.vulnerability_id`+affected+only("n.document_id")+`
		union select i.digest from vex_names n join vulnerabilities v on v.name = n.name`+reportedTo+only("n.document_id")+`
		union select i.digest from vex_names n join vulnerability_aliases a on a.alias = n.name join vulnerabilities v on v.id = a.vulnerability_id`+reportedTo+only("n.document_id")+`
		union select o.image from vex_outcomes o where o.state <> ''`+only("o.document_id")+`
		union select a.scope_value from vex_assessments x join assessments a on a.id = x.assessment_id where a.ended_at is null`+only("x.document_id")+`
		order by 1`)
	if err != nil {
		return nil, fmt.Errorf("images of VEX documents: %w", err)
	}
	return images, nil
}
