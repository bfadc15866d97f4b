-- The global policy and the settings of admission are settings like others.
alter table settings add column version bigint not null default 1; -- moves with each change
insert into settings (name, value, version, changed_at, changed_by) select name, content, version, 0, '' from settings_documents;
drop table settings_documents;
