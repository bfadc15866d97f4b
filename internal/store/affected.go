package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
)

// Triggers note in found_due of which images and vulnerabilities findings may have
// changed, whatever changed them. Before a transaction ends, count compares what is
// found in these with the table found, and brings all that counts it up to date:
// affected, affected_spans and image_risks. So lists and figures are right at
// once, at a cost in proportion to what changed.
//
// Where that is much, as when a feed speaks of what many images have, the
// transaction leaves it, and CountFindings does it soon after in short transactions.
// Findings and verdicts of images are never counted: they are right at once, always.

// findingsAtOnce bounds the findings that a transaction counts, which are in memory
// then: some hundredths of a second's work.
const findingsAtOnce = 1000

// dueAtOnce bounds the images and vulnerabilities that it looks at.
const dueAtOnce = 1000

// labelsAtOnce bounds the vulnerabilities whose own properties it takes over.
const labelsAtOnce = 5000

// count does what is due since the transaction began, or as much as can be done at
// once. It comes last in a transaction, since it takes the lock of all who count.
func (s *Store) count(ctx context.Context, tx *sql.Tx) error {
	var due bool
	if err := tx.QueryRowContext(ctx, `select exists (select 1 from found_due where later = false)`).Scan(&due); err != nil {
		return fmt.Errorf("count findings: %w", err)
	}
	if !due {
		return nil
	}
	if err := s.countSome(ctx, tx, false); err != nil {
		return fmt.Errorf("count findings: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `update found_due set later = true where later = false`); err != nil {
		return fmt.Errorf("leave findings to be counted: %w", err)
	}
	return nil
}

// CountFindings does a part of the counting that was left, in a transaction that is
// over soon, and tells how many images and vulnerabilities are left after it.
func (s *Store) CountFindings(ctx context.Context) (left int, err error) {
	if left, err = s.uncounted(ctx, s.read); err != nil || left == 0 {
		return left, err
	}
	err = s.tx(ctx, func(tx *sql.Tx) (err error) {
		if err = s.countSome(ctx, tx, true); err == nil {
			left, err = s.uncounted(ctx, tx)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count findings: %w", err)
	}
	return left, nil
}

// uncounted is how many images and vulnerabilities are due.
func (s *Store) uncounted(ctx context.Context, q querier) (n int, err error) {
	if err := q.QueryRowContext(ctx, `select count(*) from found_due`).Scan(&n); err != nil {
		return 0, fmt.Errorf("what is to be counted: %w", err)
	}
	return n, nil
}

// due is a row of found_due, or several on one vulnerability.
type due struct {
	ids                  []int64
	image, vulnerability int64
	passed               int64
}

// countSome does at most so much of what was left for later, or of what this
// transaction made due: then vulnerabilities are counted only if all of them soon are.
func (s *Store) countSome(ctx context.Context, tx *sql.Tx, later bool) error {
	where := `later = false`
	if later {
		where = `later = true`
	}
	if err := s.lockCounting(ctx, tx); err != nil {
		return err
	}
	images, vulnerabilities, err := s.dueNow(ctx, tx, where)
	if err != nil {
		return err
	}
	c := counting{Store: s, tx: tx, of: make(map[int64]*counted), left: s.findingsAtOnce}
	for chunk := range slices.Chunk(images, 8) {
		if c.left <= 0 {
			break
		}
		if err := c.images(ctx, chunk); err != nil {
			return fmt.Errorf("of images: %w", err)
		}
	}
	if err := c.vulnerabilities(ctx, vulnerabilities, later); err != nil {
		return fmt.Errorf("of vulnerabilities: %w", err)
	}
	if err := c.write(ctx); err != nil {
		return err
	}
	return c.label(ctx, where)
}

// label brings up to date what is known of vulnerabilities themselves: of many, for
// that is soon done.
func (c *counting) label(ctx context.Context, where string) error {
	ids, err := queryAll(ctx, c.tx, scanID, `delete from found_due where id in (select id from found_due where label and `+where+` order by id limit $1)
		returning vulnerability_id`, labelsAtOnce)
	if err != nil {
		return fmt.Errorf("labels: %w", err)
	}
	slices.Sort(ids)
	for chunk := range slices.Chunk(anys(slices.Compact(ids)), relationRows) {
		list := c.relation("id bigint", chunk)
		if _, err := c.tx.ExecContext(ctx, `update affected set (name, cvss, epss, exploited) = (
				select v.name, v.cvss, coalesce(e.score, 0), v.exploited_at is not null
				from vulnerabilities v left join epss e on e.name = v.name where v.id = affected.vulnerability_id)
			where vulnerability_id in (`+list.query+`) and exists (select 1 from vulnerabilities v where v.id = affected.vulnerability_id)`, list.args...); err != nil {
			return fmt.Errorf("labels: %w", err)
		}
	}
	return nil
}

// lockCounting keeps others from counting until the transaction ends.
func (s *Store) lockCounting(ctx context.Context, tx *sql.Tx) error {
	return s.lock(ctx, tx, 727_002)
}

// dueNow reads what is due, each image and vulnerability once.
func (s *Store) dueNow(ctx context.Context, tx *sql.Tx, where string) (images, vulnerabilities []due, err error) {
	at := make(map[[2]int64]*due)
	var order []*due
	_, err = queryAll(ctx, tx, func(rows *sql.Rows) (none struct{}, err error) {
		var id, passed int64
		var image, vulnerability sql.NullInt64
		if err := rows.Scan(&id, &image, &vulnerability, &passed); err != nil {
			return none, err
		}
		key := [2]int64{image.Int64, vulnerability.Int64}
		d := at[key]
		if d == nil {
			d = &due{image: image.Int64, vulnerability: vulnerability.Int64, passed: passed}
			at[key] = d
			order = append(order, d)
		}
		d.ids, d.passed = append(d.ids, id), min(d.passed, passed)
		return none, nil
	}, `select id, image_id, vulnerability_id, passed from found_due where not label and `+where+` order by id limit $1`, dueAtOnce)
	for _, d := range order {
		if d.image != 0 {
			images = append(images, *d)
		} else {
			vulnerabilities = append(vulnerabilities, *d)
		}
	}
	return images, vulnerabilities, err
}

// done forgets what was due.
func (c *counting) done(ctx context.Context, list []due) error {
	var ids []any
	for _, d := range list {
		ids = append(ids, anys(d.ids)...)
	}
	for chunk := range slices.Chunk(ids, relationRows) {
		if _, err := c.tx.ExecContext(ctx, `delete from found_due where id in (`+parameters(1, len(chunk))+`)`, chunk...); err != nil {
			return err
		}
	}
	return nil
}

func (c *counting) images(ctx context.Context, list []due) error {
	ids := make([]int64, len(list))
	for i, d := range list {
		ids[i] = d.image
	}
	if err := c.compare(ctx, span{column: "image_id", ids: ids}); err != nil {
		return err
	}
	return c.done(ctx, list)
}

// vulnerabilities counts those that are small enough together, or a part of the
// images of the first; where some is no use, all or none.
func (c *counting) vulnerabilities(ctx context.Context, list []due, some bool) error {
	const few = 50
	left := c.left
	if !some {
		left = min(left, c.findingsAtOnce/2)
	}
	if left <= 0 || !some && len(list) > few { // images took it all, or only to size them takes long
		return nil
	}
	var small []due
	for i, d := range list {
		const least = 10 // what one without any finding costs
		n, err := c.size(ctx, d.vulnerability, max(left, 0)+1)
		if err != nil {
			return err
		}
		if n <= left && d.passed == 0 {
			small, left = append(small, d), left-max(n, least)
			continue
		}
		switch {
		case !some:
			return nil
		case i == 0:
			return c.part(ctx, d)
		}
		break
	}
	for chunk := range slices.Chunk(small, few) {
		ids := make([]int64, len(chunk))
		for i, d := range chunk {
			ids[i] = d.vulnerability
			c.about(d.vulnerability).anew = true
		}
		if err := c.compare(ctx, span{column: "vulnerability_id", ids: ids}); err != nil {
			return err
		}
		if err := c.done(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// size is about how much there is to be compared of a vulnerability, at most limit
// of each kind.
func (c *counting) size(ctx context.Context, vulnerability int64, limit int) (n int, err error) {
	err = c.tx.QueryRowContext(ctx, `select (select count(*) from (select 1 from matches m join inventory_packages ip on ip.package_id = m.package_id
				where m.vulnerability_id = $1 and m.gone_at is null limit $2) a)
			+ (select count(*) from (select 1 from found where vulnerability_id = $1 limit $2) b)
			+ (select count(*) from (select 1 from source_findings where vulnerability_id = $1 and gone_at is null limit $2) c)`, vulnerability, limit).Scan(&n)
	return n, err
}

// part counts the next images of a vulnerability, in the order of their inventories.
func (c *counting) part(ctx context.Context, d due) error {
	var n int
	var upto sql.NullInt64
	if err := c.tx.QueryRowContext(ctx, `select count(*), max(at) from (select at from (
			select ip.inventory_id as at from matches m join inventory_packages ip on ip.package_id = m.package_id and ip.inventory_id > $2
				where m.vulnerability_id = $1 and m.gone_at is null
			union all select i.inventory_id from found f join images i on i.id = f.image_id
				where f.vulnerability_id = $1 and i.inventory_id > $2
			) every order by at limit $3) next`, d.vulnerability, d.passed, c.findingsAtOnce).Scan(&n, &upto); err != nil {
		return err
	}
	last := n < c.findingsAtOnce
	if last {
		upto.Int64 = math.MaxInt64 // and images without an inventory
	}
	c.about(d.vulnerability).anew = true
	if err := c.compare(ctx, span{column: "vulnerability_id", ids: []int64{d.vulnerability}, part: true, after: d.passed, upto: upto.Int64}); err != nil {
		return err
	}
	if last {
		return c.done(ctx, []due{d})
	}
	if err := c.done(ctx, []due{{ids: d.ids[1:]}}); err != nil {
		return err
	}
	_, err := c.tx.ExecContext(ctx, `update found_due set passed = $1 where id = $2`, upto.Int64, d.ids[0])
	return err
}

// counting is on its way to bring the figures of vulnerabilities up to date.
type counting struct {
	*Store
	tx   *sql.Tx
	of   map[int64]*counted
	left int // findings that may still be looked at
}

// counted is what changed of a vulnerability.
type counted struct {
	images    int // more, or less
	fixable   bool
	firstSeen int64 // in what was looked at; 0 where nothing was
	since     int64 // when that was in an image that is stored
	anew      bool  // all of it is to be looked at
	graded    bool  // the severity in some image differs
}

func (c *counting) about(id int64) *counted {
	if c.of[id] == nil {
		c.of[id] = &counted{}
	}
	return c.of[id]
}
