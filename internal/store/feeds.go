package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/image"
)

// FeedStatus returns what is known of a feed; one that was never updated has
// only its name.
func (s *Store) FeedStatus(ctx context.Context, name string) (feed.Status, error) {
	status := feed.Status{Name: name}
	var attempt, success, change sql.NullInt64
	err := s.read.QueryRowContext(ctx, `select last_attempt, last_success, last_change, error from feeds where name = $1`, name).
		Scan(&attempt, &success, &change, &status.Error)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return feed.Status{}, fmt.Errorf("feed %s: %w", name, err)
	}
	status.LastAttempt, status.LastSuccess, status.LastChange = at(attempt), at(success), at(change)
	if status.Parts, err = queryAll(ctx, s.read, scanFeedPart, `select part, url, etag, last_modified, content_digest, parser, cursor, ecosystems,
			packages, records, skipped, problems, error, checked_at, changed_at
		from feed_parts where feed = $1 order by part`, name); err != nil {
		return feed.Status{}, fmt.Errorf("documents of feed %s: %w", name, err)
	}
	return status, nil
}

func scanFeedPart(rows *sql.Rows) (p feed.PartState, err error) {
	var ecosystems, problems string
	var checked, changed sql.NullInt64
	if err := rows.Scan(&p.Part, &p.URL, &p.ETag, &p.LastModified, &p.Digest, &p.Revision, &p.Cursor, &ecosystems,
		&p.Packages, &p.Advisories, &p.Skipped.Count, &problems, &p.Error, &checked, &changed); err != nil {
		return p, err
	}
	p.Checked, p.Changed = at(checked), at(changed)
	return p, errors.Join(json.Unmarshal([]byte(ecosystems), &p.Ecosystems), json.Unmarshal([]byte(problems), &p.Skipped.Names))
}

// BeginFeedUpdate notes an attempt.
func (s *Store) BeginFeedUpdate(ctx context.Context, name string, when time.Time) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into feeds (name, last_attempt) values ($1, $2)
			on conflict (name) do update set last_attempt = excluded.last_attempt`, name, micros(when))
		return err
	})
	if err != nil {
		return fmt.Errorf("begin update of feed %s: %w", name, err)
	}
	return nil
}

// EndFeedUpdate notes how an attempt ended; failure is "" for success.
func (s *Store) EndFeedUpdate(ctx context.Context, name string, when time.Time, changed bool, failure string) error {
	var success, change sql.NullInt64
	if failure == "" {
		success = nullMicros(when)
	}
	if changed {
		change = nullMicros(when)
	}
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into feeds (name, last_attempt, last_success, last_change, error) values ($1, $2, $3, $4, $5)
			on conflict (name) do update set last_success = coalesce(excluded.last_success, feeds.last_success),
				last_change = coalesce(excluded.last_change, feeds.last_change), error = excluded.error`,
			name, micros(when), success, change, failure)
		return errors.Join(err, s.endUpdates(ctx, tx, name, ""))
	})
	if err != nil {
		return fmt.Errorf("end update of feed %s: %w", name, err)
	}
	return nil
}

// SaveFeedPart stores the state of one document of a feed.
func (s *Store) SaveFeedPart(ctx context.Context, name string, p feed.PartState) error {
	ecosystems, err := json.Marshal(orEmpty(p.Ecosystems))
	if err != nil {
		return fmt.Errorf("document %s of feed %s: %w", p.Part, name, err)
	}
	problems, err := json.Marshal(orEmpty(p.Skipped.Names))
	if err != nil {
		return fmt.Errorf("document %s of feed %s: %w", p.Part, name, err)
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into feed_parts (feed, part, url, etag, last_modified, content_digest, parser, ecosystems,
				packages, records, skipped, problems, error, checked_at, changed_at, cursor)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
			on conflict (feed, part) do update set url = excluded.url, etag = excluded.etag, last_modified = excluded.last_modified,
				content_digest = excluded.content_digest, parser = excluded.parser, ecosystems = excluded.ecosystems,
				packages = excluded.packages, records = excluded.records, skipped = excluded.skipped, problems = excluded.problems,
				error = excluded.error, checked_at = excluded.checked_at, changed_at = excluded.changed_at, cursor = excluded.cursor`,
			name, p.Part, p.URL, p.ETag, p.LastModified, p.Digest, p.Revision, string(ecosystems),
			p.Packages, p.Advisories, p.Skipped.Count, string(problems), p.Error, nullMicros(p.Checked), nullMicros(p.Changed), p.Cursor)
		return errors.Join(err, s.endUpdates(ctx, tx, name, p.Part))
	})
	if err != nil {
		return fmt.Errorf("save document %s of feed %s: %w", p.Part, name, err)
	}
	return nil
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// feedStaleAfter is how old data may be before it is not called current: feeds
// are asked several times a day, so by then something is broken.
const feedStaleAfter = 7 * 24 * time.Hour

// FeedData says what the feeds have on ecosystems: distributions ("debian:12")
// and types of packages ("npm"). The data is as old as its oldest document; there
// is none where one of its documents was never read.
func (s *Store) FeedData(ctx context.Context, ecosystems []string) (map[string]image.Data, error) {
	covered, err := s.covered(ctx)
	if err != nil {
		return nil, err
	}
	data := make(map[string]image.Data, len(ecosystems))
	for _, name := range ecosystems {
		data[name] = image.Data{Updated: covered[name], StaleAfter: feedStaleAfter}
	}
	return data, nil
}

// covered maps each ecosystem that documents speak of to when
// the oldest of them was confirmed, zero where one was never read.
func (s *Store) covered(ctx context.Context) (map[string]time.Time, error) {
	type part struct {
		ecosystems []string
		checked    time.Time
	}
	parts, err := queryAll(ctx, s.read, func(rows *sql.Rows) (p part, err error) {
		var ecosystems string
		var checked sql.NullInt64
		if err := rows.Scan(&ecosystems, &checked); err != nil {
			return p, err
		}
		p.checked = at(checked)
		return p, json.Unmarshal([]byte(ecosystems), &p.ecosystems)
	}, `select ecosystems, checked_at from feed_parts`)
	if err != nil {
		return nil, fmt.Errorf("covered ecosystems: %w", err)
	}
	covered := make(map[string]time.Time)
	for _, p := range parts {
		for _, name := range p.ecosystems {
			if oldest, known := covered[name]; !known || p.checked.Before(oldest) {
				covered[name] = p.checked
			}
		}
	}
	return covered, nil
}
