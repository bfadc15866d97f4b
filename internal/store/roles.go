package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/auth"
)

// Standing returns what a subject may do, or auth.ErrNotFound.
func (s *Store) Standing(ctx context.Context, of auth.Subject) (auth.Standing, error) {
	standing, err := s.standing(ctx, of)
	if err != nil {
		return auth.Standing{}, fmt.Errorf("standing: %w", noRows(err, auth.ErrNotFound))
	}
	return standing, nil
}

func (s *Store) standing(ctx context.Context, of auth.Subject) (st auth.Standing, err error) {
	var expires sql.NullInt64
	var hash []byte
	switch {
	case of.RobotID != 0:
		err = s.read.QueryRowContext(ctx, `select name, disabled, expires_at, hash from robots where id = $1`, of.RobotID).Scan(&st.Name, &st.Disabled, &expires, &hash)
		st.Tag = secretTag(hash)
	case of.KeyID != 0:
		err = s.read.QueryRowContext(ctx, `select u.name, u.administrator, k.limited, k.expires_at, k.hash from api_keys k join users u on u.id = k.user_id
			where k.id = $1 and u.id = $2`, of.KeyID, of.UserID).Scan(&st.Name, &st.Administrator, &st.Limited, &expires, &hash)
		st.Tag = secretTag(hash)
	default:
		err = s.read.QueryRowContext(ctx, `select name, administrator, password_hash from users where id = $1`, of.UserID).Scan(&st.Name, &st.Administrator, &hash)
		st.Tag = userTag(string(hash), st.Administrator)
	}
	if err != nil {
		return st, err
	}
	st.ExpiresAt = at(expires)
	const grants = `select coalesce(r.name, ''), g.role from role_grants g left join registries r on r.id = g.registry_id where `
	if of.RobotID != 0 {
		st.Grants, err = queryAll(ctx, s.read, scanGrant, grants+`g.robot_id = $1`, of.RobotID)
	} else if !st.Administrator {
		st.Grants, err = queryAll(ctx, s.read, scanGrant, grants+`g.user_id = $1
			union all `+grants+`g.group_id in (select group_id from group_members where user_id = $1)`, of.UserID)
	}
	if err != nil {
		return st, err
	}
	if st.Limited {
		if st.Scope, err = queryAll(ctx, s.read, scanGrant, grants+`g.key_id = $1`, of.KeyID); err != nil {
			return st, err
		}
	}
	st.Open, err = queryAll(ctx, s.read, scanString, `select name from registries where anonymous_pull order by name`)
	return st, err
}

func scanGrant(rows *sql.Rows) (g auth.Grant, err error) {
	err = rows.Scan(&g.Registry, &g.Role)
	return g, err
}

const selectGrants = `select g.id, coalesce(r.name, ''), g.role, g.granted_by, g.created_at,
		case when g.user_id is not null then 'user' when g.group_id is not null then 'group' else 'robot' end as kind,
		coalesce(u.name, w.name, b.name) as grantee
	from role_grants g left join registries r on r.id = g.registry_id
	left join users u on u.id = g.user_id left join user_groups w on w.id = g.group_id left join robots b on b.id = g.robot_id `

func scanRoleGrant(row interface{ Scan(...any) error }) (g auth.RoleGrant, err error) {
	var created sql.NullInt64
	err = row.Scan(&g.ID, &g.Registry, &g.Role, &g.GrantedBy, &created, &g.To.Kind, &g.To.Name)
	g.CreatedAt = at(created)
	return g, err
}

// Grants lists those that the filter means: everywhere first, then by registry,
// kind and name of the grantee, and role.
func (s *Store) Grants(ctx context.Context, f auth.GrantFilter) ([]auth.RoleGrant, error) {
	var where conditions
	where.add(`g.key_id is null`)
	switch {
	case f.In == "" && f.Wide:
		where.add(`g.registry_id is null`)
	case f.In != "" && f.Wide:
		where.add(`(g.registry_id is null or r.name = ?)`, f.In)
	case f.In != "":
		where.add(`r.name = ?`, f.In)
	}
	if f.To.Name != "" {
		column := map[auth.GranteeKind]string{auth.ToUser: "u", auth.ToGroup: "w", auth.ToRobot: "b"}[f.To.Kind]
		if column == "" {
			return nil, nil
		}
		where.add(column+`.name = ?`, f.To.Name)
	}
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (auth.RoleGrant, error) { return scanRoleGrant(rows) },
		selectGrants+where.String()+` order by 2, 6, 7, 3`, where.args...)
	if err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	return list, nil
}

// Grant gives a role. It returns auth.ErrExists, auth.ErrNoGrantee or auth.ErrRegistry,
// the latter too for a robot of another registry.
func (s *Store) Grant(ctx context.Context, g auth.RoleGrant) (granted auth.RoleGrant, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		var whose [3]sql.NullInt64
		var of int
		var table string
		switch g.To.Kind {
		case auth.ToUser:
			table = "users"
		case auth.ToGroup:
			of, table = 1, "user_groups"
		case auth.ToRobot:
			of, table = 2, "robots"
		default:
			return auth.ErrNoGrantee
		}
		if err := tx.QueryRowContext(ctx, `select id from `+table+` where name = $1`, g.To.Name).Scan(&whose[of]); err != nil {
			return noRows(err, auth.ErrNoGrantee)
		}
		in, err := registryID(ctx, tx, g.Registry)
		if err != nil {
			return err
		}
		if of == 2 {
			var home sql.NullInt64
			if err := tx.QueryRowContext(ctx, `select registry_id from robots where id = $1`, whose[of]).Scan(&home); err != nil {
				return err
			}
			if home.Valid && home != in {
				return auth.ErrRegistry
			}
		}
		var id int64
		if err := tx.QueryRowContext(ctx, `insert into role_grants (user_id, group_id, robot_id, registry_id, role, granted_by, created_at)
			values ($1, $2, $3, $4, $5, $6, $7) returning id`, whose[0], whose[1], whose[2], in, g.Role, g.GrantedBy, micros(s.now())).Scan(&id); err != nil {
			return err
		}
		granted, err = scanRoleGrant(tx.QueryRowContext(ctx, selectGrants+`where g.id = $1`, id))
		return err
	})
	if conflicting(err) {
		err = auth.ErrExists
	}
	if err != nil {
		return auth.RoleGrant{}, fmt.Errorf("grant %s to %s %q: %w", g.Role, g.To.Kind, g.To.Name, err)
	}
	return granted, nil
}

// registryID is that of a registry, null for "". It returns auth.ErrRegistry.
func registryID(ctx context.Context, tx *sql.Tx, name string) (id sql.NullInt64, err error) {
	if name == "" {
		return id, nil
	}
	err = tx.QueryRowContext(ctx, `select id from registries where name = $1`, name).Scan(&id)
	return id, noRows(err, auth.ErrRegistry)
}

// Revoke takes back a grant in a registry, everywhere where it is "", or returns
// auth.ErrNotFound.
func (s *Store) Revoke(ctx context.Context, id int64, registry string) (g auth.RoleGrant, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		g, err = scanRoleGrant(tx.QueryRowContext(ctx, selectGrants+`where g.id = $1 and g.key_id is null`, id))
		if errors.Is(err, sql.ErrNoRows) || err == nil && g.Registry != registry {
			return auth.ErrNotFound
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `delete from role_grants where id = $1`, id)
		return err
	})
	if err != nil {
		return auth.RoleGrant{}, fmt.Errorf("role %d: %w", id, err)
	}
	return g, nil
}

// insertGrants stores what a key or robot is granted when it is made.
func insertGrants(ctx context.Context, tx *sql.Tx, column string, id int64, grants []auth.Grant, by string, when time.Time) error {
	for _, g := range grants {
		in, err := registryID(ctx, tx, g.Registry)
		if err != nil {
			return fmt.Errorf("%q: %w", g.Registry, err)
		}
		if _, err := tx.ExecContext(ctx, `insert into role_grants (`+column+`, registry_id, role, granted_by, created_at) values ($1, $2, $3, $4, $5)
			on conflict do nothing`, id, in, g.Role, by, micros(when)); err != nil {
			return err
		}
	}
	return nil
}
