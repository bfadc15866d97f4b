package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
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
// vulnerabilities affect in any of the scopes.
func (s *Store) AffectedPlaces(ctx context.Context, vulnerabilities []int64, scopes []assess.Scope, limit int) ([]assess.PreviewPlace, error) {
	where, args := scopeCondition(scopes)
	args = append(args, limit)
	places, err := queryAll(ctx, s.read, func(rows *sql.Rows) (p assess.PreviewPlace, err error) {
		var analysed sql.NullInt64
		err = rows.Scan(&p.Registry, &p.Repository, &p.Digest, &p.InventoryID, &analysed)
		p.AnalysedAt = at(analysed)
		return p, err
	}, `select distinct g.name, r.name, i.digest, i.inventory_id, i.analysed_at
		from matches m
		join packages p on p.id = m.package_id
		join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
		join images i on i.inventory_id = ip.inventory_id
		join manifests mf on mf.digest = i.digest
		join repositories r on r.id = mf.repository_id
		join registries g on g.id = r.registry_id
		where m.gone_at is null and m.vulnerability_id in (`+literals(vulnerabilities)+`)`+where+`
		limit $`+strconv.Itoa(len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("images that assessments are about: %w", err)
	}
	return places, nil
}

// scopeCondition is what lets through the places, and packages, of any of the scopes.
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
			column = `g.name || '/' || r.name`
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
	for _, column := range []string{`g.name`, `g.name || '/' || r.name`, `i.digest`, `p.name`, `p.name || '@' || p.version`} {
		if list := values[column]; len(list) > 0 {
			parts = append(parts, column+` in (`+parameters(len(args)+1, len(list))+`)`)
			args = append(args, anys(list)...)
		}
	}
	return ` and (` + strings.Join(parts, " or ") + `)`, args
}

const previewColumns = `ip.inventory_id, v.id, v.name, ` + effective + `, p.name, p.version, m.first_seen`

func scanPreviewFinding(rows *sql.Rows) (f assess.PreviewFinding, err error) {
	var seen sql.NullInt64
	err = rows.Scan(&f.InventoryID, &f.VulnerabilityID, &f.Vulnerability, &f.Severity, &f.Package.Name, &f.Package.Version, &seen)
	f.FirstSeen, f.Sources = at(seen), []string{builtInSource}
	return f, err
}

// previewFrom goes from the packages of inventories to their matches, each once a
// package. The order of joins is that of the names: there are fewer inventories
// than findings of a vulnerability.
const previewFrom = ` from (select distinct inventory_id, package_id from inventory_packages where owner = '' and inventory_id in (%s)) ip
		join matches m on m.package_id = ip.package_id and m.gone_at is null
		join packages p on p.id = m.package_id
		join vulnerabilities v on v.id = m.vulnerability_id `

// PreviewFindings returns the findings of inventories that are of the
// vulnerabilities, at most limit.
func (s *Store) PreviewFindings(ctx context.Context, inventories, vulnerabilities []int64, limit int) ([]assess.PreviewFinding, error) {
	found, err := queryAll(ctx, s.read, scanPreviewFinding, `select `+previewColumns+`
		from matches m
		join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
		join packages p on p.id = m.package_id
		join vulnerabilities v on v.id = m.vulnerability_id
		where m.gone_at is null and m.vulnerability_id in (`+literals(vulnerabilities)+`) and ip.inventory_id in (`+literals(inventories)+`)
		limit $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("findings that assessments are about: %w", err)
	}
	return found, nil
}

// MayBlock returns the findings of inventories that are of none of the
// vulnerabilities, and have a live assessment of one of the types, or that
// severity at least.
func (s *Store) MayBlock(ctx context.Context, inventories, vulnerabilities []int64, types []string, atLeast *advisory.Severity) ([]assess.PreviewFinding, error) {
	args := []any{micros(s.now())}
	var parts []string
	if len(types) > 0 {
		args = append(args, anys(types)...)
		parts = append(parts, `m.vulnerability_id in (select a.vulnerability_id from assessments a join assessment_types t on t.id = a.type_id
			where a.ended_at is null and (a.expires_at is null or a.expires_at > $1) and t.name in (`+parameters(2, len(types))+`))`)
	} else {
		parts = append(parts, `$1 < 0`)
	}
	if atLeast != nil {
		args = append(args, int(*atLeast))
		parts = append(parts, effective+` >= $`+strconv.Itoa(len(args)))
	}
	found, err := queryAll(ctx, s.read, scanPreviewFinding, `select `+previewColumns+fmt.Sprintf(previewFrom, literals(inventories))+
		`where m.vulnerability_id not in (`+literals(vulnerabilities)+`) and (`+strings.Join(parts, " or ")+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("findings that may block: %w", err)
	}
	return found, nil
}
