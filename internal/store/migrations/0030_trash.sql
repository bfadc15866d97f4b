alter table registries add column trash_days integer; -- null: as the settings say

-- A repository in the trash keeps its row until the trash is emptied.
alter table repositories add column trashed_at bigint;
create index repositories_trashed on repositories (trashed_at) where trashed_at is not null;

create table trash (
  id {{id}},
  repository_id bigint not null references repositories (id) on delete cascade,
  digest text not null,
  tags text not null default '[]', -- names as JSON
  whole boolean not null, -- the manifest is here; else it was tags that were deleted
  media_type text not null default '',
  subject text not null default '',
  content {{bytes}},
  pushed_by text not null default '',
  pushed_at bigint,
  size bigint not null default 0, -- of the manifest and its blobs
  deleted_at bigint not null,
  deleted_by text not null,
  reason text not null,
  expires_at bigint not null
);
create index trash_repository on trash (repository_id, digest);
create index trash_subject on trash (repository_id, subject) where subject <> '';
create index trash_digest on trash (digest) where whole;
create index trash_expires on trash (expires_at);

create table trash_references (
  trash_id bigint not null references trash (id) on delete cascade,
  digest text not null,
  size bigint not null,
  primary key (trash_id, digest)
);
create index trash_references_digest on trash_references (digest);
