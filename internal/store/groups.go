package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pratique/pratique/internal/auth"
)

// CreateGroup stores a group, or returns auth.ErrExists.
func (s *Store) CreateGroup(ctx context.Context, g auth.Group) (auth.Group, error) {
	g.Members, g.CreatedAt = nil, s.now()
	err := s.tx(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `insert into user_groups (name, description, claim, created_at) values ($1, $2, $3, $4) returning id`,
			g.Name, g.Description, g.Claim, micros(g.CreatedAt)).Scan(&g.ID)
	})
	if conflicting(err) {
		err = auth.ErrExists
	}
	if err != nil {
		return auth.Group{}, fmt.Errorf("create group %q: %w", g.Name, err)
	}
	return g, nil
}

// UserGroups lists all groups by name with their members, only one where id is not 0.
func (s *Store) UserGroups(ctx context.Context, id int64) ([]auth.Group, error) {
	groups, err := queryAll(ctx, s.read, func(rows *sql.Rows) (g auth.Group, err error) {
		var created sql.NullInt64
		err = rows.Scan(&g.ID, &g.Name, &g.Description, &g.Claim, &created)
		g.CreatedAt = at(created)
		return g, err
	}, `select id, name, description, claim, created_at from user_groups where $1 = 0 or id = $1 order by name`, id)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	type member struct {
		group int64
		auth.Member
	}
	members, err := queryAll(ctx, s.read, func(rows *sql.Rows) (m member, err error) {
		err = rows.Scan(&m.group, &m.UserID, &m.Name, &m.Claimed)
		return m, err
	}, `select m.group_id, u.id, u.name, m.claimed from group_members m join users u on u.id = m.user_id where $1 = 0 or m.group_id = $1 order by u.name`, id)
	if err != nil {
		return nil, fmt.Errorf("list members of groups: %w", err)
	}
	of := make(map[int64][]auth.Member)
	for _, m := range members {
		of[m.group] = append(of[m.group], m.Member)
	}
	for i, g := range groups {
		groups[i].Members = of[g.ID]
	}
	return groups, nil
}

// ChangeGroup changes a group. It returns auth.ErrNotFound or auth.ErrExists.
func (s *Store) ChangeGroup(ctx context.Context, id int64, c auth.GroupChange) error {
	err := s.changeOne(ctx, `update user_groups set name = coalesce($1, name), description = coalesce($2, description), claim = coalesce($3, claim)
		where id = $4`, c.Name, c.Description, c.Claim, id)
	if conflicting(err) {
		err = auth.ErrExists
	}
	if err != nil {
		return fmt.Errorf("group %d: %w", id, err)
	}
	return nil
}

// DeleteGroup deletes a group with its roles, or returns auth.ErrNotFound.
func (s *Store) DeleteGroup(ctx context.Context, id int64) error {
	if err := s.changeOne(ctx, `delete from user_groups where id = $1`, id); err != nil {
		return fmt.Errorf("group %d: %w", id, err)
	}
	return nil
}

// AddMember makes a user a member by a person's word, which a claim does not take
// back, or returns auth.ErrNotFound.
func (s *Store) AddMember(ctx context.Context, group, user int64) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into group_members (group_id, user_id) values ($1, $2)
			on conflict (group_id, user_id) do update set claimed = false`, group, user)
		return err
	})
	if err != nil {
		return fmt.Errorf("member %d of group %d: %w", user, group, dangling(err, auth.ErrNotFound))
	}
	return nil
}

// RemoveMember takes a user out of a group, or returns auth.ErrNotFound.
func (s *Store) RemoveMember(ctx context.Context, group, user int64) error {
	if err := s.changeOne(ctx, `delete from group_members where group_id = $1 and user_id = $2`, group, user); err != nil {
		return fmt.Errorf("member %d of group %d: %w", user, group, err)
	}
	return nil
}

// ClaimGroups makes a user a member of the groups that have one of the claims, and
// takes them out of others that a claim alone put them in.
func (s *Store) ClaimGroups(ctx context.Context, user int64, claims []string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `delete from group_members where user_id = $1 and claimed`, user); err != nil {
			return err
		}
		for _, claim := range claims {
			if claim == "" {
				continue
			}
			if _, err := tx.ExecContext(ctx, `insert into group_members (group_id, user_id, claimed)
				select id, cast($1 as bigint), true from user_groups where claim = $2
				on conflict (group_id, user_id) do nothing`, user, claim); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("groups that user %d claims: %w", user, dangling(err, auth.ErrNotFound))
	}
	return nil
}
