package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// due marks vulnerabilities for the next judgement by rules. A mark that is there
// is written again, so that who has it in hand waits for this transaction.
func (s *Store) due(ctx context.Context, tx *sql.Tx, vulnerabilities []int64) error {
	ids := slices.Clone(vulnerabilities)
	slices.Sort(ids) // two that write the same marks wait for each other in one order
	now := micros(s.now())
	for chunk := range slices.Chunk(slices.Compact(ids), assessmentBatch) {
		values := make([]any, 0, 2*len(chunk))
		for _, id := range chunk {
			values = append(values, id, now)
		}
		if _, err := tx.ExecContext(ctx, `insert into assessment_due (vulnerability_id, at) values `+placeholders(len(chunk), 2)+`
			on conflict (vulnerability_id) do update set at = excluded.at`, values...); err != nil {
			return fmt.Errorf("mark for judgement: %w", err)
		}
	}
	return nil
}

// foundDue is due for those of the vulnerabilities that affect any package that
// was ever stored; most affect none.
func (s *Store) foundDue(ctx context.Context, tx *sql.Tx, vulnerabilities []int64) error {
	for chunk := range slices.Chunk(vulnerabilities, assessmentBatch) {
		found, err := queryAll(ctx, tx, scanID, `select v.id from vulnerabilities v where v.id in (`+parameters(1, len(chunk))+`)
			and (exists (select 1 from matches m where m.vulnerability_id = v.id and m.gone_at is null)
				or exists (select 1 from source_findings x where x.vulnerability_id = v.id and x.gone_at is null))`, anys(chunk)...)
		if err != nil {
			return fmt.Errorf("mark for judgement: %w", err)
		}
		if err := s.due(ctx, tx, found); err != nil {
			return err
		}
	}
	return nil
}

// ruledDue is due for vulnerabilities that affect a package which is new: that
// reopens nothing, and concerns rules alone. Whoever makes a rule marks all.
func (s *Store) ruledDue(ctx context.Context, tx *sql.Tx, vulnerabilities []int64) error {
	var ruled bool
	if err := tx.QueryRowContext(ctx, `select exists (select 1 from assessment_types t where t.enabled and t.deleted_at is null and t.rule <> '')`).Scan(&ruled); err != nil {
		return fmt.Errorf("look for rules: %w", err)
	}
	if !ruled {
		return nil
	}
	return s.due(ctx, tx, vulnerabilities)
}

// allDue marks all that rules can be about. It waits for those that match packages
// and did not see the rule.
func (s *Store) allDue(ctx context.Context, tx *sql.Tx) error {
	if err := s.lockAdvisories(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `insert into assessment_due (vulnerability_id, at)
			select distinct vulnerability_id, cast($1 as bigint) from (
				select vulnerability_id from matches where gone_at is null
				union select vulnerability_id from source_findings where gone_at is null
				union select vulnerability_id from assessments where automatic and ended_at is null) d
			where true order by vulnerability_id
			on conflict (vulnerability_id) do update set at = excluded.at`, micros(s.now())); err != nil {
		return fmt.Errorf("mark for judgement: %w", err)
	}
	return nil
}

// reportedDue marks what a source reports.
func (s *Store) reportedDue(ctx context.Context, tx *sql.Tx, name string) error {
	if _, err := tx.ExecContext(ctx, `insert into assessment_due (vulnerability_id, at)
			select distinct x.vulnerability_id, cast($1 as bigint) from source_findings x join vulnerability_sources s on s.id = x.source_id
			where s.name = $2 and x.gone_at is null order by x.vulnerability_id
			on conflict (vulnerability_id) do update set at = excluded.at`, micros(s.now()), name); err != nil {
		return fmt.Errorf("mark for judgement: %w", err)
	}
	return nil
}

// pathsDue marks what affects the packages of an inventory, where any rule asks
// where packages are: for other rules an inventory is news only in so far as
// its packages are, which are matched first.
func (s *Store) pathsDue(ctx context.Context, tx *sql.Tx, inventory int64) error {
	if _, err := tx.ExecContext(ctx, `insert into assessment_due (vulnerability_id, at)
			select distinct m.vulnerability_id, cast($1 as bigint)
			from inventory_packages ip join matches m on m.package_id = ip.package_id and m.gone_at is null
			where ip.inventory_id = $2 and ip.owner = '' and exists (
				select 1 from assessment_types t where t.enabled and t.deleted_at is null and t.rule like '%"paths"%')
			order by m.vulnerability_id
			on conflict (vulnerability_id) do update set at = excluded.at`, micros(s.now()), inventory); err != nil {
		return fmt.Errorf("mark for judgement: %w", err)
	}
	return nil
}

// AnyDue reports whether any vulnerability is due for a judgement.
func (s *Store) AnyDue(ctx context.Context) (any bool, err error) {
	if err := s.read.QueryRowContext(ctx, `select exists (select 1 from assessment_due)`).Scan(&any); err != nil {
		return false, fmt.Errorf("look for judgements that are due: %w", err)
	}
	return any, nil
}
