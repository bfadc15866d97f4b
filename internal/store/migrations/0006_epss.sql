-- How probable it is that a vulnerability is exploited: https://www.first.org/epss/.
-- By name, for most of those that are scored affect nothing that is stored.
create table epss (
  name text primary key, -- a CVE id
  score double precision not null,
  percentile double precision not null
){{clustered}};
