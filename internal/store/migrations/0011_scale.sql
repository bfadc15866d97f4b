-- Of which bytes a group was read: they need not be read again. Null where that is
-- not known, or where more is to be told of them than the group.
alter table advisory_groups add column origin {{bytes}};

-- Files that prove packages are stored once, as packages are: images of one base,
-- and tags of one application, have the same.
create table files (
  id {{id}},
  path text not null,
  detector text not null,
  digest {{bytes}} unique -- of both, for paths may be too long for an index; null where it is not known
);
insert into files (path, detector) select distinct path, detector from inventory_files;

create table installed (
  inventory_id bigint not null references inventories (id) on delete cascade,
  package_id bigint not null references packages (id),
  file_id integer not null references files (id),
  layer_position integer not null,
  line integer not null default 0,
  evidence text not null default '',
  -- The package of the operating system that brought the file: its distribution
  -- says what such a package is affected by, not the package's own ecosystem.
  owner text not null default '',
  primary key (inventory_id, package_id, file_id)
){{clustered}};
insert into installed (inventory_id, package_id, file_id, layer_position, line, evidence, owner)
  select ip.inventory_id, ip.package_id, n.id, ip.layer_position, ip.line, ip.evidence, ip.owner
  from inventory_packages ip
  join inventory_files f on f.inventory_id = ip.inventory_id and f.position = ip.file_position
  join files n on n.path = f.path and n.detector = f.detector;
drop table inventory_packages;
drop table inventory_files;
alter table installed rename to inventory_packages;
-- PostgreSQL stores each package of such an index but once.
create index inventory_packages_package on inventory_packages (package_id);
