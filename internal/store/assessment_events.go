package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/pratique/pratique/internal/assess"
)

// draft is an event to be. The actor of an end is who ended it.
type draft struct {
	assessment int64
	actor      string
	action     assess.Action
	note       string
}

// record adds one event for each of the assessments, as they are now.
func (s *Store) record(ctx context.Context, tx *sql.Tx, actor string, action assess.Action, note string, ids []int64) error {
	drafts := make([]draft, len(ids))
	for i, id := range ids {
		drafts[i] = draft{id, actor, action, note}
	}
	return s.recordAll(ctx, tx, drafts)
}

// recordAll adds events to the end of the chain, on which all who add wait for
// one another until the transaction ends.
func (s *Store) recordAll(ctx context.Context, tx *sql.Tx, drafts []draft) error {
	if len(drafts) == 0 {
		return nil
	}
	var length int64
	var hash []byte
	next := func() error {
		return tx.QueryRowContext(ctx, `update assessment_chain set length = length + $1 where id = 1 returning length, hash`, len(drafts)).Scan(&length, &hash)
	}
	err := next()
	if errors.Is(err, sql.ErrNoRows) {
		if _, err := tx.ExecContext(ctx, `insert into assessment_chain (id, length, hash) values (1, 0, $1) on conflict (id) do nothing`, []byte{}); err != nil {
			return fmt.Errorf("history: %w", err)
		}
		err = next()
	}
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	id := length - int64(len(drafts))
	now := s.now()
	var values []any
	for chunk := range slices.Chunk(drafts, assessmentBatch) {
		states, err := assessmentStates(ctx, tx, chunk)
		if err != nil {
			return err
		}
		for _, d := range chunk {
			state, ok := states[d.assessment]
			if !ok {
				return fmt.Errorf("history: assessment %d: %w", d.assessment, assess.ErrNotFound)
			}
			if d.action == assess.Ended {
				d.actor = state.EndedBy
			}
			detail, err := json.Marshal(assess.SnapshotOf(state.Assessment, state.typeID, d.note))
			if err != nil {
				return fmt.Errorf("history: %w", err)
			}
			id++
			e := assess.Event{ID: id, AssessmentID: d.assessment, At: now, Actor: d.actor, Action: d.action, Detail: string(detail)}
			hash = e.Hashed(hash)
			values = append(values, e.ID, e.AssessmentID, state.VulnerabilityID, micros(e.At), e.Actor, string(e.Action), e.Detail, hash)
		}
	}
	if err := s.insertRows(ctx, tx, `assessment_events (id bigint, assessment_id bigint, vulnerability_id bigint, at bigint, actor text,
		action text, detail text, hash bytes)`, values); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `update assessment_chain set hash = $1 where id = 1`, hash); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

// assessmentState is an assessment with the id of its type.
type assessmentState struct {
	assess.Assessment
	typeID int64
}

func assessmentStates(ctx context.Context, q querier, drafts []draft) (map[int64]assessmentState, error) {
	args := make([]any, len(drafts))
	for i, d := range drafts {
		args[i] = d.assessment
	}
	found, err := queryAll(ctx, q, scanAssessment, selectAssessment+`where a.id in (`+parameters(1, len(args))+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	types, err := queryAll(ctx, q, func(rows *sql.Rows) (t [2]int64, err error) {
		err = rows.Scan(&t[0], &t[1])
		return t, err
	}, `select id, type_id from assessments where id in (`+parameters(1, len(args))+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	states := make(map[int64]assessmentState, len(found))
	for _, a := range found {
		states[a.ID] = assessmentState{Assessment: a}
	}
	for _, t := range types {
		state := states[t[0]]
		state.typeID = t[1]
		states[t[0]] = state
	}
	return states, nil
}

func scanEvent(rows *sql.Rows) (e assess.Event, err error) {
	var when sql.NullInt64
	err = rows.Scan(&e.ID, &e.AssessmentID, &when, &e.Actor, &e.Action, &e.Detail, &e.Hash)
	e.At = at(when)
	return e, err
}

const eventColumns = `e.id, e.assessment_id, e.at, e.actor, e.action, e.detail, e.hash`

// AssessmentEvents lists the events of an assessment, or of the vulnerability
// with an id, the newest first.
func (s *Store) AssessmentEvents(ctx context.Context, f assess.EventFilter) ([]assess.Event, error) {
	var where conditions
	if f.AssessmentID != 0 {
		where.add(`e.assessment_id = ?`, f.AssessmentID)
	}
	if f.VulnerabilityID != 0 {
		where.add(`e.vulnerability_id = ?`, f.VulnerabilityID)
	}
	if f.Before > 0 {
		where.add(`e.id < ?`, f.Before)
	}
	where.args = append(where.args, f.Limit)
	events, err := queryAll(ctx, s.read, scanEvent, `select `+eventColumns+` from assessment_events e `+where.String()+
		fmt.Sprintf(` order by e.id desc limit $%d`, len(where.args)), where.args...)
	if err != nil {
		return nil, fmt.Errorf("history of assessments: %w", err)
	}
	return events, nil
}

// VulnerabilityID returns the id of a vulnerability by its name, or by an alias
// that is that of no other, or ErrNotFound.
func (s *Store) VulnerabilityID(ctx context.Context, name string) (int64, error) {
	known, err := vulnerabilitiesNamed(ctx, s.read, []string{name})
	if err != nil {
		return 0, err
	}
	v, ok := known[name]
	if !ok {
		return 0, fmt.Errorf("vulnerability %q: %w", name, ErrNotFound)
	}
	return v.id, nil
}

// VerifyHistory checks that the history is whole, and that assessments are as it
// says. Where anchor is not zero, the history must have had its hash at its length.
func (s *Store) VerifyHistory(ctx context.Context, anchor assess.Anchor) (v assess.Verification, err error) {
	const batch, most = 1000, 100
	fault := func(format string, args ...any) {
		if len(v.Faults) < most {
			v.Faults = append(v.Faults, fmt.Sprintf(format, args...))
		}
	}
	// The end is read first: what is added meanwhile lies behind it.
	var length int64
	var end []byte
	err = s.read.QueryRowContext(ctx, `select length, hash from assessment_chain where id = 1`).Scan(&length, &end)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return v, fmt.Errorf("verify history: %w", err)
	}
	last := int64(0)
	for last < length {
		events, err := queryAll(ctx, s.read, scanEvent, `select `+eventColumns+` from assessment_events e where e.id > $1 and e.id <= $2 order by e.id limit $3`, last, length, batch)
		if err != nil {
			return v, fmt.Errorf("verify history: %w", err)
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			if e.ID != last+1 {
				fault("events %d to %d are missing", last+1, e.ID-1)
			}
			if hash := e.Hashed(v.Head); !slices.Equal(hash, e.Hash) {
				fault("event %d on assessment %d, %s by %s, is not as it was written", e.ID, e.AssessmentID, e.Action, e.Actor)
			}
			last, v.Head = e.ID, e.Hash
			v.Events++
			if anchor.Events == e.ID && !slices.Equal(anchor.Head, e.Hash) {
				fault("event %d does not have the hash that was noted", e.ID)
			}
		}
	}
	if v.Events != length || length > 0 && !slices.Equal(v.Head, end) {
		fault("the history ends with event %d, and should with event %d", last, length)
	}
	if anchor.Events > length {
		fault("the history has %d events, fewer than the %d that were noted", length, anchor.Events)
	}
	return v, s.verifyAssessments(ctx, &v, fault)
}

// verifyAssessments compares each assessment with the last that was written of it.
func (s *Store) verifyAssessments(ctx context.Context, v *assess.Verification, fault func(string, ...any)) error {
	const batch = 500
	type row struct {
		assess.Assessment
		typeID int64
		detail string
	}
	for last := int64(0); ; {
		rows, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
			var created, expires, ended sql.NullInt64
			a := &r.Assessment
			err = rows.Scan(&a.ID, &r.typeID, &r.detail, &a.Vulnerability, &a.Type, &a.Scope.Kind, &a.Scope.Value, &a.Comment, &a.Justification, &a.Author, &a.Automatic,
				&created, &expires, &ended, &a.EndedBy, &a.EndedReason, &a.EndedNote)
			a.CreatedAt, a.ExpiresAt, a.EndedAt = at(created), at(expires), at(ended)
			return r, err
		}, `select a.id, a.type_id, coalesce((select e.detail from assessment_events e where e.assessment_id = a.id order by e.id desc limit 1), ''),
				v.name, t.name, a.scope_kind, a.scope_value, a.comment, a.justification, a.author, a.automatic,
				a.created_at, a.expires_at, a.ended_at, a.ended_by, a.ended_reason, a.ended_note
			from assessments a join vulnerabilities v on v.id = a.vulnerability_id join assessment_types t on t.id = a.type_id
			where a.id > $1 order by a.id limit $2`, last, batch)
		if err != nil {
			return fmt.Errorf("verify assessments: %w", err)
		}
		for _, r := range rows {
			last = r.ID
			v.Assessments++
			var said assess.Snapshot
			if r.detail == "" {
				fault("assessment %d is not in the history", r.ID)
			} else if err := json.Unmarshal([]byte(r.detail), &said); err != nil {
				fault("the history of assessment %d cannot be read: %v", r.ID, err)
			} else if member := said.Differs(r.Assessment, r.typeID); member != "" {
				fault("assessment %d, on %s: its %s is not what the history says", r.ID, r.Vulnerability, member)
			}
		}
		if len(rows) < batch {
			return nil
		}
	}
}

// recordOld writes what is known of assessments that are older than the history.
func (s *Store) recordOld(ctx context.Context) error {
	const batch = 500
	const done = "assessment-events"
	var format int
	err := s.read.QueryRowContext(ctx, `select value from formats where name = $1`, done).Scan(&format)
	if err == nil {
		return nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("history of old assessments: %w", err)
	}
	for {
		var count int
		if err := s.tx(ctx, func(tx *sql.Tx) error {
			old, err := queryAll(ctx, tx, scanAssessment, selectAssessment+`where not exists (select 1 from assessment_events e where e.assessment_id = a.id)
				order by a.id limit $1`, batch)
			if err != nil {
				return err
			}
			if count = len(old); count == 0 {
				_, err := tx.ExecContext(ctx, `insert into formats (name, value) values ($1, 1) on conflict (name) do nothing`, done)
				return err
			}
			drafts := make([]draft, len(old))
			for i, a := range old {
				drafts[i] = draft{a.ID, a.Author, assess.Created, "older than the history"}
			}
			return s.recordAll(ctx, tx, drafts)
		}); err != nil {
			return fmt.Errorf("history of old assessments: %w", err)
		}
		if count == 0 {
			return nil
		}
	}
}
