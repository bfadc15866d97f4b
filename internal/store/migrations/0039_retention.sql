alter table registries add column retention text not null default '{}'; -- rules, as JSON
alter table registries add column retention_confirmed text not null default ''; -- the plan that may be done although it is large
