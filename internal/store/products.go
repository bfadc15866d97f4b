package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// Products returns what is known of the repositories that the packages are from.
func (s *Store) Products(ctx context.Context, packages []inventory.Package) (match.Products, error) {
	return productsOf(ctx, s.read, packages)
}

// AllProducts returns what is known of all repositories.
func (s *Store) AllProducts(ctx context.Context) (match.Products, error) {
	return allProducts(ctx, s.read)
}

func productsOf(ctx context.Context, q querier, packages []inventory.Package) (match.Products, error) {
	ids := make(map[string]bool)
	last := ""
	for _, p := range packages {
		if p.Repositories == last {
			continue
		}
		last = p.Repositories
		for id := range strings.FieldsSeq(p.Repositories) {
			ids[id], ids[match.RepositoryOf(id)] = true, true
		}
	}
	products := make(match.Products, len(ids))
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(ids)), matchBatch) {
		if err := readProducts(ctx, q, products, `where repository in (`+parameters(1, len(chunk))+`)`, anys(chunk)...); err != nil {
			return nil, err
		}
	}
	return products, nil
}

func allProducts(ctx context.Context, q querier) (match.Products, error) {
	products := make(match.Products)
	return products, readProducts(ctx, q, products, ``)
}

func readProducts(ctx context.Context, q querier, products match.Products, where string, args ...any) error {
	if _, err := queryAll(ctx, q, func(rows *sql.Rows) (none struct{}, err error) {
		var id string
		var joined ecosystems
		if err = rows.Scan(&id, &joined.own, &joined.fallback); err == nil {
			products[id], err = joined.parse()
		}
		return none, err
	}, `select repository, own, fallback from repository_products `+where, args...); err != nil {
		return fmt.Errorf("read products of repositories: %w", err)
	}
	return nil
}

// ecosystems are match.Ecosystems as they are stored; of each there is one spelling.
type ecosystems struct{ own, fallback string }

func formatEcosystems(e match.Ecosystems) (ecosystems, error) {
	own, err := json.Marshal(orEmpty(e.Own))
	if err != nil {
		return ecosystems{}, err
	}
	fallback, err := json.Marshal(orEmpty(e.Fallback))
	return ecosystems{string(own), string(fallback)}, err
}

func (e ecosystems) parse() (m match.Ecosystems, err error) {
	err = errors.Join(json.Unmarshal([]byte(e.own), &m.Own), json.Unmarshal([]byte(e.fallback), &m.Fallback))
	return m, err
}

// ReplaceProducts makes this all that is known of repositories, and matches the
// packages again that come from those of which something else was known. It returns
// how many these repositories are. Packages are matched in many short transactions;
// where one fails, the next call does the rest.
func (s *Store) ReplaceProducts(ctx context.Context, products match.Products, decide match.Decide) (changed int, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		changed, err = s.replaceProducts(ctx, tx, products)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("store products of repositories: %w", err)
	}
	if err := s.rejoinPackages(ctx, decide); err != nil {
		return changed, fmt.Errorf("match packages by the products of their repositories: %w", err)
	}
	return changed, nil
}

func (s *Store) replaceProducts(ctx context.Context, tx *sql.Tx, products match.Products) (changed int, err error) {
	if err := s.lockMatching(ctx, tx); err != nil {
		return 0, err
	}
	stored := make(map[string]ecosystems)
	if _, err := queryAll(ctx, tx, func(rows *sql.Rows) (none struct{}, err error) {
		var id string
		var e ecosystems
		err = rows.Scan(&id, &e.own, &e.fallback)
		stored[id] = e
		return none, err
	}, `select repository, own, fallback from repository_products`); err != nil {
		return 0, err
	}
	var rows, gone []any
	for _, id := range slices.Sorted(maps.Keys(products)) {
		e, err := formatEcosystems(products[id])
		if err != nil {
			return 0, err
		}
		old, known := stored[id]
		delete(stored, id)
		if known && old == e {
			continue
		}
		if known {
			gone = append(gone, id)
		}
		rows = append(rows, id, e.own, e.fallback)
	}
	changed = len(rows)/3 + len(stored)
	gone = append(gone, anys(slices.Sorted(maps.Keys(stored)))...)
	for chunk := range slices.Chunk(gone, matchBatch) {
		if _, err := tx.ExecContext(ctx, `delete from repository_products where repository in (`+parameters(1, len(chunk))+`)`, chunk...); err != nil {
			return 0, err
		}
	}
	return changed, s.insertRows(ctx, tx, `repository_products (repository text, own text, fallback text)`, rows)
}

// rejoinPackages brings the names by which advisories speak of packages, and the
// matches, up to date with the products of the packages' repositories.
func (s *Store) rejoinPackages(ctx context.Context, decide match.Decide) error {
	var products match.Products
	type set struct {
		repositories string
		ecosystems
	}
	var sets []set
	// What is under way in a transaction of the caller's is seen there only.
	err := s.tx(ctx, func(tx *sql.Tx) (err error) {
		if products, err = allProducts(ctx, tx); err != nil {
			return err
		}
		sets, err = queryAll(ctx, tx, func(rows *sql.Rows) (o set, err error) {
			err = rows.Scan(&o.repositories, &o.own, &o.fallback)
			return o, err
		}, `select repositories, own, fallback from repository_sets order by repositories`)
		return err
	})
	if err != nil {
		return err
	}
	for _, one := range sets {
		now, err := formatEcosystems(products.Of(one.repositories))
		if err != nil {
			return err
		}
		if now == one.ecosystems {
			continue
		}
		if err := s.rejoinSet(ctx, one.repositories, now, decide); err != nil {
			return err
		}
	}
	return nil
}

// rejoinSet does so for the packages of one set of repositories, and notes it once
// all are done.
func (s *Store) rejoinSet(ctx context.Context, repositories string, wanted ecosystems, decide match.Decide) error {
	for after := int64(0); ; {
		var now ecosystems
		var packages []packageRow
		if err := s.tx(ctx, func(tx *sql.Tx) (err error) {
			if err := s.lockMatching(ctx, tx); err != nil {
				return err
			}
			products, err := productsOf(ctx, tx, []inventory.Package{{Repositories: repositories}})
			if err != nil {
				return err
			}
			if now, err = formatEcosystems(products.Of(repositories)); err != nil || now != wanted {
				return err
			}
			if packages, err = queryAll(ctx, tx, scanPackage, `select p.id, `+packageColumns+` from packages p
				where p.repositories = $1 and p.repositories <> '' and p.id > $2 order by p.id limit $3`, repositories, after, matchBatch); err != nil {
				return fmt.Errorf("read packages: %w", err)
			}
			if err := s.rejoin(ctx, tx, packages, products, decide); err != nil || len(packages) == matchBatch {
				return err
			}
			if _, err := tx.ExecContext(ctx, `update repository_sets set own = $1, fallback = $2 where repositories = $3`, now.own, now.fallback, repositories); err != nil {
				return fmt.Errorf("update repositories: %w", err)
			}
			return nil
		}); err != nil {
			return err
		}
		switch {
		case now != wanted: // another replica has a newer mapping; all of them once more
			wanted, after = now, 0
		case len(packages) < matchBatch:
			return nil
		default:
			after = packages[len(packages)-1].id
		}
	}
}

func (s *Store) rejoin(ctx context.Context, tx *sql.Tx, packages []packageRow, products match.Products, decide match.Decide) error {
	if len(packages) == 0 {
		return nil
	}
	ids := make([]any, len(packages))
	for i, p := range packages {
		ids[i] = p.id
	}
	if _, err := tx.ExecContext(ctx, `delete from package_subjects where package_id in (`+parameters(1, len(ids))+`)`, ids...); err != nil {
		return fmt.Errorf("delete names of packages: %w", err)
	}
	if err := s.insertSubjects(ctx, tx, packages, products); err != nil {
		return err
	}
	return s.matchPackages(ctx, tx, packages, decide, nil)
}

// insertSubjects notes under which names advisories speak of packages.
func (s *Store) insertSubjects(ctx context.Context, tx *sql.Tx, packages []packageRow, products match.Products) error {
	var subjects []any
	for _, p := range packages {
		for _, h := range match.Keys(p.Package, products) {
			subjects = append(subjects, h.Ecosystem, h.Key.Package, h.Source, p.id, h.Fallback)
		}
	}
	if err := s.insertRows(ctx, tx, `package_subjects (ecosystem text, package text, source boolean, package_id bigint, fallback boolean)`, subjects); err != nil {
		return fmt.Errorf("insert names of packages: %w", err)
	}
	return nil
}

// joinPackages is insertSubjects for new packages, whose repositories may be new, too.
func (s *Store) joinPackages(ctx context.Context, tx *sql.Tx, packages []packageRow) error {
	var from []inventory.Package
	sets := make(map[string]bool)
	for _, p := range packages {
		if p.Repositories != "" && !sets[p.Repositories] {
			sets[p.Repositories] = true
			from = append(from, p.Package)
		}
	}
	if len(sets) == 0 {
		return s.insertSubjects(ctx, tx, packages, nil)
	}
	products, err := productsOf(ctx, tx, from)
	if err != nil {
		return err
	}
	for _, repositories := range slices.Sorted(maps.Keys(sets)) {
		e, err := formatEcosystems(products.Of(repositories))
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `insert into repository_sets (repositories, own, fallback) values ($1, $2, $3)
			on conflict (repositories) do nothing`, repositories, e.own, e.fallback); err != nil {
			return fmt.Errorf("insert repositories: %w", err)
		}
	}
	return s.insertSubjects(ctx, tx, packages, products)
}
