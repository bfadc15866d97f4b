package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/match"
)

// ImagesToPull returns the digests of the images that a manifest of the
// repository stands for: itself where it is an image, the images below it
// where it is an index, none for any other artifact.
func (s *Store) ImagesToPull(ctx context.Context, registry, repository, digest string) ([]string, error) {
	// An index of indexes is allowed, but nobody needs many levels; the bound
	// also ends what a damaged table could make a circle.
	const levels = 4
	images, err := queryAll(ctx, s.read, func(rows *sql.Rows) (d string, err error) {
		err = rows.Scan(&d)
		return d, err
	}, `with recursive below (digest, depth) as (
			select cast($3 as text), 0
			union
			select f.digest, b.depth + 1
			from below b
			join registries r on r.name = $1
			join repositories p on p.registry_id = r.id and p.name = $2
			join manifests m on m.repository_id = p.id and m.digest = b.digest
			join manifest_references f on f.manifest_id = m.id and f.kind = 'manifest'
			where b.depth < $4
		)
		select distinct i.digest from below b join images i on i.digest = b.digest order by i.digest`,
		registry, repository, digest, levels)
	if err != nil {
		return nil, fmt.Errorf("images of manifest %s: %w", digest, err)
	}
	return images, nil
}

// LiveDecisions returns what holds at a time for the vulnerabilities in the
// scopes that cover any of the places; scopes that cover none may be among them.
func (s *Store) LiveDecisions(ctx context.Context, vulnerabilities []int64, places []assess.Place, when time.Time) ([]assess.Decision, error) {
	scopes := scopesOf(places)
	var all []assess.Decision
	for chunk := range slices.Chunk(vulnerabilities, 1000) {
		var where conditions
		where.add(`a.ended_at is null`)
		where.add(`(a.expires_at is null or a.expires_at > ?)`, micros(when))
		ids := make([]any, len(chunk))
		for i, id := range chunk {
			ids[i] = id
		}
		where.add(`a.vulnerability_id in (?`+strings.Repeat(`, ?`, len(ids)-1)+`)`, ids...)
		if n := len(scopes) / 2; n > 0 && n <= 5000 { // beyond, the statement would be larger than the answer
			where.add(`(a.scope_kind in ('everywhere', 'package') or (a.scope_kind, a.scope_value) in (values (?, ?)`+
				strings.Repeat(`, (?, ?)`, n-1)+`))`, scopes...)
		}
		found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (d assess.Decision, err error) {
			var created, expires sql.NullInt64
			err = rows.Scan(&d.AssessmentID, &d.VulnerabilityID, &d.Type, &d.Blocks, &d.Warns, &d.Scope.Kind, &d.Scope.Value, &created, &expires, &d.Automatic)
			d.CreatedAt, d.ExpiresAt = at(created), at(expires)
			return d, err
		}, `select a.id, a.vulnerability_id, t.name, t.blocks, t.warns, a.scope_kind, a.scope_value, a.created_at, a.expires_at, a.automatic
			from assessments a join assessment_types t on t.id = a.type_id `+where.String()+` order by a.id`, where.args...)
		if err != nil {
			return nil, fmt.Errorf("live assessments: %w", err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// scopesOf lists kind, value, kind, value … of the scopes that are narrower
// than packages, each once.
func scopesOf(places []assess.Place) []any {
	seen := make(map[assess.Scope]bool)
	var flat []any
	add := func(kind assess.ScopeKind, value string) {
		if scope := (assess.Scope{Kind: kind, Value: value}); value != "" && !seen[scope] {
			seen[scope] = true
			flat = append(flat, string(kind), value)
		}
	}
	for _, p := range places {
		add(assess.Image, p.Digest)
		if p.Registry != "" {
			add(assess.Registry, p.Registry)
			add(assess.Repository, p.Registry+"/"+p.Repository)
		}
	}
	return flat
}

// VulnerabilityStates returns, for each of the vulnerabilities, the states that
// its findings in stored images have at a time: assess.Unassessed first where
// any has it, then the names of assessment types in order.
func (s *Store) VulnerabilityStates(ctx context.Context, vulnerabilities []int64, when time.Time) (map[int64][]string, error) {
	decisions, err := s.LiveDecisions(ctx, vulnerabilities, nil, when)
	if err != nil {
		return nil, err
	}
	states := make(map[int64][]string, len(vulnerabilities))
	for _, id := range vulnerabilities {
		states[id] = []string{assess.Unassessed}
	}
	// Only where a decision does not hold everywhere the findings have to be
	// looked at one by one.
	narrow := make(map[int64]bool)
	types := make(map[int64]map[string]bool)
	for _, d := range decisions {
		if types[d.VulnerabilityID] == nil {
			types[d.VulnerabilityID] = make(map[string]bool)
		}
		types[d.VulnerabilityID][d.Type] = true
		if d.Scope.Kind == assess.Everywhere {
			states[d.VulnerabilityID] = []string{d.Type}
		} else {
			narrow[d.VulnerabilityID] = true
		}
	}
	if err := s.statesOfMany(ctx, narrow, types, states, when); err != nil {
		return nil, fmt.Errorf("states of vulnerabilities: %w", err)
	}
	alone := true
	if len(narrow) > 0 {
		if alone, err = s.alone(ctx); err != nil {
			return nil, err
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(narrow)), 500) {
		args := []any{micros(when), assess.Unassessed}
		for _, id := range chunk {
			args = append(args, id)
			delete(states, id)
		}
		type row struct {
			id    int64
			state string
		}
		found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
			err = rows.Scan(&r.id, &r.state)
			return r, err
		}, stateQuery(alone, len(chunk)), args...)
		if err != nil {
			return nil, fmt.Errorf("states of vulnerabilities: %w", err)
		}
		for _, r := range found {
			states[r.id] = append(states[r.id], r.state)
		}
	}
	for _, names := range states {
		slices.SortFunc(names, func(a, b string) int {
			if first := compareBool(b == assess.Unassessed, a == assess.Unassessed); first != 0 {
				return first
			}
			return strings.Compare(a, b)
		})
	}
	return states, nil
}

// manyImages is from how many images on the findings of a vulnerability are not
// looked at one by one.
const manyImages = 50

// statesOfMany takes from narrow those vulnerabilities that affect many images: they
// have the types that are decided in any scope, and are unassessed where any finding
// is, which is soon found.
func (s *Store) statesOfMany(ctx context.Context, narrow map[int64]bool, types map[int64]map[string]bool, states map[int64][]string, when time.Time) error {
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(narrow)), 500) {
		many, err := queryAll(ctx, s.read, scanID, `select vulnerability_id from affected where images > $1
			and vulnerability_id in (`+parameters(2, len(chunk))+`)`, append([]any{manyImages}, anys(chunk)...)...)
		if err != nil {
			return err
		}
		if len(many) == 0 {
			continue
		}
		var where conditions
		arms, args := arms(match.Filter{At: when, Found: match.Found{States: []string{assess.Unassessed}}}, anywhere)
		where.add(`a.vulnerability_id in (`+questions(len(many))+`)`, anys(many)...)
		// Where a decision holds everywhere, all findings would be looked at to no avail.
		where.add(`not exists (select 1 from assessments x where x.vulnerability_id = a.vulnerability_id and x.scope_kind = 'everywhere'
			and x.ended_at is null and (x.expires_at is null or x.expires_at > ?))`, micros(when))
		where.add(`(`+arms+`)`, args...)
		var found []int64
		err = s.inOrder(ctx, func(q querier) (err error) {
			found, err = queryAll(ctx, q, scanID, `select a.vulnerability_id from affected a `+where.String(), where.args...)
			return err
		})
		if err != nil {
			return err
		}
		for _, id := range many {
			delete(narrow, id)
			states[id] = slices.Sorted(maps.Keys(types[id]))
			if slices.Contains(found, id) {
				states[id] = append(states[id], assess.Unassessed)
			}
		}
	}
	return nil
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// ImageLocations returns where a manifest is, by registry and repository.
func (s *Store) ImageLocations(ctx context.Context, digest string) ([]assess.Location, error) {
	type row struct{ registry, repository, tag string }
	found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.registry, &r.repository, &r.tag)
		return r, err
	}, `select g.name, r.name, coalesce(t.name, '')
		from manifests m
		join repositories r on r.id = m.repository_id
		join registries g on g.id = r.registry_id
		left join tags t on t.repository_id = r.id and t.digest = m.digest
		where m.digest = $1 order by g.name, r.name, t.name`, digest)
	if err != nil {
		return nil, fmt.Errorf("places of manifest %s: %w", digest, err)
	}
	var all []assess.Location
	for _, r := range found {
		place := assess.Place{Registry: r.registry, Repository: r.repository, Digest: digest}
		if n := len(all); n == 0 || all[n-1].Place != place {
			all = append(all, assess.Location{Place: place})
		}
		if r.tag != "" {
			last := &all[len(all)-1]
			last.Tags = append(last.Tags, r.tag)
		}
	}
	return all, nil
}

// ManifestByDigest returns a manifest wherever it is, or ErrNotFound.
func (s *Store) ManifestByDigest(ctx context.Context, digest string) (mediaType string, content []byte, err error) {
	err = s.read.QueryRowContext(ctx, `select media_type, content from manifests where digest = $1 limit 1`, digest).Scan(&mediaType, &content)
	if err != nil {
		return "", nil, fmt.Errorf("manifest %s: %w", digest, noRows(err, ErrNotFound))
	}
	return mediaType, content, nil
}
