-- As matches have: since when a source states a fix of what had none at first, and
-- when the severity that it gives last rose; null where neither happened.
alter table source_findings add column fixed_at bigint;
alter table source_findings add column raised_at bigint;
create index source_findings_news on source_findings (vulnerability_id) where gone_at is null and (fixed_at is not null or raised_at is not null);
-- Rules have not seen yet what sources reported so far.
insert into assessment_due (vulnerability_id, at)
  select distinct vulnerability_id, cast(0 as bigint) from source_findings where gone_at is null order by vulnerability_id
  on conflict (vulnerability_id) do nothing;
