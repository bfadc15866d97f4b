package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/auth"
)

const selectRobot = `select b.id, b.name, b.description, coalesce(r.name, ''), b.prefix, b.hash, b.disabled, b.created_by, b.created_at, b.expires_at, b.last_used_at
	from robots b left join registries r on r.id = b.registry_id `

func scanRobot(row interface{ Scan(...any) error }) (r auth.Robot, err error) {
	var created, expires, used sql.NullInt64
	var hash []byte
	err = row.Scan(&r.ID, &r.Name, &r.Description, &r.Registry, &r.Prefix, &hash, &r.Disabled, &r.CreatedBy, &created, &expires, &used)
	r.CreatedAt, r.ExpiresAt, r.LastUsedAt, r.Tag = at(created), at(expires), at(used), secretTag(hash)
	return r, err
}

// secretTag tells one secret from the next.
func secretTag(hash []byte) string {
	sum := sha256.Sum256(hash)
	return hex.EncodeToString(sum[:12])
}

// CreateRobot stores a robot, by the hash of its secret, with its roles. It returns
// auth.ErrExists or auth.ErrRegistry.
func (s *Store) CreateRobot(ctx context.Context, r auth.Robot, hash []byte) (auth.Robot, error) {
	r.CreatedAt, r.LastUsedAt = s.now(), time.Time{}
	err := s.tx(ctx, func(tx *sql.Tx) error {
		in, err := registryID(ctx, tx, r.Registry)
		if err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `insert into robots (name, description, registry_id, hash, prefix, disabled, created_by, created_at, expires_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id`, r.Name, r.Description, in, hash, r.Prefix, r.Disabled, r.CreatedBy,
			micros(r.CreatedAt), nullMicros(r.ExpiresAt)).Scan(&r.ID); err != nil {
			return err
		}
		return insertGrants(ctx, tx, "robot_id", r.ID, r.Grants, r.CreatedBy, r.CreatedAt)
	})
	if conflicting(err) {
		err = auth.ErrExists
	}
	if err != nil {
		return auth.Robot{}, fmt.Errorf("create robot %q: %w", r.Name, err)
	}
	return r, nil
}

// Robots lists all robots by name with their roles, only one where id is not 0.
func (s *Store) Robots(ctx context.Context, id int64) ([]auth.Robot, error) {
	robots, err := queryAll(ctx, s.read, func(rows *sql.Rows) (auth.Robot, error) { return scanRobot(rows) },
		selectRobot+`where $1 = 0 or b.id = $1 order by b.name`, id)
	if err != nil {
		return nil, fmt.Errorf("list robots: %w", err)
	}
	type grant struct {
		robot int64
		auth.Grant
	}
	grants, err := queryAll(ctx, s.read, func(rows *sql.Rows) (g grant, err error) {
		err = rows.Scan(&g.robot, &g.Registry, &g.Role)
		return g, err
	}, `select g.robot_id, coalesce(r.name, ''), g.role from role_grants g left join registries r on r.id = g.registry_id
		where g.robot_id is not null and ($1 = 0 or g.robot_id = $1) order by 2, 3`, id)
	if err != nil {
		return nil, fmt.Errorf("list roles of robots: %w", err)
	}
	of := make(map[int64][]auth.Grant)
	for _, g := range grants {
		of[g.robot] = append(of[g.robot], g.Grant)
	}
	for i, r := range robots {
		robots[i].Grants = of[r.ID]
	}
	return robots, nil
}

// RobotByHash returns a robot without its roles, or auth.ErrNotFound.
func (s *Store) RobotByHash(ctx context.Context, hash []byte) (auth.Robot, error) {
	r, err := scanRobot(s.read.QueryRowContext(ctx, selectRobot+`where b.hash = $1`, hash))
	if err != nil {
		return auth.Robot{}, fmt.Errorf("robot: %w", noRows(err, auth.ErrNotFound))
	}
	return r, nil
}

// ChangeRobot changes a robot, or returns auth.ErrNotFound.
func (s *Store) ChangeRobot(ctx context.Context, id int64, c auth.RobotChange) error {
	var expires sql.NullInt64
	if c.ExpiresAt != nil {
		expires = nullMicros(*c.ExpiresAt)
	}
	err := s.changeOne(ctx, `update robots set description = coalesce($1, description), disabled = coalesce($2, disabled),
		expires_at = case when $3 then $4 else expires_at end where id = $5`, c.Description, c.Disabled, c.ExpiresAt != nil, expires, id)
	if err != nil {
		return fmt.Errorf("robot %d: %w", id, err)
	}
	return nil
}

// SetRobotHash gives a robot another secret, or returns auth.ErrNotFound.
func (s *Store) SetRobotHash(ctx context.Context, id int64, prefix string, hash []byte) error {
	if err := s.changeOne(ctx, `update robots set prefix = $1, hash = $2 where id = $3`, prefix, hash, id); err != nil {
		return fmt.Errorf("robot %d: %w", id, err)
	}
	return nil
}

// DeleteRobot deletes a robot with its roles, or returns auth.ErrNotFound.
func (s *Store) DeleteRobot(ctx context.Context, id int64) error {
	if err := s.changeOne(ctx, `delete from robots where id = $1`, id); err != nil {
		return fmt.Errorf("robot %d: %w", id, err)
	}
	return nil
}

// TouchRobot notes that a robot was used.
func (s *Store) TouchRobot(ctx context.Context, id int64, when time.Time) error {
	if err := s.changeOne(ctx, `update robots set last_used_at = $1 where id = $2`, micros(when), id); err != nil {
		return fmt.Errorf("robot %d: %w", id, err)
	}
	return nil
}
