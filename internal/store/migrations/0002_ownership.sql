alter table inventory_packages add column evidence text not null default '';
-- The package of the operating system that brought the file: its distribution
-- says what such a package is affected by, not the package's own ecosystem.
alter table inventory_packages add column owner text not null default '';
