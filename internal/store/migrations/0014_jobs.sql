-- Schedules follow the clocks of a place, and are changed by people who saw them.
alter table schedules add column time_zone text not null default 'UTC';
alter table schedules add column revision bigint not null default 1; -- moves with each change by people

alter table jobs add column cancel_at bigint; -- when somebody asked for its end
alter table jobs add column progress_done bigint not null default 0;
alter table jobs add column progress_total bigint not null default 0; -- 0 where it is not known
alter table jobs add column changed_at bigint not null default 0; -- for those who watch
update jobs set changed_at = coalesce(finished_at, started_at, created_at);
create index jobs_changed on jobs (changed_at);

create table job_log (
  job_id bigint not null references jobs (id) on delete cascade,
  position integer not null, -- from 1, without gaps
  at bigint not null,
  level text not null, -- info, warning, error
  line text not null,
  primary key (job_id, position)
){{clustered}};

alter table images add column changed_at bigint not null default 0; -- for those who watch
update images set changed_at = coalesce(analysed_at, created_at);
create index images_changed on images (changed_at);

-- Since when nothing refers to what is derived from pushes. Whoever is about to
-- refer to it takes the mark away first; what keeps it for long is deleted.
alter table images add column unused_since bigint;
create index images_unused on images (unused_since) where unused_since is not null;
alter table inventories add column unused_since bigint;
create index inventories_unused on inventories (unused_since) where unused_since is not null;
alter table layers add column unused_since bigint;
create index layers_unused on layers (unused_since) where unused_since is not null;
-- The state "given up" of layers: tried time after time, see docs/jobs.md.
create index layers_given_up on layers (digest) where state = 'given up';
-- Packages are deleted once nothing refers to them.
create index source_findings_package on source_findings (package_id);
