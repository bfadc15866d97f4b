package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/vex"
)

// VEXSituation returns what decides what documents come to in an image, or
// vex.ErrNotFound.
func (s *Store) VEXSituation(ctx context.Context, image string) (vex.Situation, error) {
	situation, err := s.vexSituation(ctx, image)
	if err != nil {
		return situation, fmt.Errorf("VEX on image %s: %w", image, err)
	}
	return situation, nil
}

func (s *Store) vexSituation(ctx context.Context, image string) (vex.Situation, error) {
	v := vex.Situation{Image: image, Names: make(map[int64][]string)}
	err := s.read.QueryRowContext(ctx, `select inventory_id is not null from images where digest = $1`, image).Scan(&v.Analysed)
	if err != nil {
		return v, noRows(err, missing{vex.ErrNotFound})
	}
	if v.Live, err = liveIn(ctx, s.read, image, micros(s.now())); err != nil {
		return v, err
	}
	if v.Findings, err = s.ImageFindings(ctx, image); err != nil {
		return v, err
	}
	if err := s.vexSubject(ctx, &v); err != nil {
		return v, err
	}
	if v.Rulings, err = queryAll(ctx, s.read, func(rows *sql.Rows) (r vex.Ruling, err error) {
		err = rows.Scan(&r.DocumentID, &r.VulnerabilityID, &r.By)
		return r, err
	}, `select distinct x.document_id, a.vulnerability_id, a.ended_by from assessments a join vex_assessments x on x.assessment_id = a.id
		where a.scope_kind = 'image' and a.scope_value = $1 and a.ended_at is not null and a.ended_by <> '' and not x.settled
		order by 1, 2, 3`, image); err != nil {
		return v, err
	}
	names := make(map[string]bool)
	for _, f := range v.Findings {
		if v.Names[f.VulnerabilityID] == nil {
			v.Names[f.VulnerabilityID] = []string{f.Vulnerability}
			names[f.Vulnerability] = true
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(v.Names)), relationRows) {
		aliases, err := queryAll(ctx, s.read, scanNamed, `select distinct a.alias, a.vulnerability_id from vulnerability_aliases a
			where a.vulnerability_id in (`+parameters(1, len(chunk))+`)
				and not exists (select 1 from vulnerability_aliases o where o.alias = a.alias and o.vulnerability_id <> a.vulnerability_id)
				and not exists (select 1 from vulnerabilities v where v.name = a.alias)
			order by a.alias`, anys(chunk)...)
		if err != nil {
			return v, err
		}
		for _, a := range aliases {
			v.Names[a.id] = append(v.Names[a.id], a.name)
			names[a.name] = true
		}
	}
	v.Claims, err = s.vexClaims(ctx, slices.Sorted(maps.Keys(names)), v.Subject.Digests)
	return v, err
}

func anys[T any](list []T) []any {
	all := make([]any, len(list))
	for i, item := range list {
		all[i] = item
	}
	return all
}

// vexSubject reads how products may name the image.
func (s *Store) vexSubject(ctx context.Context, v *vex.Situation) (err error) {
	if v.Subject.Digests, err = queryAll(ctx, s.read, scanString, `with recursive above (digest, depth) as (
			select cast($1 as text), 0
			union
			select m.digest, a.depth + 1 from above a
			join manifest_references f on f.digest = a.digest and f.kind = 'manifest'
			join manifests m on m.id = f.manifest_id
			where a.depth < 4
		)
		select distinct digest from above order by digest limit 1000`, v.Image); err != nil {
		return err
	}
	type row struct {
		registry, repository string
		honours              bool
	}
	places, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.registry, &r.repository, &r.honours)
		return r, err
	}, `select distinct g.name, p.name, g.honour_vex from manifests m
		join repositories p on p.id = m.repository_id join registries g on g.id = p.registry_id
		where m.digest in (`+parameters(1, len(v.Subject.Digests))+`) order by g.name, p.name`, anys(v.Subject.Digests)...)
	for _, p := range places {
		v.Subject.Names = append(v.Subject.Names, path.Base(p.repository))
		if !p.honours && !slices.Contains(v.Refusing, p.registry) {
			v.Refusing = append(v.Refusing, p.registry)
		}
	}
	return err
}

// vexClaims are the statements on names that are about one of the images, or
// about none in particular.
func (s *Store) vexClaims(ctx context.Context, names, images []string) ([]vex.Claim, error) {
	type key struct {
		document int64
		position int
	}
	const most = 64 << 20 // bytes: anyone who may push can attach documents
	claims, size := make(map[key]vex.Claim), 0
	about := anys(append([]string{""}, images...))
	for chunk := range slices.Chunk(names, relationRows) {
		found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (c vex.Claim, err error) {
			var text string
			if err := rows.Scan(&c.DocumentID, &c.Position, &c.Identifier, &c.Author, &c.Referrer, &c.Repository, &c.BroughtBy, &c.Refusing, &text); err != nil {
				return c, err
			}
			if size += len(text); size > most {
				return c, fmt.Errorf("%w: more than %d bytes", vex.ErrTooMuch, most)
			}
			return c, json.Unmarshal([]byte(text), &c.Statement)
		}, `select d.id, s.position, d.identifier, d.author, d.manifest <> '', d.repository, d.brought_by,
				case when g.honour_vex then '' else coalesce(g.name, '') end, s.statement
			from (select distinct document_id, position from vex_names
				where name in (`+parameters(1, len(chunk))+`) and image in (`+parameters(1+len(chunk), len(about))+`)) n
			join vex_documents d on d.id = n.document_id
			join vex_statements s on s.document_id = n.document_id and s.position = n.position
			left join manifests m on m.id = d.manifest_id
			left join repositories p on p.id = m.repository_id
			left join registries g on g.id = p.registry_id
			where d.manifest = '' or d.manifest_id is not null`, append(anys(chunk), about...)...)
		if err != nil {
			return nil, fmt.Errorf("statements: %w", err)
		}
		for _, c := range found {
			claims[key{c.DocumentID, c.Position}] = c
		}
	}
	list := slices.Collect(maps.Values(claims))
	slices.SortFunc(list, func(a, b vex.Claim) int {
		if a.DocumentID != b.DocumentID {
			return int(a.DocumentID - b.DocumentID)
		}
		return a.Position - b.Position
	})
	return list, nil
}

// liveIn lists the live assessments in the scope of an image.
func liveIn(ctx context.Context, q querier, image string, now int64) ([]vex.Live, error) {
	live, err := queryAll(ctx, q, func(rows *sql.Rows) (l vex.Live, err error) {
		err = rows.Scan(&l.AssessmentID, &l.VulnerabilityID, &l.Type, &l.Comment, &l.Author, &l.DocumentID)
		return l, err
	}, `select a.id, a.vulnerability_id, t.name, a.comment, a.author, coalesce(x.document_id, 0)
		from assessments a join assessment_types t on t.id = a.type_id left join vex_assessments x on x.assessment_id = a.id
		where a.scope_kind = 'image' and a.scope_value = $1 and a.ended_at is null and (a.expires_at is null or a.expires_at > $2)
		order by a.id`, image, now)
	if err != nil {
		return nil, fmt.Errorf("live assessments: %w", err)
	}
	return live, nil
}

// SettleVEX carries out a plan in one step, or returns vex.ErrRaced. typ names
// the type of new assessments. It reports whether any assessment changed.
func (s *Store) SettleVEX(ctx context.Context, p vex.Plan, typ string) (changed bool, err error) {
	changed = len(p.Ends)+len(p.Creates) > 0
	if !changed {
		same, err := sameOutcomes(ctx, s.read, p)
		if err != nil || same {
			return false, err
		}
	}
	err = s.tx(ctx, func(tx *sql.Tx) error { return s.settleVEX(ctx, tx, p, typ) })
	if conflicting(err) { // someone assessed the same between our look and our insert
		err = vex.ErrRaced
	}
	if err != nil {
		return false, fmt.Errorf("settle VEX on image %s: %w", p.Image, err)
	}
	return changed, nil
}

func (s *Store) settleVEX(ctx context.Context, tx *sql.Tx, p vex.Plan, typ string) error {
	now := micros(s.now())
	live, err := liveIn(ctx, tx, p.Image, now)
	if err != nil {
		return err
	}
	if !slices.Equal(live, p.Live) {
		return vex.ErrRaced
	}
	for _, end := range p.Ends {
		if err := s.endVEXAssessment(ctx, tx, end.AssessmentID, end.Author, assess.Withdrawn); err != nil {
			return err
		}
	}
	made := make(map[int64]int64)
	for _, c := range p.Creates {
		if made[c.VulnerabilityID], err = s.createVEXAssessment(ctx, tx, p, c, typ, now); err != nil {
			return err
		}
	}
	documents := make(map[int64]bool)
	var rows []any
	for _, o := range p.Outcomes {
		documents[o.DocumentID] = true
		id := o.AssessmentID
		if id == 0 && o.State == vex.Applied {
			id = made[o.VulnerabilityID]
		}
		rows = append(rows, o.DocumentID, o.Position, p.Image, string(o.State), o.Reason, sql.NullInt64{Int64: id, Valid: id != 0})
	}
	for id := range documents {
		if _, err := oneVEXDocument(ctx, tx, `d.id = $1`, id); errors.Is(err, vex.ErrNotFound) {
			return vex.ErrRaced
		} else if err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `delete from vex_outcomes where image = $1`, p.Image); err != nil {
		return err
	}
	return s.insertRows(ctx, tx, `vex_outcomes (document_id bigint, position integer, image text, state text, reason text, assessment_id bigint)`, rows)
}

// createVEXAssessment takes the place of the assessment of another document.
func (s *Store) createVEXAssessment(ctx context.Context, tx *sql.Tx, p vex.Plan, c vex.Creation, typ string, now int64) (id int64, err error) {
	for _, l := range p.Live {
		if l.VulnerabilityID == c.VulnerabilityID {
			if err := s.endVEXAssessment(ctx, tx, l.AssessmentID, c.Author, assess.Superseded); err != nil {
				return 0, err
			}
		}
	}
	// One whose time has come, but which the job has not reached yet.
	if _, err := s.end(ctx, tx, ending{time.UnixMicro(now), assess.System, assess.Expired, ""},
		`vulnerability_id = $7 and scope_kind = 'image' and scope_value = $8 and expires_at <= $1`, c.VulnerabilityID, p.Image); err != nil {
		return 0, err
	}
	kind, err := typeByName(ctx, tx, typ)
	if err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, `insert into assessments (vulnerability_id, type_id, scope_kind, scope_value, comment, author, created_at)
		values ($1, $2, 'image', $3, $4, $5, $6) returning id`, c.VulnerabilityID, kind.ID, p.Image, c.Comment, c.Author, now).Scan(&id); err != nil {
		return 0, err
	}
	if err := s.record(ctx, tx, c.Author, assess.Created, "VEX document "+strconv.FormatInt(c.DocumentID, 10), []int64{id}); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `insert into vex_assessments (assessment_id, document_id) values ($1, $2)`, id, c.DocumentID); err != nil {
		return 0, err
	}
	return id, s.auditIn(ctx, tx, c.Author, "assessment.create", "assessment "+strconv.FormatInt(id, 10), struct {
		Vulnerability string `json:"vulnerability"`
		Type          string `json:"type"`
		Image         string `json:"image"`
		Comment       string `json:"comment"`
		Document      int64  `json:"vex_document"`
	}{c.Vulnerability, typ, p.Image, c.Comment, c.DocumentID})
}

// endVEXAssessment ends a live assessment that stands on a document, or returns
// vex.ErrRaced.
func (s *Store) endVEXAssessment(ctx context.Context, tx *sql.Tx, id int64, by string, reason assess.EndReason) error {
	ended, err := s.end(ctx, tx, ending{s.now(), by, reason, ""}, `id = $7`, id)
	if err != nil {
		return err
	}
	if len(ended) == 0 {
		return vex.ErrRaced
	}
	if _, err := tx.ExecContext(ctx, `update vex_assessments set settled = true where assessment_id = $1`, id); err != nil {
		return err
	}
	if reason != assess.Withdrawn {
		return nil
	}
	return s.auditIn(ctx, tx, by, "assessment.withdraw", "assessment "+strconv.FormatInt(id, 10), struct{}{})
}

// sameOutcomes reports whether a plan that changes no assessment changes anything.
func sameOutcomes(ctx context.Context, q querier, p vex.Plan) (bool, error) {
	stored, err := queryAll(ctx, q, func(rows *sql.Rows) (o vex.Outcome, err error) {
		o.Image = p.Image
		err = rows.Scan(&o.DocumentID, &o.Position, &o.State, &o.Reason, &o.AssessmentID)
		return o, err
	}, `select document_id, position, state, reason, coalesce(assessment_id, 0) from vex_outcomes where image = $1`, p.Image)
	if err != nil {
		return false, fmt.Errorf("outcomes in image %s: %w", p.Image, err)
	}
	if len(stored) != len(p.Outcomes) {
		return false, nil
	}
	known := make(map[vex.Outcome]bool, len(stored))
	for _, o := range stored {
		known[o] = true
	}
	for _, o := range p.Outcomes {
		o.VulnerabilityID = 0
		if !known[o] {
			return false, nil
		}
	}
	return true, nil
}
