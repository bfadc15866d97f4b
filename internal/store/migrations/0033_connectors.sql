-- Upstream registries that registries pull through.
create table connectors (
  id {{id}},
  name text not null unique,
  url text not null,
  username text not null default '',
  password {{bytes}}, -- sealed; null where there is none
  ca text not null default '', -- PEM
  skip_verify boolean not null default false,
  timeout_seconds integer not null,
  concurrency integer not null,
  tag_seconds integer not null, -- for how long a tag is not asked for again
  allowed text not null default '[]', -- patterns of repositories
  denied text not null default '[]',
  trusted_hosts text not null default '[]', -- in private networks, beside that of the URL
  version bigint not null default 1, -- moves at each change, for If-Match
  created_at bigint not null,
  updated_at bigint not null
);

create table registry_connectors (
  registry_id bigint not null references registries (id) on delete cascade,
  connector_id bigint not null references connectors (id) on delete cascade,
  position integer not null, -- in this order they are asked
  primary key (registry_id, connector_id)
){{clustered}};
create index registry_connectors_connector on registry_connectors (connector_id);

-- Tags that came from upstream, as long as nobody pushes them.
create table cached_tags (
  repository_id bigint not null references repositories (id) on delete cascade,
  name text not null,
  digest text not null,
  connector text not null,
  checked_at bigint not null, -- when upstream last said so
  primary key (repository_id, name)
){{clustered}};

-- Manifests that came from upstream, as long as nobody pushes them.
create table cached_manifests (
  repository_id bigint not null references repositories (id) on delete cascade,
  digest text not null,
  connector text not null,
  pulled_at bigint not null, -- the last pull, to the hour
  primary key (repository_id, digest)
){{clustered}};
create index cached_manifests_pulled on cached_manifests (pulled_at);
