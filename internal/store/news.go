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

// newsBatch is how many matches are looked at in one transaction.
const newsBatch = 20_000

// TellNewFindings writes an event for each vulnerability that images which were
// analysed before turned out to have, and goes on from there the next time. It
// returns how many events it wrote, and whether there is more to look at.
//
// Matches are only written one transaction after the other, so that their ids
// are in the order in which they can be seen.
func (s *Store) TellNewFindings(ctx context.Context) (told int, more bool, err error) {
	return s.tell(ctx, "told-matches", func(q querier, from int64) (events []notify.Event, to int64, err error) {
		var last sql.NullInt64
		if err := q.QueryRowContext(ctx, `select max(id) from (select id from matches where id > $1 order by id limit $2) m`, from, newsBatch).Scan(&last); err != nil || !last.Valid {
			return nil, from, err
		}
		events, err = newFindings(ctx, q, from, last.Int64)
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

// newFindings makes an event for each vulnerability of matches after from up to
// to. An image that was analysed after its match was there is none: whoever
// pushed it was told then.
func newFindings(ctx context.Context, q querier, from, to int64) ([]notify.Event, error) {
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
		from matches m
		join vulnerabilities v on v.id = m.vulnerability_id
		join packages p on p.id = m.package_id
		join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
		join images i on i.inventory_id = ip.inventory_id and i.analysed_at < m.first_seen
		join manifests f on f.digest = i.digest
		join repositories r on r.id = f.repository_id
		join registries g on g.id = r.registry_id
		where m.id > $1 and m.id <= $2 and m.gone_at is null
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
