package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
)

// restated are the ids of the vulnerabilities of which something else is stated,
// by the names under which it is.
type restated map[advisory.Key]map[int64]bool

func (r restated) add(k advisory.Key, vulnerability int64) {
	if r[k] == nil {
		r[k] = make(map[int64]bool)
	}
	r[k][vulnerability] = true
}

const (
	// fewRestated is up to how many vulnerabilities are looked at one by one: of a
	// kernel some change in a day, of thousands.
	fewRestated = 200
	// pairsAtOnce bounds those of a batch, together.
	pairsAtOnce = 5_000
)

// rematch brings matches up to date of the packages and vulnerabilities of which
// something else is stated: no other decision depends on it.
func (s *Store) rematch(ctx context.Context, tx *sql.Tx, changed restated, decide match.Decide, j *journal) error {
	for keys := range slices.Chunk(slices.SortedFunc(maps.Keys(changed), compareKeys), matchBatch) {
		packages, only, err := s.restatedPackages(ctx, tx, keys, changed)
		if err != nil {
			return err
		}
		var all, some []packageRow
		pairs := 0
		for _, p := range packages {
			if len(only[p.id]) > fewRestated {
				all = append(all, p)
				continue
			}
			some, pairs = append(some, p), pairs+len(only[p.id])
			if pairs >= pairsAtOnce {
				if err := s.matchChunk(ctx, tx, some, only, decide, j); err != nil {
					return err
				}
				some, pairs = some[:0], 0
			}
		}
		if len(some) > 0 {
			if err := s.matchChunk(ctx, tx, some, only, decide, j); err != nil {
				return err
			}
		}
		if err := s.matchPackages(ctx, tx, all, decide, j); err != nil {
			return err
		}
	}
	return nil
}

// restatedPackages returns the packages of which something else is stated under
// any of the keys, and by package on which vulnerabilities.
func (s *Store) restatedPackages(ctx context.Context, tx *sql.Tx, keys []advisory.Key, changed restated) ([]packageRow, map[int64][]int64, error) {
	found, err := s.packagesByKey(ctx, tx, keys)
	if err != nil {
		return nil, nil, err
	}
	of := make(map[int64]map[int64]bool, len(found))
	var packages []packageRow
	for _, r := range found {
		if of[r.id] == nil {
			of[r.id] = make(map[int64]bool)
			packages = append(packages, r.packageRow)
		}
		maps.Copy(of[r.id], changed[r.Key])
	}
	only := make(map[int64][]int64, len(of))
	for id, vulnerabilities := range of {
		only[id] = slices.Sorted(maps.Keys(vulnerabilities))
	}
	return packages, only, nil
}

// answering is a package with a key that it answers to.
type answering struct {
	packageRow
	advisory.Key
}

// packagesByKey returns the packages that answer to one of the keys, once for each.
func (s *Store) packagesByKey(ctx context.Context, q querier, keys []advisory.Key) ([]answering, error) {
	wanted := make(map[advisory.Key]bool, len(keys))
	for _, k := range keys {
		wanted[k] = true
	}
	given := s.relation("ecosystem text, package text", keyArguments(keys))
	found, err := queryAll(ctx, q, func(rows *sql.Rows) (r answering, err error) {
		err = rows.Scan(append([]any{&r.Ecosystem, &r.Key.Package, &r.Source, &r.id}, packageFields(&r.packageRow.Package)...)...)
		return r, err
	}, `with k (ecosystem, package) as (`+given.query+`)
		select s.ecosystem, s.package, s.source, p.id, `+packageColumns+`
		from k join package_subjects s on s.ecosystem = k.ecosystem and s.package = k.package
		join packages p on p.id = s.package_id`, given.args...)
	if err != nil {
		return nil, fmt.Errorf("read packages: %w", err)
	}
	// Keys that differ in Source alone are looked up together, each for both.
	seen := make(map[answered]bool, len(found))
	return slices.DeleteFunc(found, func(r answering) bool {
		a := answered{r.id, r.Key}
		again := seen[a] || !wanted[r.Key]
		seen[a] = true
		return again
	}), nil
}

type answered struct {
	id int64
	advisory.Key
}
