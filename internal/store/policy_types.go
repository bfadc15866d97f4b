package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/policy"
)

// storedPolicy is where the settings of a policy are: of a registry, or the
// global one, whose id is 0.
type storedPolicy struct {
	id   int64
	text string
}

func storedPolicies(ctx context.Context, q querier) ([]storedPolicy, error) {
	list, err := queryAll(ctx, q, func(rows *sql.Rows) (p storedPolicy, err error) {
		err = rows.Scan(&p.id, &p.text)
		return p, err
	}, `select 0, value from settings where name = $1 union all select id, policy from registries order by 1`, globalPolicy)
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	return list, nil
}

// policiesThatName counts the policies that name an assessment type.
func policiesThatName(ctx context.Context, q querier, name string) (int, error) {
	list, err := storedPolicies(ctx, q)
	if err != nil {
		return 0, err
	}
	count := 0
	for _, p := range list {
		settings, err := policy.ParseSettings(p.text)
		if err != nil {
			return 0, err
		}
		if settings.Names(name) {
			count++
		}
	}
	return count, nil
}

// replaceInPolicies gives policies that name a type another one.
func replaceInPolicies(ctx context.Context, tx *sql.Tx, from, to string) error {
	list, err := storedPolicies(ctx, tx)
	if err != nil {
		return err
	}
	for _, p := range list {
		settings, err := policy.ParseSettings(p.text)
		if err != nil {
			return err
		}
		if !settings.Names(from) {
			continue
		}
		// Who edits it meanwhile is told that it is another version now.
		query, args := `update registries set policy = $1, policy_version = policy_version + 1 where policy = $2 and id = $3`, []any{settings.Renamed(from, to).String(), p.text, p.id}
		if p.id == 0 {
			query, args[2] = `update settings set value = $1, version = version + 1 where value = $2 and name = $3`, globalPolicy
		}
		done, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("policy: %w", err)
		}
		if err := changedOne(done, assess.ErrChanged); err != nil {
			return err
		}
	}
	return nil
}

// RegistryPolicy returns what a registry makes of findings.
func (s *Store) RegistryPolicy(ctx context.Context, registry string) (assess.Policy, error) {
	global, own, err := s.PolicySettings(ctx, registry)
	if err != nil {
		return assess.Policy{}, err
	}
	resolved := policy.Resolve(global, own).Policy.Policy
	if resolved.Sources, err = s.RegistrySources(ctx, registry); err != nil {
		return assess.Policy{}, fmt.Errorf("sources of registry %q: %w", registry, err)
	}
	return resolved, nil
}
