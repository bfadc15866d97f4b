-- When a source first answered for an image: what it reports later is news.
alter table source_scans add column first_answered_at bigint;
update source_scans set first_answered_at = answered_at;
insert into cursors (name, position) select 'told-reports', coalesce(max(id), 0) from source_findings;
