-- When a manifest came back from the trash, in microseconds. And SQLite gives the
-- number of what left the trash to nothing else any more: who restores by a list that
-- is not of this moment must not get another thing.
alter table manifests add column restored_at bigint;
{{sqlite}}create table trash_anew (id integer primary key autoincrement, repository_id bigint not null references repositories (id) on delete cascade, digest text not null, tags text not null default '[]', whole boolean not null, media_type text not null default '', subject text not null default '', content blob, pushed_by text not null default '', pushed_at bigint, size bigint not null default 0, deleted_at bigint not null, deleted_by text not null, reason text not null, expires_at bigint not null);
{{sqlite}}insert into trash_anew select id, repository_id, digest, tags, whole, media_type, subject, content, pushed_by, pushed_at, size, deleted_at, deleted_by, reason, expires_at from trash;
{{sqlite}}create table trash_references_anew (trash_id bigint not null references trash_anew (id) on delete cascade, digest text not null, size bigint not null, primary key (trash_id, digest));
{{sqlite}}insert into trash_references_anew select trash_id, digest, size from trash_references;
{{sqlite}}drop table trash_references;
{{sqlite}}drop table trash;
{{sqlite}}alter table trash_anew rename to trash;
{{sqlite}}alter table trash_references_anew rename to trash_references;
{{sqlite}}create index trash_repository on trash (repository_id, digest);
{{sqlite}}create index trash_subject on trash (repository_id, subject) where subject <> '';
{{sqlite}}create index trash_digest on trash (digest) where whole;
{{sqlite}}create index trash_expires on trash (expires_at);
{{sqlite}}create index trash_references_digest on trash_references (digest);
