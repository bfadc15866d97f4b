package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/match"
)

// ResolveAssessments names the vulnerabilities of assessments, and returns the
// *assess.RefusedError that CreateAssessments would. Those that would be kept for
// later have no id.
func (s *Store) ResolveAssessments(ctx context.Context, list []assess.Assessment, keep assess.Keep) ([]assess.Assessment, error) {
	resolved := append([]assess.Assessment(nil), list...)
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = a.Vulnerability
	}
	known, err := vulnerabilitiesNamed(ctx, s.read, names)
	if err != nil {
		return nil, err
	}
	missing, err := unknownTargets(ctx, s.read, list)
	if err != nil {
		return nil, err
	}
	refused := &assess.RefusedError{}
	for i, a := range list {
		v, ok := known[a.Vulnerability]
		switch {
		case ok:
			resolved[i].VulnerabilityID, resolved[i].Vulnerability = v.id, v.name
		case !keep.Vulnerabilities:
			refused.Add(i, assess.ErrUnknownVulnerability)
		}
		if missing[a.Scope] && !keep.Allows(a.Scope.Kind) {
			refused.Add(i, assess.ErrUnknownTarget)
		}
	}
	if refused.Any() {
		return resolved, refused
	}
	return resolved, nil
}

// literals writes numbers as a list: they cannot be anything but numbers, and
// many parameters cost more than they are worth.
func literals(ids []int64) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(id, 10))
	}
	if len(ids) == 0 {
		return "null"
	}
	return b.String()
}

// AffectedPlaces lists, in no order, at most limit places with images that the
// vulnerabilities affect in any of the scopes; all tells that there are no more.
func (s *Store) AffectedPlaces(ctx context.Context, vulnerabilities []int64, scopes []assess.Scope, limit int) (places []assess.Place, all bool, err error) {
	where, args := scopeCondition(scopes)
	// Each vulnerability may be of the same image: who waits for few does not have
	// the engine look at all of them first.
	distinct, rows := "distinct ", limit
	if len(vulnerabilities) == 1 || limit <= 1000 {
		distinct, rows = "", limit*min(len(vulnerabilities), 4)
	}
	args = append(args, rows)
	// What is not counted yet is looked up where it is found.
	found, uncounted := `found`, false
	if err := s.read.QueryRowContext(ctx, `select exists (select 1 from found_due where vulnerability_id in (`+literals(vulnerabilities)+`) and not label)`).Scan(&uncounted); err != nil {
		return nil, false, fmt.Errorf("images that assessments are about: %w", err)
	}
	if uncounted {
		found = `(` + everyFinding(`in (`+literals(vulnerabilities)+`)`) + `)`
	}
	places, err = queryAll(ctx, s.read, func(rows *sql.Rows) (p assess.Place, err error) {
		err = rows.Scan(&p.Registry, &p.Repository, &p.Digest)
		return p, err
	}, `select `+distinct+`g.name, r.name, i.digest
		from `+found+` o
		join images i on i.id = o.image_id
		join manifests mf on mf.digest = i.digest
		join repositories r on r.id = mf.repository_id
		join registries g on g.id = r.registry_id
		where o.vulnerability_id in (`+literals(vulnerabilities)+`)`+where+`
		limit $`+strconv.Itoa(len(args)), args...)
	if err != nil {
		return nil, false, fmt.Errorf("images that assessments are about: %w", err)
	}
	all = len(places) < rows
	seen := make(map[assess.Place]bool, len(places))
	places = slices.DeleteFunc(places, func(p assess.Place) bool {
		twice := seen[p]
		seen[p] = true
		return twice
	})
	if len(places) > limit {
		places, all = places[:limit], false
	}
	return places, all, nil
}

// scopeCondition is what lets through the places of any of the scopes.
func scopeCondition(scopes []assess.Scope) (string, []any) {
	values := make(map[string][]string)
	for _, scope := range scopes {
		var column string
		switch scope.Kind {
		case assess.Everywhere:
			return "", nil
		case assess.Registry:
			column = `g.name`
		case assess.Repository:
			column = `r.id`
		case assess.Image:
			column = `i.digest`
		case assess.Package:
			column = `p.name`
			if _, version := scope.Package(); version != "" {
				column = `p.name || '@' || p.version`
			}
		}
		values[column] = append(values[column], scope.Value)
	}
	var parts []string
	var args []any
	for _, column := range []string{`g.name`, `r.id`, `i.digest`, `p.name`, `p.name || '@' || p.version`} {
		list := values[column]
		if len(list) == 0 {
			continue
		}
		part := column + ` in (` + parameters(len(args)+1, len(list)) + `)`
		if column == `r.id` { // found first, so that their images are
			part = `r.id in (select rs.id from repositories rs join registries gs on gs.id = rs.registry_id
				where gs.name || '/' || rs.name in (` + parameters(len(args)+1, len(list)) + `))`
		}
		if strings.HasPrefix(column, `p.`) {
			part = `exists (select 1 from inventory_packages ip join packages p on p.id = ip.package_id where ip.inventory_id = i.inventory_id and ip.owner = '' and ` + part + `)
				or exists (select 1 from source_findings x join packages p on p.id = x.package_id
					where x.image_id = i.id and x.vulnerability_id = o.vulnerability_id and x.gone_at is null and ` + part + `)`
		}
		parts = append(parts, part)
		args = append(args, anys(list)...)
	}
	return ` and (` + strings.Join(parts, " or ") + `)`, args
}

// FindingsByImage returns what any attached source finds in images, as far as
// assess.Decide looks at it, by vulnerability.
func (s *Store) FindingsByImage(ctx context.Context, digests []string) (map[string][]match.Finding, error) {
	all := make(map[string][]match.Finding, len(digests))
	for chunk := range slices.Chunk(digests, 500) {
		if err := s.findingsByImage(ctx, chunk, all); err != nil {
			return nil, fmt.Errorf("findings of many images: %w", err)
		}
	}
	return all, nil
}
