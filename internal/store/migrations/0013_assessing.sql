-- What a type does beside blocking, which findings it assesses by itself, and what
-- returns those that people assessed with it to Unassessed.
alter table assessment_types add column warns boolean not null default false; -- never with blocks
alter table assessment_types add column enabled boolean not null default true;
alter table assessment_types add column rule text not null default ''; -- assess.Rule as JSON; '' for none
alter table assessment_types add column reopen text not null default ''; -- assess.Reopening, separated by commas
alter table assessment_types add column for_vex boolean not null default false; -- what VEX statements become
alter table assessment_types add column version bigint not null default 1; -- moves with each change
alter table assessment_types add column deleted_at bigint; -- it stays for what was assessed with it
update assessment_types set warns = true where name = 'Caution' and not blocks;
update assessment_types set reopen = 'fix_available,severity_raised,exploited' where not blocks;
update assessment_types set for_vex = true where name = 'Ignore';

alter table assessments add column justification text not null default ''; -- in the words of VEX
alter table assessments add column automatic boolean not null default false; -- its type's rule took it
alter table assessments add column version bigint not null default 1; -- moves with each edit
alter table assessments add column ended_note text not null default ''; -- what made it end, in words
create index assessments_automatic on assessments (type_id) where automatic and ended_at is null;

-- Since when a fix is stated of a finding that had none at first, and when its
-- severity last rose; null where neither happened.
alter table matches add column fixed_at bigint;
alter table matches add column raised_at bigint;
-- When it was first seen on a list of exploited vulnerabilities, which may be
-- later than the list says; null where that was before this column, or never.
alter table vulnerabilities add column listed_at bigint;

-- What happened to assessments. Rows are only added, and each has the hash of
-- itself and the one before: assess.Event says how.
create table assessment_events (
  id bigint primary key, -- from 1, without gaps
  assessment_id bigint not null references assessments (id),
  vulnerability_id bigint not null references vulnerabilities (id), -- to find it by; follows joined vulnerabilities
  at bigint not null,
  actor text not null,
  action text not null,
  detail text not null, -- assess.Snapshot as JSON
  hash {{bytes}} not null
);
create index assessment_events_assessment on assessment_events (assessment_id, id);
create index assessment_events_vulnerability on assessment_events (vulnerability_id, id);

-- The end of the chain. Its row is what those who add wait for.
create table assessment_chain (
  id integer primary key, -- 1
  length bigint not null,
  hash {{bytes}} not null
);

-- The vulnerabilities of whose findings something changed that rules and live
-- assessments may care about.
create table assessment_due (
  vulnerability_id bigint primary key,
  at bigint not null
);
