-- A transaction that changes the findings of very many images leaves a part of the
-- counting to those who come later, see affected.go.
alter table found_due add column later boolean not null default false;
alter table found_due add column passed bigint not null default 0; -- the vulnerability is counted in the images with inventories up to this one
update found_due set later = true;
create index found_due_now on found_due (id) where not later;
create index found_due_of on found_due (vulnerability_id) where vulnerability_id is not null;
