-- Times are microseconds since the Unix epoch in UTC. Digests are "sha256:hex".
-- {{id}} and {{bytes}} are the two words that the engines spell differently.

create table registries (
  id {{id}},
  name text not null unique,
  description text not null default '',
  anonymous_pull boolean not null default false,
  policy text not null default '{}',
  created_at bigint not null
);

create table repositories (
  id {{id}},
  registry_id bigint not null references registries (id) on delete cascade,
  name text not null,
  created_at bigint not null,
  updated_at bigint, -- null until a manifest is pushed
  unique (registry_id, name)
);

-- A blob can be read in a repository only where it is linked.
create table repository_blobs (
  repository_id bigint not null references repositories (id) on delete cascade,
  digest text not null,
  size bigint not null,
  linked_at bigint not null,
  primary key (repository_id, digest)
);
create index repository_blobs_digest on repository_blobs (digest);

create table manifests (
  id {{id}},
  repository_id bigint not null references repositories (id) on delete cascade,
  digest text not null,
  media_type text not null,
  artifact_type text not null default '',
  subject text,
  size bigint not null,
  annotations text not null default '{}',
  content {{bytes}} not null,
  pushed_by text not null default '',
  pushed_at bigint not null,
  unique (repository_id, digest)
);
create index manifests_digest on manifests (digest);
create index manifests_subject on manifests (repository_id, subject, digest) where subject is not null;

create table manifest_references (
  manifest_id bigint not null references manifests (id) on delete cascade,
  kind text not null, -- config, layer, manifest, blob
  position integer not null,
  digest text not null,
  primary key (manifest_id, kind, position)
);
create index manifest_references_digest on manifest_references (digest);

create table tags (
  repository_id bigint not null references repositories (id) on delete cascade,
  name text not null,
  digest text not null,
  updated_at bigint not null,
  primary key (repository_id, name)
);
create index tags_digest on tags (repository_id, digest);

create table uploads (
  id text primary key,
  repository_id bigint not null references repositories (id) on delete cascade,
  started_at bigint not null
);

create table layers (
  digest text primary key,
  state text not null, -- pending, done, failed
  detectors text not null default '',
  error text not null default '',
  analysis {{bytes}}, -- inventory.Layer as JSON, zstd
  updated_at bigint not null
);

create table inventories (
  id {{id}},
  key text not null unique, -- of the detector set and the chain of layer digests
  distribution text not null default '',
  distribution_name text not null default '',
  warnings text not null default '[]',
  created_at bigint not null
);

create table packages (
  id {{id}},
  type text not null,
  distribution text not null default '',
  name text not null,
  version text not null,
  architecture text not null default '',
  source_name text not null default '',
  source_version text not null default '',
  unique (distribution, source_name, name, version, architecture, source_version, type)
);
create index packages_name on packages (name);

create table inventory_files (
  inventory_id bigint not null references inventories (id) on delete cascade,
  position integer not null,
  path text not null,
  detector text not null,
  primary key (inventory_id, position)
);

create table inventory_packages (
  inventory_id bigint not null references inventories (id) on delete cascade,
  package_id bigint not null references packages (id),
  file_position integer not null,
  layer_position integer not null,
  line integer not null default 0,
  primary key (inventory_id, package_id, file_position)
);
create index inventory_packages_package on inventory_packages (package_id, inventory_id);

create table images (
  id {{id}},
  digest text not null unique,
  media_type text not null,
  config_digest text not null default '',
  os text not null default '',
  architecture text not null default '',
  variant text not null default '',
  state text not null, -- pending, done, failed
  error text not null default '',
  inventory_id bigint references inventories (id),
  created_at bigint not null,
  analysed_at bigint
);
create index images_inventory on images (inventory_id);
create index images_pending on images (digest) where state = 'pending';

create table image_layers (
  image_id bigint not null references images (id) on delete cascade,
  position integer not null,
  digest text not null,
  size bigint not null,
  media_type text not null,
  created_by text not null default '',
  foreign_layer boolean not null default false,
  primary key (image_id, position)
);
create index image_layers_digest on image_layers (digest, image_id);

create table vulnerabilities (
  id {{id}},
  name text not null unique,
  description text not null default '',
  severity integer not null default 0,
  first_seen bigint not null
);

create table advisory_groups (
  id {{id}},
  feed text not null,
  part text not null,
  package text not null,
  fingerprint {{bytes}} not null,
  unique (feed, part, package)
);

create table advisories (
  id {{id}},
  group_id bigint not null references advisory_groups (id) on delete cascade,
  vulnerability_id bigint not null references vulnerabilities (id),
  ecosystem text not null,
  package text not null,
  status text not null,
  introduced text not null default '',
  fixed text not null default '',
  severity integer not null,
  note text not null default ''
);
create index advisories_group on advisories (group_id);
create index advisories_key on advisories (ecosystem, package);
create index advisories_vulnerability on advisories (vulnerability_id, ecosystem);

-- What a distinct package is affected by. A match that ended stays, with gone_at.
create table matches (
  id {{id}},
  package_id bigint not null references packages (id),
  vulnerability_id bigint not null references vulnerabilities (id),
  feed text not null,
  part text not null,
  introduced text not null default '',
  fixed text not null default '',
  severity integer not null,
  note text not null default '',
  first_seen bigint not null,
  gone_at bigint
);
create unique index matches_live on matches (package_id, vulnerability_id) where gone_at is null;
create index matches_vulnerability on matches (vulnerability_id, package_id) where gone_at is null;

create table feeds (
  name text primary key,
  last_attempt bigint,
  last_success bigint,
  last_change bigint,
  error text not null default ''
);

create table feed_parts (
  feed text not null,
  part text not null,
  url text not null, -- where it was read: upstream, or a mirror
  etag text not null default '',
  last_modified text not null default '',
  content_digest text not null default '',
  parser integer not null, -- the revision of the code that read it
  ecosystems text not null default '[]',
  packages integer not null default 0,
  records integer not null default 0,
  skipped integer not null default 0,
  problems text not null default '[]', -- the first of the skipped records
  error text not null default '', -- of the last attempt
  checked_at bigint, -- when upstream last confirmed it; null: never yet
  changed_at bigint,
  primary key (feed, part)
);

create table assessment_types (
  id {{id}},
  name text not null unique,
  color text not null,
  description text not null default '',
  blocks boolean not null,
  expiry_days integer,
  position integer not null
);

create table assessments (
  id {{id}},
  vulnerability_id bigint not null references vulnerabilities (id),
  type_id bigint not null references assessment_types (id),
  scope_kind text not null, -- everywhere, registry, repository, image, package
  scope_value text not null default '',
  comment text not null default '',
  author text not null,
  created_at bigint not null,
  expires_at bigint,
  ended_at bigint,
  ended_by text not null default '',
  ended_reason text not null default '' -- expired, superseded, withdrawn, scope deleted
);
create unique index assessments_live on assessments (vulnerability_id, scope_kind, scope_value) where ended_at is null;
create index assessments_expiry on assessments (expires_at) where ended_at is null and expires_at is not null;
create index assessments_history on assessments (vulnerability_id, id);
create index assessments_scope on assessments (scope_kind, scope_value, id);
create index assessments_type on assessments (type_id, id);

create table users (
  id {{id}},
  name text not null unique,
  password_hash text not null,
  administrator boolean not null default false,
  created_at bigint not null
);

create table api_keys (
  id {{id}},
  user_id bigint not null references users (id) on delete cascade,
  name text not null,
  hash {{bytes}} not null unique, -- SHA-256 of the key, which is 256 random bits
  prefix text not null,
  created_at bigint not null,
  expires_at bigint,
  last_used_at bigint
);

-- Keys that all replicas share, such as the one that signs registry tokens.
create table secrets (
  name text primary key,
  value {{bytes}} not null
);

create table audit_log (
  id {{id}},
  at bigint not null,
  actor text not null,
  action text not null,
  object text not null,
  detail text not null default '{}'
);

create table jobs (
  id {{id}},
  kind text not null,
  key text not null default '',
  payload text not null default '{}',
  state text not null, -- queued, running, done, failed
  attempts integer not null default 0,
  max_attempts integer not null,
  run_at bigint not null,
  lease_owner text not null default '',
  lease_until bigint,
  progress text not null default '',
  error text not null default '',
  created_at bigint not null,
  started_at bigint,
  finished_at bigint
);
create unique index jobs_unfinished on jobs (kind, key) where state in ('queued', 'running');
create index jobs_due on jobs (kind, run_at, id) where state = 'queued';
create index jobs_leases on jobs (lease_until) where state = 'running';
create index jobs_state on jobs (state, id);
create index jobs_kind on jobs (kind, id);
create index jobs_finished on jobs (finished_at) where finished_at is not null;

create table schedules (
  name text primary key,
  cron text not null,
  enabled boolean not null default true,
  next_run_at bigint not null,
  last_run_at bigint
);

create table clair_layers (
  name text primary key,
  parent_name text references clair_layers (name) on delete cascade,
  digest text not null,
  format text not null,
  inventory_id bigint not null references inventories (id),
  created_at bigint not null
);
create index clair_layers_parent on clair_layers (parent_name);
