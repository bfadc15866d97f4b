package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/notify"
)

// AppendEvents stores events that wait, and gives them their ids.
func (s *Store) AppendEvents(ctx context.Context, events []notify.Event) error {
	err := s.tx(ctx, func(tx *sql.Tx) error { return appendEvents(ctx, tx, events) })
	if err != nil {
		return fmt.Errorf("store events: %w", err)
	}
	return nil
}

func appendEvents(ctx context.Context, tx *sql.Tx, events []notify.Event) error {
	for i := range events {
		e := &events[i]
		content, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `insert into events (type, at, content) values ($1, $2, $3) returning id`,
			string(e.Type), micros(e.At), string(content)).Scan(&e.ID); err != nil {
			return err
		}
	}
	return nil
}

func readEvent(id int64, content string) (e notify.Event, err error) {
	if err = json.Unmarshal([]byte(content), &e); err != nil {
		return e, fmt.Errorf("event %d: %w", id, err)
	}
	e.ID = id
	return e, nil
}

// WaitingEvents lists at most limit events that were not dispatched, the oldest first.
func (s *Store) WaitingEvents(ctx context.Context, limit int) ([]notify.Event, error) {
	events, err := queryAll(ctx, s.read, func(rows *sql.Rows) (e notify.Event, err error) {
		var id int64
		var content string
		if err = rows.Scan(&id, &content); err != nil {
			return e, err
		}
		return readEvent(id, content)
	}, `select id, content from events where not dispatched order by id limit $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("events that wait: %w", err)
	}
	return events, nil
}

// Dispatch stores deliveries and marks the events. Of events that are marked
// already it stores none.
func (s *Store) Dispatch(ctx context.Context, events []int64, deliveries []notify.Delivery) (stored []int64, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		stored = nil
		marked := make(map[int64]bool, len(events))
		for chunk := range slices.Chunk(events, matchBatch) {
			args := make([]any, len(chunk))
			for i, id := range chunk {
				args[i] = id
			}
			ids, err := queryAll(ctx, tx, func(rows *sql.Rows) (id int64, err error) { err = rows.Scan(&id); return id, err },
				`update events set dispatched = true where not dispatched and id in (`+parameters(1, len(args))+`) returning id`, args...)
			if err != nil {
				return err
			}
			for _, id := range ids {
				marked[id] = true
			}
		}
		for _, d := range deliveries {
			if len(events) > 0 && !marked[d.Event.ID] {
				continue
			}
			var id int64
			if err := tx.QueryRowContext(ctx, `insert into deliveries (receiver_id, event_id, state, created_at) values ($1, $2, $3, $4) returning id`,
				d.ReceiverID, d.Event.ID, string(notify.Queued), micros(s.now())).Scan(&id); err != nil {
				return err
			}
			stored = append(stored, id)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("dispatch events: %w", err)
	}
	return stored, nil
}

// WaitingDeliveries lists at most limit deliveries that were queued before a time.
func (s *Store) WaitingDeliveries(ctx context.Context, before time.Time, limit int) ([]int64, error) {
	return queryAll(ctx, s.read, func(rows *sql.Rows) (id int64, err error) { err = rows.Scan(&id); return id, err },
		`select id from deliveries where state = 'queued' and created_at < $1 order by created_at limit $2`, micros(before), limit)
}

const deliveryColumns = `d.id, d.receiver_id, d.state, d.attempts, d.status, d.error, d.answer, d.created_at, d.finished_at, e.id, e.content`

func deliveryFields(d *notify.Delivery, created, finished *sql.NullInt64, content *string) []any {
	return []any{&d.ID, &d.ReceiverID, &d.State, &d.Attempts, &d.Status, &d.Error, &d.Answer, created, finished, &d.Event.ID, content}
}

// Delivery returns one with its receiver, or notify.ErrNotFound.
func (s *Store) Delivery(ctx context.Context, id int64) (d notify.Delivery, r notify.Receiver, err error) {
	var created, finished sql.NullInt64
	var content string
	r, err = scanReceiver(s.read.QueryRowContext(ctx, `select `+receiverColumns+`, `+deliveryColumns+`
		from deliveries d join receivers r on r.id = d.receiver_id join events e on e.id = d.event_id where d.id = $1`, id),
		deliveryFields(&d, &created, &finished, &content)...)
	if err != nil {
		return d, r, fmt.Errorf("delivery %d: %w", id, err)
	}
	d.Receiver, d.CreatedAt, d.FinishedAt = r.Name, at(created), at(finished)
	d.Event, err = readEvent(d.Event.ID, content)
	return d, r, err
}

// Deliveries lists those of a receiver, the newest first.
func (s *Store) Deliveries(ctx context.Context, receiver, before int64, limit int) ([]notify.Delivery, error) {
	deliveries, err := queryAll(ctx, s.read, func(rows *sql.Rows) (d notify.Delivery, err error) {
		var created, finished sql.NullInt64
		var content string
		if err = rows.Scan(append(deliveryFields(&d, &created, &finished, &content), &d.Receiver)...); err != nil {
			return d, err
		}
		d.CreatedAt, d.FinishedAt = at(created), at(finished)
		d.Event, err = readEvent(d.Event.ID, content)
		return d, err
	}, `select `+deliveryColumns+`, r.name from deliveries d join receivers r on r.id = d.receiver_id join events e on e.id = d.event_id
		where d.receiver_id = $1 and ($2 = 0 or d.id < $2) order by d.id desc limit $3`, receiver, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return deliveries, nil
}

// RecordAttempt stores the outcome of a try.
func (s *Store) RecordAttempt(ctx context.Context, d notify.Delivery) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `update deliveries set state = $1, attempts = $2, status = $3, error = $4, answer = $5, finished_at = $6
			where id = $7`, string(d.State), d.Attempts, d.Status, d.Error, d.Answer, nullMicros(d.FinishedAt), d.ID); err != nil {
			return fmt.Errorf("delivery %d: %w", d.ID, err)
		}
		return nil
	})
}

// PruneEvents deletes at most limit events that were dispatched before a time,
// and that nobody is still to be told of.
func (s *Store) PruneEvents(ctx context.Context, before time.Time, limit int) (pruned int, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `delete from events where id in (select e.id from events e where e.dispatched and e.at < $1
			and not exists (select 1 from deliveries d where d.event_id = e.id and d.state = 'queued') order by e.at limit $2)`, micros(before), limit)
		if err != nil {
			return fmt.Errorf("prune events: %w", err)
		}
		n, err := done.RowsAffected()
		pruned = int(n)
		return err
	})
	return pruned, err
}
