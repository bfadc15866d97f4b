-- Whether the built-in analyser is attached; it is no row of vulnerability_sources.
alter table registries add column built_in boolean not null default true;

-- What an administrator said of the kinds of sources; the others are off.
create table extensions (
  name text primary key,
  enabled boolean not null
);

create table vulnerability_sources (
  id {{id}},
  name text not null unique,
  extension text not null,
  url text not null,
  credential {{bytes}}, -- the Authorization header, sealed; null where there is none
  ca text not null default '', -- PEM
  skip_verify boolean not null default false,
  timeout_seconds integer not null,
  concurrency integer not null,
  version bigint not null default 1, -- moves at each change, for If-Match
  created_at bigint not null,
  updated_at bigint not null
);

create table registry_sources (
  registry_id bigint not null references registries (id) on delete cascade,
  source_id bigint not null references vulnerability_sources (id) on delete cascade,
  attached_at bigint not null,
  primary key (registry_id, source_id)
){{clustered}};
create index registry_sources_source on registry_sources (source_id);

-- What a source was, or is to be, asked of an image.
create table source_scans (
  id {{id}},
  image_id bigint not null references images (id) on delete cascade,
  source_id bigint not null references vulnerability_sources (id) on delete cascade,
  state text not null, -- queued, running, answered, waiting, quarantined
  attempts integer not null default 0, -- since it was last asked for
  error text not null default '',
  handle text not null default '', -- the source's own word for what it knows of the image
  owner text not null default '', -- who asks, while running
  inventory_id bigint, -- by which the last good answer was read
  asked_at bigint, -- the start of the last try
  answered_at bigint, -- the last good answer, which stands until there is a newer one
  next_try_at bigint, -- when it is due; while running: when others may take it over; null for never
  unique (image_id, source_id)
);
create index source_scans_due on source_scans (source_id, next_try_at) where next_try_at is not null;
create index source_scans_source on source_scans (source_id, id);

-- What sources report, each on its own. A finding that ended stays, with gone_at.
create table source_findings (
  id {{id}},
  image_id bigint not null references images (id) on delete cascade,
  source_id bigint not null references vulnerability_sources (id) on delete cascade,
  vulnerability_id bigint not null references vulnerabilities (id),
  package_id bigint not null references packages (id), -- of the image's inventory where it is there
  name text not null, -- the source's for the vulnerability
  severity integer not null, -- 0: the vulnerability's counts
  fixed text not null default '',
  link text not null default '',
  layer_position integer, -- null where the source does not say
  first_seen bigint not null,
  gone_at bigint
);
create unique index source_findings_live on source_findings (image_id, source_id, vulnerability_id, package_id) where gone_at is null;
create index source_findings_vulnerability on source_findings (vulnerability_id, image_id) where gone_at is null;
create index source_findings_source on source_findings (source_id);
create index source_findings_past on source_findings (image_id) where gone_at is not null;
