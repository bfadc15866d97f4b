package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/notify"
)

// logLag is how old an entry of a log is that is told. Entries get their ids
// before they can be seen: one with a smaller id may still come to light.
const logLag = 10 * time.Second

// logBatch is how many entries of a log are looked at in one transaction.
const logBatch = 1000

// errTold says that another replica was faster.
var errTold = errors.New("it was told meanwhile")

// tell writes the events of what a look finds after where the last one came to,
// and goes on from there the next time. It returns how many there are, and
// whether the look came any further. To look may take long, as when very many images
// have what is new, and keeps nobody from writing meanwhile.
func (s *Store) tell(ctx context.Context, cursor string, look func(q querier, from int64) (events []notify.Event, to int64, err error)) (told int, more bool, err error) {
	var from int64
	if err := s.read.QueryRowContext(ctx, `select position from cursors where name = $1`, cursor).Scan(&from); err != nil {
		return 0, false, fmt.Errorf("tell news of %s: %w", cursor, err)
	}
	events, to, err := look(s.read, from)
	if err != nil {
		return 0, false, fmt.Errorf("tell news of %s: %w", cursor, err)
	}
	if to == from {
		return 0, false, nil
	}
	for i := range events {
		if events[i].At.IsZero() {
			events[i].At = s.now()
		}
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		if err := appendEvents(ctx, tx, events); err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx, `update cursors set position = $1 where name = $2 and position = $3`, to, cursor, from)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errTold)
		}
		return nil
	})
	switch {
	case errors.Is(err, errTold):
		return 0, true, nil
	case err != nil:
		return 0, false, fmt.Errorf("tell news of %s: %w", cursor, err)
	}
	return len(events), true, nil
}

// Turned notes that something is so, or is not any more, and reports whether that
// is news. Of replicas that ask at once, one is told that it is.
func (s *Store) Turned(ctx context.Context, what string, is bool) (news bool, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		news = false
		value := 0
		if is {
			value = 1
		}
		if _, err := tx.ExecContext(ctx, `insert into cursors (name, position) values ($1, 0) on conflict (name) do nothing`, what); err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx, `update cursors set position = $1 where name = $2 and position <> $1`, value, what)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		news = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("note %s: %w", what, err)
	}
	return news, nil
}

// assessed is an assessment as events tell of it.
type assessed struct {
	ID            int64             `json:"id"`
	Vulnerability string            `json:"vulnerability"`
	Type          string            `json:"type"`
	Scope         string            `json:"scope"`
	Author        string            `json:"author"`
	Comment       string            `json:"comment"`
	ExpiresAt     time.Time         `json:"expires_at"`
	Severity      advisory.Severity `json:"-"`
	Exploited     bool              `json:"-"`

	scope assess.Scope
}

const assessedColumns = `a.id, v.name, t.name, a.scope_kind, a.scope_value, a.author, a.comment, a.expires_at, v.severity, v.exploited_at is not null`

const assessedTables = `assessments a
		join vulnerabilities v on v.id = a.vulnerability_id
		join assessment_types t on t.id = a.type_id`

func (a *assessed) fields(expires *sql.NullInt64) []any {
	return []any{&a.ID, &a.Vulnerability, &a.Type, &a.scope.Kind, &a.scope.Value, &a.Author, &a.Comment, expires, &a.Severity, &a.Exploited}
}

// tells makes the event that an assessment has expired, or does.
func (a assessed) tells(what notify.Type, happens string) (notify.Event, error) {
	a.Scope = strings.TrimSpace(string(a.scope.Kind) + " " + a.scope.Value)
	e := notify.Event{Type: what, Path: "/vulnerabilities/" + a.Vulnerability, Severity: a.Severity, Exploited: a.Exploited,
		Title: fmt.Sprintf("%s: the assessment %s (%s) %s", a.Vulnerability, a.Type, a.Scope, happens)}
	e.Text = fmt.Sprintf("By %s, until %s.", a.Author, a.ExpiresAt.UTC().Format(time.RFC3339))
	if a.Comment != "" {
		e.Text += "\n\n" + a.Comment
	}
	if a.scope.Kind == assess.Registry || a.scope.Kind == assess.Repository {
		name, _, _ := strings.Cut(a.scope.Value, "/")
		e.Registries = []string{name}
	}
	var err error
	e.Data, err = json.Marshal(a)
	return e, err
}

// TellExpired writes an event for each assessment that has expired.
func (s *Store) TellExpired(ctx context.Context) (told int, more bool, err error) {
	return s.tell(ctx, "told-assessment-events", func(q querier, from int64) (events []notify.Event, to int64, err error) {
		var last sql.NullInt64
		if err := q.QueryRowContext(ctx, `select max(id) from (select id from assessment_events where id > $1 order by id limit $2) e`, from, logBatch).Scan(&last); err != nil || !last.Valid {
			return nil, from, err
		}
		ended, err := queryAll(ctx, q, func(rows *sql.Rows) (a assessed, err error) {
			var expires sql.NullInt64
			err = rows.Scan(a.fields(&expires)...)
			a.ExpiresAt = at(expires)
			return a, err
		}, `select `+assessedColumns+` from `+assessedTables+` join assessment_events e on e.assessment_id = a.id
			where e.id > $1 and e.id <= $2 and e.action = $3 and a.ended_reason = $4 order by e.id`, from, last.Int64, string(assess.Ended), string(assess.Expired))
		if err != nil {
			return nil, from, err
		}
		for _, a := range ended {
			e, err := a.tells(notify.AssessmentExpired, "has expired")
			if err != nil {
				return nil, from, err
			}
			events = append(events, e)
		}
		return events, last.Int64, nil
	})
}

// TellExpiring writes an event for each assessment that expires until a time, and
// that was not told before.
func (s *Store) TellExpiring(ctx context.Context, until time.Time) (told int, more bool, err error) {
	return s.tell(ctx, "told-expiring", func(q querier, from int64) (events []notify.Event, to int64, err error) {
		from = max(from, micros(s.now()))
		soon, err := queryAll(ctx, q, func(rows *sql.Rows) (a assessed, err error) {
			var expires sql.NullInt64
			err = rows.Scan(a.fields(&expires)...)
			a.ExpiresAt = at(expires)
			return a, err
		}, `select `+assessedColumns+` from `+assessedTables+` where a.ended_at is null and a.expires_at > $1 and a.expires_at <= $2
			order by a.expires_at, a.id limit $3`, from, micros(until), logBatch)
		if err != nil {
			return nil, from, err
		}
		to = max(from, micros(until))
		if len(soon) == logBatch {
			// Those that expire at the same instant as the last are looked at again.
			to = micros(soon[len(soon)-1].ExpiresAt) - 1
		}
		for _, a := range soon {
			if micros(a.ExpiresAt) > to {
				break
			}
			e, err := a.tells(notify.AssessmentExpiring, "expires on "+a.ExpiresAt.UTC().Format(time.DateOnly))
			if err != nil {
				return nil, from, err
			}
			events = append(events, e)
		}
		return events, to, nil
	})
}

// TellRefusals writes an event for each entry on a refused pull that the audit
// log has: the first of an image and user, and how many there were in an hour.
func (s *Store) TellRefusals(ctx context.Context) (told int, more bool, err error) {
	return s.tell(ctx, "told-audit", func(q querier, from int64) (events []notify.Event, to int64, err error) {
		type entry struct {
			id                            int64
			at                            time.Time
			actor, action, object, detail string
		}
		entries, err := queryAll(ctx, q, func(rows *sql.Rows) (e entry, err error) {
			var when sql.NullInt64
			err = rows.Scan(&e.id, &when, &e.actor, &e.action, &e.object, &e.detail)
			e.at = at(when)
			return e, err
		}, `select id, at, actor, action, object, detail from audit_log where id > $1 order by id limit $2`, from, logBatch)
		if err != nil {
			return nil, from, err
		}
		to = from
		for _, e := range entries {
			if e.at.After(s.now().Add(-logLag)) {
				break
			}
			to = e.id
			if e.action != "pull.refuse" {
				continue
			}
			var detail struct {
				Tag     string   `json:"tag"`
				Count   int      `json:"count"`
				Reasons []string `json:"reasons"`
			}
			if err := json.Unmarshal([]byte(e.detail), &detail); err != nil {
				return nil, from, fmt.Errorf("audit entry %d: %w", e.id, err)
			}
			image := strings.TrimPrefix(e.object, "image ")
			name, _, _ := strings.Cut(image, "/")
			place, digest, _ := strings.Cut(image, "@")
			if detail.Tag != "" {
				place += ":" + detail.Tag
			}
			told := notify.Event{Type: notify.PullBlocked, At: e.at, Path: "/images/" + digest, Registries: []string{name},
				Title: fmt.Sprintf("%s was refused to %s", place, e.actor), Text: strings.Join(detail.Reasons, "\n")}
			if detail.Count > 1 {
				told.Title = fmt.Sprintf("%s was refused to %s %d times", place, e.actor, detail.Count)
			}
			if told.Data, err = json.Marshal(map[string]any{"image": image, "tag": detail.Tag, "user": e.actor, "count": detail.Count, "reasons": detail.Reasons}); err != nil {
				return nil, from, err
			}
			events = append(events, told)
		}
		return events, to, nil
	})
}

// TellFailedJobs writes an event for each job that is not tried again. Those that
// tell people are left out: there would be no end.
func (s *Store) TellFailedJobs(ctx context.Context, except string) (told int, more bool, err error) {
	return s.tell(ctx, "told-failed-jobs", func(q querier, from int64) (events []notify.Event, to int64, err error) {
		to = from
		type row struct {
			id, finished     int64
			kind, key, error string
			attempts         int
		}
		failed, err := queryAll(ctx, q, func(rows *sql.Rows) (r row, err error) {
			err = rows.Scan(&r.id, &r.finished, &r.kind, &r.key, &r.error, &r.attempts)
			return r, err
		}, `select id, finished_at, kind, key, error, attempts from jobs where state = 'failed' and kind <> $1 and finished_at > $2 and finished_at <= $3
			order by finished_at limit $4`, except, from, micros(s.now().Add(-logLag)), logBatch)
		if err != nil {
			return nil, from, err
		}
		for _, r := range failed {
			e := notify.Event{Type: notify.JobFailed, At: time.UnixMicro(r.finished), Path: fmt.Sprintf("/administration/jobs/%d", r.id),
				Title: fmt.Sprintf("Job %d (%s) failed", r.id, r.kind), Text: r.error}
			if e.Data, err = json.Marshal(map[string]any{"id": r.id, "kind": r.kind, "key": r.key, "error": r.error, "attempts": r.attempts}); err != nil {
				return nil, from, err
			}
			events, to = append(events, e), r.finished
		}
		return events, to, nil
	})
}
