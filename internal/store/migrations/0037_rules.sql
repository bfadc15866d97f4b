alter table registries add column quota bigint not null default 0; -- bytes; 0 is none
alter table registries add column immutable_tags text not null default '[]'; -- patterns
alter table registries add column version_tags boolean not null default false; -- latest, 3 and 3.4 follow 3.4.1
