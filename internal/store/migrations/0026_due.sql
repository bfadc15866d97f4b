-- A transaction that changes the findings of very many images leaves a part of the
-- counting to those who come later, see affected.go.
alter table found_due add column later boolean not null default false;
alter table found_due add column passed bigint not null default 0; -- the vulnerability is counted in the images with inventories up to this one
alter table found_due add column label boolean not null default false; -- only what is known of the vulnerability itself has changed
update found_due set later = true;
create index found_due_now on found_due (id) where not later;
create index found_due_of on found_due (vulnerability_id) where vulnerability_id is not null;

-- What is left to be counted may still have the name that another got meanwhile.
{{sqlite}}drop trigger found_grade; -- speaks of the table
{{sqlite}}drop trigger affected_grade;
{{sqlite}}drop trigger affected_score_in;
{{sqlite}}drop trigger affected_score_change;
{{sqlite}}drop trigger affected_score_out;
create table affected_now (
  vulnerability_id bigint primary key,
  name text not null, -- of the vulnerability, as are the next four
  cvss double precision not null,
  epss double precision not null,
  exploited boolean not null,
  severity integer not null, -- the gravest in any image
  images integer not null,
  fixable boolean not null, -- whether any affected package has a fix
  first_seen bigint not null
);
insert into affected_now select * from affected;
drop table affected;
alter table affected_now rename to affected;
create index affected_name on affected (name);
create index affected_severity on affected (severity desc, name);
create index affected_cvss on affected (cvss desc, name);
create index affected_epss on affected (epss desc, name);
create index affected_images on affected (images desc, name);
create index affected_first_seen on affected (first_seen desc, name);

-- Who changes rows of the table affected holds the lock of those who count: two who
-- changed the same rows in different orders would wait for each other.
{{sqlite}}create trigger found_grade after update of severity on vulnerabilities when new.severity <> old.severity and exists (select 1 from affected where vulnerability_id = new.id) begin insert into found_due (vulnerability_id) values (new.id); end;
{{sqlite}}create trigger affected_grade after update of cvss, exploited_at, name on vulnerabilities when exists (select 1 from affected where vulnerability_id = new.id) begin insert into found_due (vulnerability_id, label) values (new.id, true); end;
{{sqlite}}create trigger affected_score_in after insert on epss begin insert into found_due (vulnerability_id, label) select vulnerability_id, true from affected where name = new.name and epss <> new.score; end;
{{sqlite}}create trigger affected_score_change after update on epss begin insert into found_due (vulnerability_id, label) select vulnerability_id, true from affected where name = new.name and epss <> new.score; end;
{{sqlite}}create trigger affected_score_out after delete on epss begin insert into found_due (vulnerability_id, label) select vulnerability_id, true from affected where name = old.name; end;

{{postgres}}create or replace function affected_grade() returns trigger language plpgsql as $$ begin insert into found_due (vulnerability_id, label) select vulnerability_id, true from affected where vulnerability_id = new.id; return null; end $$;
{{postgres}}create or replace function affected_score() returns trigger language plpgsql as $$ begin insert into found_due (vulnerability_id, label) select a.vulnerability_id, true from changed c join affected a on a.name = c.name where a.epss <> c.score; return null; end $$;
{{postgres}}create or replace function affected_score_out() returns trigger language plpgsql as $$ begin insert into found_due (vulnerability_id, label) select a.vulnerability_id, true from changed c join affected a on a.name = c.name; return null; end $$;
