package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/notify"
)

// newsBatch is how many matches or reports are looked at in one transaction.
const newsBatch = 20_000

// TellNewFindings writes an event for each vulnerability that images which were
// analysed before turned out to have, and goes on from there the next time. It
// returns how many events it wrote, and whether there is more to look at.
func (s *Store) TellNewFindings(ctx context.Context) (told int, more bool, err error) {
	// An image that was analysed after its match was there has nothing new: whoever
	// pushed it was told then.
	return s.tellFindings(ctx, "told-matches", `matches`, `join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
		join images i on i.inventory_id = ip.inventory_id and i.analysed_at < m.first_seen`, `g.built_in`)
}

// TellNewReports is TellNewFindings for what the external sources report, after
// their first answer for an image, and nobody reported of it before.
func (s *Store) TellNewReports(ctx context.Context) (told int, more bool, err error) {
	return s.tellFindings(ctx, "told-reports", `source_findings`, `join source_scans c on c.image_id = m.image_id and c.source_id = m.source_id and c.first_answered_at < m.first_seen
		join images i on i.id = m.image_id`, `exists (select 1 from registry_sources rs where rs.registry_id = g.id and rs.source_id = m.source_id)
		and not exists (select 1 from source_findings o join registry_sources rs on rs.source_id = o.source_id and rs.registry_id = g.id
			where o.image_id = m.image_id and o.vulnerability_id = m.vulnerability_id and o.first_seen < m.first_seen and o.gone_at is null)
		and not (g.built_in and exists (select 1 from inventory_packages ip join matches o on o.package_id = ip.package_id
			where ip.inventory_id = i.inventory_id and ip.owner = '' and o.vulnerability_id = m.vulnerability_id and o.first_seen <= m.first_seen and o.gone_at is null))`)
}

// tellFindings tells of the rows m of a table that were added, in the images i to
// which a join leads, and in the registries g for which a condition holds.
//
// Such rows are only written one transaction after the other, so that their ids
// are in the order in which they can be seen.
func (s *Store) tellFindings(ctx context.Context, cursor, table, join, where string) (told int, more bool, err error) {
	return s.tell(ctx, cursor, func(q querier, from int64) (events []notify.Event, to int64, err error) {
		var last sql.NullInt64
		if err := q.QueryRowContext(ctx, `select max(id) from (select id from `+table+` where id > $1 order by id limit $2) m`, from, newsBatch).Scan(&last); err != nil || !last.Valid {
			return nil, from, err
		}
		events, err = newFindings(ctx, q, table, join, where, from, last.Int64)
		return events, last.Int64, err
	})
}

// newlyAffected is what one registry has of a new vulnerability.
type newlyAffected struct {
	Registry string `json:"registry"`
	Images   int    `json:"images"`
	// Sample is one of them.
	Sample string `json:"sample"`
}

// newFindings makes an event for each vulnerability of the rows after from up to to,
// see tellFindings.
func newFindings(ctx context.Context, q querier, table, join, where string, from, to int64) ([]notify.Event, error) {
	type row struct {
		name, description string
		severity          advisory.Severity
		exploited         bool
		fixable           bool
		packages          string
		newlyAffected
	}
	found, err := queryAll(ctx, q, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.name, &r.description, &r.severity, &r.exploited, &r.fixable, &r.packages, &r.Registry, &r.Images, &r.Sample)
		return r, err
	}, `select v.name, v.description, max(`+effective+`), v.exploited_at is not null, max(case when m.fixed <> '' then 1 else 0 end) = 1,
			min(p.name), g.name, count(distinct i.id), min(r.name || '@' || i.digest)
		from `+table+` m
		join vulnerabilities v on v.id = m.vulnerability_id
		join packages p on p.id = m.package_id
		`+join+`
		join manifests f on f.digest = i.digest
		join repositories r on r.id = f.repository_id
		join registries g on g.id = r.registry_id
		where m.id > $1 and m.id <= $2 and m.gone_at is null and `+where+`
		group by v.name, v.description, v.exploited_at, g.name
		order by v.name, g.name`, from, to)
	if err != nil {
		return nil, err
	}
	var events []notify.Event
	for chunk := range chunkBy(found, func(r row) string { return r.name }) {
		first := chunk[0]
		e := notify.Event{Type: notify.NewFindings, Path: "/vulnerabilities/" + first.name, Exploited: first.exploited}
		images := 0
		places := make([]newlyAffected, len(chunk))
		var lines []string
		for i, r := range chunk {
			e.Severity, images, places[i] = max(e.Severity, r.severity), images+r.Images, r.newlyAffected
			e.Registries = append(e.Registries, r.Registry)
			lines = append(lines, fmt.Sprintf("%s: %s, such as %s", r.Registry, several(r.Images, "image"), r.Sample))
		}
		e.Title = fmt.Sprintf("%s (%s) in %s: %s", first.name, e.Severity, first.packages, several(images, "stored image"))
		if first.exploited {
			e.Title = "Exploited: " + e.Title
		}
		text := []string{strings.Join(lines, "\n")}
		if first.fixable {
			text = append(text, "There is a fix.")
		}
		if first.description != "" {
			text = append(text, first.description)
		}
		e.Text = strings.Join(text, "\n\n")
		data, err := json.Marshal(map[string]any{"vulnerability": first.name, "severity": e.Severity.String(), "exploited": first.exploited,
			"fix_available": first.fixable, "package": first.packages, "images": images, "registries": places})
		if err != nil {
			return nil, err
		}
		e.Data = data
		events = append(events, e)
	}
	slices.SortStableFunc(events, func(a, b notify.Event) int { return cmp.Compare(b.Severity, a.Severity) })
	return events, nil
}

func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// chunkBy yields the runs of a list that have a key in common.
func chunkBy[T any](list []T, key func(T) string) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for start := 0; start < len(list); {
			end := start + 1
			for end < len(list) && key(list[end]) == key(list[start]) {
				end++
			}
			if !yield(list[start:end]) {
				return
			}
			start = end
		}
	}
}
