package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// derived is a table of what is made of pushes, and who refers to it.
type derived struct {
	table, key string
	// users are conditions that hold where a row x is referred to, beside those
	// that foreign keys tell of.
	users []string
	// parts are statements that delete what goes with the row of key $1.
	parts []string
}

// Layers are referred to by digest, of images, of chains that clients of Clair's
// API made, and of blobs that may become layers of an image in a moment.
var (
	derivedImages = derived{table: "images", key: "id",
		users: []string{"select 1 from manifests u where u.digest = x.digest", "select 1 from trash u where u.digest = x.digest and u.whole"},
		parts: []string{"delete from vex_outcomes where image = (select digest from images where id = $1)"},
	}
	derivedInventories = derived{table: "inventories", key: "id"}
	derivedLayers      = derived{table: "layers", key: "digest", users: []string{
		"select 1 from image_layers u where u.digest = x.digest",
		"select 1 from clair_layers u where u.digest = x.digest",
		"select 1 from clair_manifest_layers u where u.digest = x.digest",
		"select 1 from repository_blobs u where u.digest = x.digest",
	}}
	derivedPackages = derived{table: "packages", key: "id",
		parts: []string{"delete from matches where package_id = $1"},
	}
)

// foreignKeys lists the columns that refer to $1 and keep it: those whose rows
// do not go with it. The engines have their own catalogs. It is asked, and not
// written down, so that no later table is forgotten.
var foreignKeys = map[Engine]string{
	SQLite: `select m.name, f."from" from sqlite_master m join pragma_foreign_key_list(m.name) f
		where m.type = 'table' and f."table" = $1 and f.on_delete <> 'CASCADE' order by 1, 2`,
	Postgres: `select r.relname, a.attname from pg_constraint c
		join pg_class r on r.oid = c.conrelid
		join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
		where c.contype = 'f' and c.confrelid = to_regclass($1) and c.confdeltype <> 'c' order by 1, 2`,
}

// unused is the condition that nothing refers to a row x. Tables whose rows are
// parts of it are left out.
func (s *Store) unused(ctx context.Context, d derived) (string, error) {
	type column struct{ table, name string }
	columns, err := queryAll(ctx, s.read, func(rows *sql.Rows) (c column, err error) {
		err = rows.Scan(&c.table, &c.name)
		return c, err
	}, foreignKeys[s.engine], d.table)
	if err != nil {
		return "", fmt.Errorf("who refers to %s: %w", d.table, err)
	}
	users := slices.Clone(d.users)
	for _, c := range columns {
		if d.table == "packages" && c.table == "matches" {
			continue
		}
		users = append(users, fmt.Sprintf("select 1 from %s u where u.%s = x.%s", c.table, c.name, d.key))
	}
	return "not exists (" + strings.Join(users, ") and not exists (") + ")", nil
}

// GarbageCount is what was deleted of what is derived from pushes.
type GarbageCount struct{ Images, Inventories, Layers, Packages int }

// DeleteUnused deletes images, inventories and analyses of layers that nothing
// refers to since a time, and packages that nothing has, with their matches.
// What nothing refers to for the first time is marked. It does little at a time,
// and may be interrupted anywhere.
func (s *Store) DeleteUnused(ctx context.Context, before time.Time) (n GarbageCount, err error) {
	for _, step := range []struct {
		derived
		count *int
	}{{derivedImages, &n.Images}, {derivedInventories, &n.Inventories}, {derivedLayers, &n.Layers}} {
		free, err := s.unused(ctx, step.derived)
		if err != nil {
			return n, err
		}
		if err := s.markUnused(ctx, step.derived, free); err != nil {
			return n, fmt.Errorf("mark unused %s: %w", step.table, err)
		}
		if *step.count, err = s.deleteMarked(ctx, step.derived, free, before); err != nil {
			return n, fmt.Errorf("delete unused %s: %w", step.table, err)
		}
	}
	if n.Packages, err = s.deletePackages(ctx); err != nil {
		return n, fmt.Errorf("delete unused packages: %w", err)
	}
	return n, nil
}

const (
	garbagePage = 500
	// garbageBatch is how many rows go in one transaction: an inventory has
	// thousands of rows, and others want to write.
	garbageBatch = 10
)

// markUnused brings the marks up to date. They need not be right at any moment:
// what is deleted is looked at again. But a mark is never older than the moment at
// which it is made, however long ago this began: who was told of a row just before
// has all the time to refer to it.
func (s *Store) markUnused(ctx context.Context, d derived, free string) error {
	for _, step := range []struct {
		find, set string
		args      func() []any
	}{
		{`x.unused_since is not null and not (` + free + `)`, `unused_since = null where unused_since is not null`, func() []any { return nil }},
		{`x.unused_since is null and ` + free, `unused_since = $1 where unused_since is null`, func() []any { return []any{micros(s.now())} }},
	} {
		err := s.eachPage(ctx, d, step.find, nil, func(keys []any) error {
			return s.tx(ctx, func(tx *sql.Tx) error {
				args := step.args()
				_, err := tx.ExecContext(ctx, `update `+d.table+` set `+step.set+` and `+d.key+` in (`+parameters(len(args)+1, len(keys))+`)`, append(args, keys...)...)
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachPage reads the keys of rows x by pages.
func (s *Store) eachPage(ctx context.Context, d derived, condition string, args []any, visit func(keys []any) error) error {
	after, greater := any(""), ""
	for {
		keys, err := queryAll(ctx, s.read, func(rows *sql.Rows) (key any, err error) {
			err = rows.Scan(&key)
			return key, err
		}, `select x.`+d.key+` from `+d.table+` x where `+condition+greater+` order by x.`+d.key+fmt.Sprintf(` limit %d`, garbagePage), args...)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := visit(keys); err != nil {
				return err
			}
			after = keys[len(keys)-1]
		}
		if len(keys) < garbagePage {
			return nil
		}
		if greater == "" {
			args = append(slices.Clone(args), after)
			greater = fmt.Sprintf(` and x.%s > $%d`, d.key, len(args))
		}
		args[len(args)-1] = after
	}
}

// deleteMarked deletes what is marked since before a time and still unused.
func (s *Store) deleteMarked(ctx context.Context, d derived, free string, before time.Time) (int, error) {
	return s.deletePages(ctx, d, free, `x.unused_since < $1 and `+free, []any{micros(before)}, func(tx *sql.Tx, key any) (bool, error) {
		// Whoever takes the mark away waits from here on, or did it before. What
		// follows sees all that those did who came before.
		done, err := tx.ExecContext(ctx, `update `+d.table+` set unused_since = unused_since where `+d.key+` = $1 and unused_since < $2`, key, micros(before))
		if err != nil {
			return false, err
		}
		n, err := done.RowsAffected()
		return n == 1, err
	})
}

// deletePackages deletes packages that no inventory and nothing else has.
func (s *Store) deletePackages(ctx context.Context) (int, error) {
	free, err := s.unused(ctx, derivedPackages)
	if err != nil {
		return 0, err
	}
	return s.deletePages(ctx, derivedPackages, free, free, nil, func(tx *sql.Tx, _ any) (bool, error) {
		// New inventories, which may have the package, wait.
		return true, s.lockMatching(ctx, tx)
	})
}

func (s *Store) deletePages(ctx context.Context, d derived, free, find string, args []any, lock func(*sql.Tx, any) (bool, error)) (int, error) {
	deleted := 0
	err := s.eachPage(ctx, d, find, args, func(keys []any) error {
		for batch := range slices.Chunk(keys, garbageBatch) {
			n, err := s.deleteBatch(ctx, d, free, batch, lock)
			if deleted += n; err != nil {
				return err
			}
		}
		return nil
	})
	return deleted, err
}

// errUsed says that something came to refer to a row.
var errUsed = errors.New("used")

// deleteBatch deletes rows with their parts in one transaction. Where a foreign
// key shows that one is used after all, the others are deleted apart from it.
func (s *Store) deleteBatch(ctx context.Context, d derived, free string, keys []any, lock func(*sql.Tx, any) (bool, error)) (int, error) {
	deleted := 0
	err := s.tx(ctx, func(tx *sql.Tx) error {
		deleted = 0
		for _, key := range keys {
			if ours, err := lock(tx, key); err != nil {
				return err
			} else if !ours {
				continue
			}
			var still bool
			err := tx.QueryRowContext(ctx, `select `+free+` from `+d.table+` x where x.`+d.key+` = $1`, key).Scan(&still)
			if errors.Is(err, sql.ErrNoRows) || err == nil && !still {
				continue
			}
			if err != nil {
				return err
			}
			for _, statement := range append(slices.Clone(d.parts), `delete from `+d.table+` where `+d.key+` = $1`) {
				if _, err := tx.ExecContext(ctx, statement, key); err != nil {
					return dangling(err, errUsed)
				}
			}
			deleted++
		}
		return nil
	})
	if err == nil {
		return deleted, nil
	}
	if !errors.Is(err, errUsed) {
		return 0, err
	}
	if len(keys) == 1 {
		return 0, nil
	}
	deleted = 0
	for i := range keys {
		n, err := s.deleteBatch(ctx, d, free, keys[i:i+1], lock)
		if deleted += n; err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}
