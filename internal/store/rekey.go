package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/version"
)

// ErrKeyFormat is returned where the keys of stored versions have another format
// than those of this program, so that comparing them would say anything.
var ErrKeyFormat = errors.New("the keys of stored versions have another format")

// checkKeys returns ErrKeyFormat where the stored keys are not those of this program:
// Rekey has not ended yet, or was done by a newer program beside this one.
func checkKeys(ctx context.Context, q querier) error {
	stored, err := keyFormat(ctx, q)
	if err != nil {
		return err
	}
	if stored != version.KeyFormat {
		return fmt.Errorf("%w: %d, and this program's is %d", ErrKeyFormat, stored, version.KeyFormat)
	}
	return nil
}

func keyFormat(ctx context.Context, q querier) (format int, err error) {
	if err := q.QueryRowContext(ctx, `select value from formats where name = 'version-keys'`).Scan(&format); err != nil {
		return 0, fmt.Errorf("format of keys: %w", err)
	}
	return format, nil
}

// adoptKeys makes this program's format that of a database without any keys.
func (s *Store) adoptKeys(ctx context.Context) error {
	if err := checkKeys(ctx, s.read); !errors.Is(err, ErrKeyFormat) {
		return err
	}
	return s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.lockAdvisories(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `update formats set value = $1 where name = 'version-keys' and value < $1
			and not exists (select 1 from packages) and not exists (select 1 from advisories)`, version.KeyFormat)
		return err
	})
}

// rekeyStages are what Rekey does one after the other, in batches in the order of ids.
var rekeyStages = []struct {
	name  string
	batch func(s *Store, ctx context.Context, tx *sql.Tx, after int64, decide match.Decide) (last int64, err error)
}{
	{"packages", (*Store).rekeyPackages},
	{"advisories", (*Store).rekeyAdvisories},
	{"matches", (*Store).rekeyMatches},
}

// Rekey makes the keys of all stored versions anew where they have an older format
// than this program's, and then all matches. It is to be called before anything is
// matched, which is an error until it has ended. Each batch is a transaction, which
// notes how far that is: several replicas share the work, and one that is killed
// loses a batch at most. ErrKeyFormat says that a newer program made the keys.
// Progress is told of each batch, where not nil.
func (s *Store) Rekey(ctx context.Context, decide match.Decide, progress func(stage string, after int64)) error {
	for _, stage := range rekeyStages {
		for {
			var last int64
			err := s.tx(ctx, func(tx *sql.Tx) (err error) {
				last, err = s.rekeyBatch(ctx, tx, stage.name, func(after int64) (int64, error) { return stage.batch(s, ctx, tx, after, decide) })
				return err
			})
			if err != nil {
				return fmt.Errorf("make the keys of versions anew: %s: %w", stage.name, err)
			}
			if last == 0 {
				break
			}
			if progress != nil {
				progress(stage.name, last)
			}
		}
	}
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.lockAdvisories(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `update formats set value = $1 where name = 'version-keys' and value < $1`, version.KeyFormat); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from rekeying where target <= $1`, version.KeyFormat)
		return err
	})
	if err != nil {
		return fmt.Errorf("make the keys of versions anew: %w", err)
	}
	return nil
}

// rekeyBatch does the next batch of a stage; last is 0 where there is none.
func (s *Store) rekeyBatch(ctx context.Context, tx *sql.Tx, stage string, batch func(after int64) (int64, error)) (last int64, err error) {
	if err := s.lockAdvisories(ctx, tx); err != nil {
		return 0, err
	}
	stored, err := keyFormat(ctx, tx)
	switch {
	case err != nil:
		return 0, err
	case stored == version.KeyFormat:
		return 0, nil // so it was, or another replica was faster
	case stored > version.KeyFormat:
		return 0, fmt.Errorf("%w: a newer program made them, in format %d; this one's is %d", ErrKeyFormat, stored, version.KeyFormat)
	}
	var after int64
	var target int
	err = tx.QueryRowContext(ctx, `select target, after from rekeying where stage = $1`, stage).Scan(&target, &after)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return 0, err
	case target > version.KeyFormat:
		return 0, fmt.Errorf("%w: a newer program is making them, in format %d; this one's is %d", ErrKeyFormat, target, version.KeyFormat)
	case target < version.KeyFormat:
		after = 0 // what an older program did has to be done again
	}
	if last, err = batch(after); err != nil || last == 0 {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `insert into rekeying (stage, target, after) values ($1, $2, $3)
		on conflict (stage) do update set target = excluded.target, after = excluded.after`, stage, version.KeyFormat, last)
	return last, err
}

// rekeyRows is how many rows are read, and written where they differ, in one transaction.
const rekeyRows = 1000

func (s *Store) rekeyPackages(ctx context.Context, tx *sql.Tx, after int64, _ match.Decide) (last int64, err error) {
	type row struct {
		packageRow
		binary, source []byte
	}
	rows, err := queryAll(ctx, tx, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(append([]any{&r.id, &r.binary, &r.source}, packageFields(&r.Package)...)...)
		return r, err
	}, `select p.id, p.version_key, p.source_key, `+packageColumns+` from packages p where p.id > $1 order by p.id limit $2`, after, rekeyRows)
	if err != nil {
		return 0, err
	}
	var changed [][]any
	for _, r := range rows {
		last = r.id
		if binary, source := match.VersionKeys(r.Package); !bytes.Equal(binary, r.binary) || !bytes.Equal(source, r.source) {
			changed = append(changed, []any{binary, source, r.id})
		}
	}
	return last, s.updateKeys(ctx, tx, "packages", []string{"version_key", "source_key"}, changed)
}

func (s *Store) rekeyAdvisories(ctx context.Context, tx *sql.Tx, after int64, _ match.Decide) (last int64, err error) {
	type row struct {
		id int64
		advisory.Advisory
		bounds match.Bounds
	}
	rows, err := queryAll(ctx, tx, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.Ecosystem, &r.Introduced, &r.Fixed, &r.LastAffected, &r.bounds.Introduced, &r.bounds.Fixed, &r.bounds.LastAffected)
		return r, err
	}, `select id, ecosystem, introduced, fixed, last_affected, introduced_key, fixed_key, last_key from advisories where id > $1 order by id limit $2`, after, rekeyRows)
	if err != nil {
		return 0, err
	}
	var changed [][]any
	for _, r := range rows {
		last = r.id
		// A bound that cannot be ordered any more has no key: the comparison of the
		// versions themselves says then that nothing is affected.
		b, _ := match.BoundsOf(r.Advisory)
		if !bytes.Equal(b.Introduced, r.bounds.Introduced) || !bytes.Equal(b.Fixed, r.bounds.Fixed) || !bytes.Equal(b.LastAffected, r.bounds.LastAffected) {
			changed = append(changed, []any{b.Introduced, b.Fixed, b.LastAffected, r.id})
		}
	}
	return last, s.updateKeys(ctx, tx, "advisories", []string{"introduced_key", "fixed_key", "last_key"}, changed)
}

func (s *Store) rekeyMatches(ctx context.Context, tx *sql.Tx, after int64, decide match.Decide) (last int64, err error) {
	packages, err := queryAll(ctx, tx, scanPackage, `select p.id, `+packageColumns+` from packages p where p.id > $1 order by p.id limit $2`, after, matchBatch)
	if err != nil || len(packages) == 0 {
		return 0, err
	}
	return packages[len(packages)-1].id, s.matchPackages(ctx, tx, packages, decide, nil)
}

// updateKeys sets columns of keys in the rows of a table, of which each is given as
// the keys and the id. As insertRows tells, SQLite wants short statements, and
// PostgreSQL few.
func (s *Store) updateKeys(ctx context.Context, tx *sql.Tx, table string, columns []string, rows [][]any) (err error) {
	if len(rows) == 0 {
		return nil
	}
	list := strings.Join(columns, ", ")
	if s.engine != Postgres {
		prepared, err := tx.PrepareContext(ctx, `update `+table+` set (`+list+`) = (`+parameters(1, len(columns))+`) where id = `+parameters(len(columns)+1, 1))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, prepared.Close()) }()
		for _, row := range rows {
			if _, err := prepared.ExecContext(ctx, row...); err != nil {
				return err
			}
		}
		return nil
	}
	var kinds, values []string
	for _, column := range columns {
		kinds = append(kinds, column+" bytes")
		values = append(values, "k."+column)
	}
	const batch = 500
	for chunk := range slices.Chunk(rows, batch) {
		var args []any
		for _, row := range chunk {
			args = append(args, row...)
		}
		keys := s.relation(strings.Join(append(slices.Clone(kinds), "id bigint"), ", "), args)
		if _, err := tx.ExecContext(ctx, `with k (`+list+`, id) as (`+keys.query+`)
			update `+table+` t set (`+list+`) = row(`+strings.Join(values, ", ")+`) from k where t.id = k.id`, keys.args...); err != nil {
			return err
		}
	}
	return nil
}
