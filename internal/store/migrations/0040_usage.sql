-- Pulls. They go with what was pulled.
create table tag_pulls (
  repository_id bigint not null,
  name text not null,
  pulls bigint not null,
  last_pull bigint not null,
  primary key (repository_id, name),
  foreign key (repository_id, name) references tags (repository_id, name) on delete cascade
){{clustered}};

create table manifest_pulls (
  repository_id bigint not null,
  digest text not null,
  pulls bigint not null,
  last_pull bigint not null,
  primary key (repository_id, digest),
  foreign key (repository_id, digest) references manifests (repository_id, digest) on delete cascade
){{clustered}};

create table repository_pulls (
  repository_id bigint primary key references repositories (id) on delete cascade,
  pulls bigint not null,
  last_pull bigint not null
){{clustered}};

-- Since when pulls are counted; null: since the repository was made.
alter table repositories add column counted_since bigint;
{{sqlite}}update repositories set counted_since = cast(strftime('%s', 'now') as integer) * 1000000;
{{postgres}}update repositories set counted_since = cast(extract(epoch from now()) as bigint) * 1000000;

-- Who else has a blob is in the index alone.
drop index repository_blobs_digest;
create index repository_blobs_digest on repository_blobs (digest, repository_id);
