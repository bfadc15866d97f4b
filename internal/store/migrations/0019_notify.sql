-- Who is told of what.
create table receivers (
  id {{id}},
  name text not null unique,
  kind text not null, -- webhook, slack, teams, email
  url text not null default '',
  recipients text not null default '[]', -- e-mail addresses
  secret {{bytes}}, -- signs webhooks, sealed; null where there is none
  events text not null default '[]', -- [] is all
  registries text not null default '[]', -- [] is all
  min_severity integer not null default 0,
  exploited_only boolean not null default false,
  enabled boolean not null default true,
  version bigint not null default 1, -- moves at each change, for If-Match
  created_at bigint not null,
  updated_at bigint not null
);

-- What happened. It is written with what happened, and told afterwards, so that
-- nothing is lost.
create table events (
  id {{id}},
  type text not null,
  at bigint not null,
  content text not null, -- notify.Event as JSON
  dispatched boolean not null default false
);
create index events_waiting on events (id) where not dispatched;
create index events_past on events (at) where dispatched;

create table deliveries (
  id {{id}},
  receiver_id bigint not null references receivers (id) on delete cascade,
  event_id bigint not null references events (id) on delete cascade,
  state text not null, -- queued, delivered, failed
  attempts integer not null default 0,
  status integer not null default 0, -- of the last answer, 0 where there was none
  error text not null default '',
  answer text not null default '', -- the start of the last answer
  created_at bigint not null,
  finished_at bigint
);
create index deliveries_receiver on deliveries (receiver_id, id);
create index deliveries_event on deliveries (event_id);
create index deliveries_waiting on deliveries (created_at) where state = 'queued';

-- Up to where something that only grows was read.
create table cursors (
  name text primary key,
  position bigint not null
);
-- What is known already is no news.
insert into cursors (name, position) select 'told-matches', coalesce(max(id), 0) from matches;
insert into cursors (name, position) select 'told-assessment-events', coalesce(max(id), 0) from assessment_events;
insert into cursors (name, position) select 'told-audit', coalesce(max(id), 0) from audit_log;
insert into cursors (name, position) select 'told-failed-jobs', coalesce(max(finished_at), 0) from jobs;
insert into cursors (name, position) values ('told-expiring', 0);
