package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// workflowFleet stores images that have ten findings each, on few packages that
// nearly all have and many that few have, and what people decided about them. A
// tenth of the images is in a registry to which an external source is attached,
// which reports half of that, too, and as much more.
func workflowFleet(ctx context.Context, d *database, images int) error {
	text := "text"
	bytes := "cast('{}' as blob)"
	if d.server != nil {
		bytes = "convert_to('{}', 'UTF8')"
	}
	now := time.Now().Add(-24 * time.Hour).UnixMicro()
	vulnerabilities, packages := max(images/5, 500), max(images/5, 500)
	// numbers are from 0 to n-1.
	numbers := func(n int) string {
		return fmt.Sprintf(`(with recursive c (n) as (select 0 union all select n + 1 from c where n < %d) select n from c) f`, n-1)
	}
	const digest = `'sha256:' || substr('0000000000000000000000000000000000000000000000000000000000000000' || n, -64)`
	sha := digest
	if d.server != nil {
		sha = `'sha256:' || lpad(cast(n as text), 64, '0')`
	}
	// The packages of image n: one that all have, four of two hundred, five of the rest.
	const of = `(case when slot = 0 then 0 when slot < 5 then 1 + (n % 50) * 4 + slot - 1 else 201 + (n * 5 + slot) % (PACKAGES - 201) end)`
	pairs := `(select n, slot, ` + of + ` as p from ` + numbers(images) + ` cross join (select 0 as slot union select 1 union select 2 union select 3 union select 4
		union select 5 union select 6 union select 7 union select 8 union select 9) s) f`
	for _, statement := range []string{
		`insert into registries (id, name, created_at) values (1000000, 'fleet', NOW), (1000001, 'scanned', NOW)`,
		`insert into extensions (name, enabled) values ('clair-v4', true) on conflict do nothing`,
		`insert into repositories (id, registry_id, name, created_at, updated_at)
			select ID, case when n % 10 = 0 then 1000001 else 1000000 end, 'team/app-' || n, NOW, NOW from ` + numbers(max(1, images/50)),
		`insert into packages (id, type, distribution, name, version, architecture, source_name, source_version)
			select ID, 'deb', 'debian:12', 'package-' || (n / 4), '1.' || (n % 4), 'amd64', 'source-' || (n / 8), '1.' || (n % 4) from ` + numbers(packages),
		`insert into vulnerabilities (id, name, description, severity, cvss, exploited_at, first_seen)
			select ID, 'CVE-2024-' || (10000 + n), 'Something that somebody can do to somebody else, at length. Something that somebody can do to somebody else.',
				1 + n * 7 % 5, (n * 13 % 100) / 10.0, case when n % 100 = 7 then NOW else null end, NOW - cast(n as bigint) * 1000000 from ` + numbers(vulnerabilities),
		`insert into epss (name, score, percentile) select 'CVE-2024-' || (10000 + n), (n * 17 % 1000) / 1000.0, 0.5 from ` + numbers(vulnerabilities),
		`insert into matches (id, package_id, vulnerability_id, feed, part, fixed, severity, first_seen)
			select ID, ID, 1000000000 + (n * 7919) % VULNERABILITIES, 'debian', '12', case when n % 3 = 0 then '2' else '' end, 0, NOW - cast(n as bigint) * 1000000 from ` + numbers(packages),
		`insert into inventories (id, key, distribution, distribution_name, created_at) select ID, 'bench ' || n, 'debian:12', 'Debian 12', NOW from ` + numbers(images),
		`insert into files (id, path, detector) values (1000000000, 'var/lib/dpkg/status', 'dpkg')`,
		`insert into inventory_packages (inventory_id, package_id, file_id, layer_position)
			select distinct ID, 1000000000 + p, 1000000000, 0 from ` + pairs,
		`insert into images (id, digest, media_type, os, architecture, state, inventory_id, created_at, analysed_at)
			select ID, DIGEST, 'application/vnd.oci.image.manifest.v1+json', 'linux', 'amd64', 'done', ID, NOW, NOW from ` + numbers(images),
		`insert into manifests (id, repository_id, digest, media_type, size, content, pushed_by, pushed_at)
			select ID, 1000000000 + n / 50 % REPOSITORIES, DIGEST, 'application/vnd.oci.image.manifest.v1+json', 2, BYTES, 'admin', NOW from ` + numbers(images),
		`insert into tags (repository_id, name, digest, updated_at) select 1000000000 + n / 50 % REPOSITORIES, 't' || (n % 50), DIGEST, NOW from ` + numbers(images),
		`insert into vulnerability_sources (id, name, extension, url, timeout_seconds, concurrency, created_at, updated_at)
			values (1000000, 'scanner', 'clair-v4', 'http://127.0.0.1:1', 60, 1, NOW, NOW)`,
		`insert into registry_sources (registry_id, source_id, attached_at) values (1000001, 1000000, NOW)`,
		`insert into source_scans (image_id, source_id, state, answered_at, inventory_id) select ID, 1000000, 'answered', NOW, ID from ` + numbers(images) + ` where n / 50 % 10 = 0`,
		`insert into source_findings (image_id, source_id, vulnerability_id, package_id, name, severity, fixed, first_seen)
			select distinct ID, 1000000, 1000000000 + (case when slot < 5 then (p * 7919) % VULNERABILITIES else (p * 7919 + 1) % VULNERABILITIES end), 1000000000 + p, 'said', 1 + p % 5, '', NOW
			from ` + pairs + ` where n / 50 % 10 = 0`,
		`insert into assessments (vulnerability_id, type_id, scope_kind, scope_value, author, comment, created_at, expires_at, ended_at, ended_reason)
			select ID, (select min(id) from assessment_types), 'everywhere', '', 'admin', 'bench', NOW - cast(n as bigint) * 1000000, null,
				case when n % 8 = 4 then NOW else null end, case when n % 8 = 4 then 'expired' else '' end from ` + numbers(vulnerabilities) + ` where n % 4 = 0`,
		`insert into assessments (vulnerability_id, type_id, scope_kind, scope_value, author, comment, created_at)
			select ID, (select max(id) from assessment_types), 'repository', 'fleet/team/app-' || (n % 100), 'admin', 'bench', NOW - cast(n as bigint) * 1000000 from ` + numbers(vulnerabilities) + ` where n % 4 = 1`,
		`insert into audit_log (at, actor, action, object) select NOW + n, 'user-' || (n % 50), 'thing-' || (n % 20) || '.change', 'thing ' || n from ` + numbers(images),
		`insert into jobs (kind, key, state, max_attempts, run_at, created_at, finished_at)
			select 'kind-' || (n % 10), n, case when n % 20 = 0 then 'failed' else 'done' end, 1, NOW, NOW, FUTURE from ` + numbers(images),
	} {
		statement = strings.NewReplacer("ID", "1000000000 + n", "DIGEST", sha, "NOW", fmt.Sprintf("cast(%d as bigint)", now), "FUTURE", fmt.Sprintf("cast(%d as bigint)", time.Now().UnixMicro()),
			"BYTES", bytes, "PACKAGES", fmt.Sprint(packages), "VULNERABILITIES", fmt.Sprint(vulnerabilities), "REPOSITORIES", fmt.Sprint(max(1, images/50)), "TEXT", text).Replace(statement)
		if d.server != nil {
			statement = strings.NewReplacer("'thing ' || n", "'thing ' || n", "n, case when n % 20", "cast(n as text), case when n % 20").Replace(statement)
		}
		if _, err := d.sql.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%.80s…: %w", statement, err)
		}
	}
	return nil
}
