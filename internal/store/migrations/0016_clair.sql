-- Manifests that clients of Clair's v4 API had indexed. Images of our own
-- registries are not repeated here.
create table clair_manifests (
  hash text primary key,
  inventory_id bigint references inventories (id), -- null where it could not be indexed
  error text not null default '',
  detectors text not null,
  created_at bigint not null
);
create index clair_manifests_inventory on clair_manifests (inventory_id);

create table clair_manifest_layers (
  hash text not null references clair_manifests (hash) on delete cascade,
  position integer not null,
  layer text not null, -- as the client names it
  digest text not null, -- of its analysis
  primary key (hash, position)
){{clustered}};
create index clair_manifest_layers_digest on clair_manifest_layers (digest);

-- The repository that a layer of the v1 API was fetched from: layers of one
-- repository that arrive alone tell each other's distribution.
alter table clair_layers add column origin text not null default '';
-- The detectors that it was indexed by.
alter table clair_layers add column detectors text not null default '';
create index clair_layers_origin on clair_layers (origin) where origin <> '';
create index clair_layers_inventory on clair_layers (inventory_id);

-- What a reading of a feed changed in the matches of packages: the update
-- operations of Clair's matcher, and what its notifier tells of.
create table clair_updates (
  id {{id}},
  ref text not null unique, -- a UUID
  feed text not null,
  part text not null,
  created_at bigint not null,
  ended_at bigint, -- null while the feed is being read
  told boolean not null default false -- its notifications are made
);
create index clair_updates_part on clair_updates (feed, part, id);
create index clair_updates_untold on clair_updates (id) where not told;

create table clair_changes (
  id {{id}},
  update_id bigint not null references clair_updates (id) on delete cascade,
  package_id bigint not null,
  vulnerability text not null,
  reason text not null, -- added, removed, changed
  before text not null default '', -- match.Statement as JSON, as far as a match keeps it
  after text not null default ''
);
create index clair_changes_update on clair_changes (update_id, id);

create table clair_notifications (
  id text primary key, -- a UUID; v1 calls it the notification's name
  api text not null, -- v1, v4
  update_id bigint,
  content text not null default '', -- v1: the vulnerability before and after, as JSON
  created_at bigint not null,
  notified_at bigint,
  deleted_at bigint,
  attempts integer not null default 0,
  next_at bigint -- when it is sent (again); null when that is over
);
create index clair_notifications_due on clair_notifications (api, next_at) where next_at is not null;

create table clair_notices (
  notification_id text not null references clair_notifications (id) on delete cascade,
  id text not null, -- a UUID
  content text not null, -- v4: the notification as JSON
  primary key (notification_id, id)
){{clustered}};

-- Vulnerabilities that clients wrote by the v1 API, as they wrote them. What they
-- state is among the advisories, as the feed "clair".
create table clair_written (
  namespace text not null,
  name text not null,
  content text not null, -- clairapi.Written as JSON
  primary key (namespace, name)
){{clustered}};

-- Scans that clients of the pluggable scanner API asked for.
create table adapter_scans (
  id text primary key,
  artifact text not null, -- clairapi.Artifact as JSON
  state text not null, -- pending, done, failed
  error text not null default '',
  created_at bigint not null
);
create index adapter_scans_created on adapter_scans (created_at);
