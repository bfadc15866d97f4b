-- Packages have more to their identity, advisories say more, and both are joined
-- by the ecosystems and names that a package answers to. What is derived is made
-- anew: layers are analysed again, and feeds are read again.
delete from clair_layers;
update images set inventory_id = null, state = 'pending', error = '';
drop table inventory_packages;
drop table inventory_files;
drop table matches;
drop table packages;
drop table advisories;
drop table advisory_groups;
delete from inventories;
delete from feed_parts;

create table packages (
  id {{id}},
  type text not null,
  distribution text not null default '',
  name text not null,
  version text not null,
  architecture text not null default '',
  source_name text not null default '',
  source_version text not null default '',
  module text not null default '',
  repositories text not null default '',
  -- What orders the versions, by bytes: version.Key. Null where nothing does.
  version_key {{bytes}},
  source_key {{bytes}}, -- of the source's version, or of the version where that is not stated
  unique (name, version, distribution, architecture, source_name, source_version, type, module, repositories)
);

-- Under which names advisories may speak of a package.
create table package_subjects (
  ecosystem text not null,
  package text not null,
  source boolean not null,
  package_id bigint not null references packages (id) on delete cascade,
  primary key (ecosystem, package, source, package_id)
){{clustered}};
create index package_subjects_package on package_subjects (package_id);

create table inventory_files (
  inventory_id bigint not null references inventories (id) on delete cascade,
  position integer not null,
  path text not null,
  detector text not null,
  primary key (inventory_id, position)
){{clustered}};

create table inventory_packages (
  inventory_id bigint not null references inventories (id) on delete cascade,
  package_id bigint not null references packages (id),
  file_position integer not null,
  layer_position integer not null,
  line integer not null default 0,
  evidence text not null default '',
  -- The package of the operating system that brought the file: its distribution
  -- says what such a package is affected by, not the package's own ecosystem.
  owner text not null default '',
  primary key (inventory_id, package_id, file_position)
){{clustered}};
create index inventory_packages_package on inventory_packages (package_id, inventory_id);

alter table vulnerabilities add column cvss double precision not null default 0; -- base score; 0 where nobody gives one
alter table vulnerabilities add column cvss_vector text not null default '';
alter table vulnerabilities add column published_at bigint;
alter table vulnerabilities add column modified_at bigint;
alter table vulnerabilities add column withdrawn_at bigint;
alter table vulnerabilities add column exploited_at bigint; -- since when it is on a list of exploited ones

create table advisory_groups (
  id {{id}},
  feed text not null,
  part text not null,
  name text not null,
  fingerprint {{bytes}} not null,
  unique (feed, part, name)
);

create table advisories (
  id {{id}},
  group_id bigint not null references advisory_groups (id) on delete cascade,
  vulnerability_id bigint not null references vulnerabilities (id),
  identifier text not null default '', -- the publisher's name for the statement
  ecosystem text not null,
  package text not null,
  source boolean not null,
  module text not null default '',
  architectures text not null default '',
  status text not null,
  introduced text not null default '',
  fixed text not null default '',
  last_affected text not null default '',
  fix_state text not null default '',
  severity integer not null,
  note text not null default '',
  introduced_key {{bytes}}, -- version.Key of the bounds; null where there is none
  fixed_key {{bytes}},
  last_key {{bytes}}
);
create index advisories_group on advisories (group_id);
create index advisories_key on advisories (ecosystem, package);
create index advisories_vulnerability on advisories (vulnerability_id, ecosystem);

-- What each feed says of a vulnerability as such: advisory.Detail as JSON.
create table vulnerability_details (
  group_id bigint not null references advisory_groups (id) on delete cascade,
  vulnerability_id bigint not null references vulnerabilities (id),
  detail text not null,
  primary key (group_id, vulnerability_id)
){{clustered}};
create index vulnerability_details_vulnerability on vulnerability_details (vulnerability_id);

create table vulnerability_aliases (
  alias text not null,
  vulnerability_id bigint not null references vulnerabilities (id),
  group_id bigint not null references advisory_groups (id) on delete cascade,
  primary key (alias, vulnerability_id, group_id)
){{clustered}};
create index vulnerability_aliases_group on vulnerability_aliases (group_id);
create index vulnerability_aliases_vulnerability on vulnerability_aliases (vulnerability_id);

-- What a distinct package is affected by. A match that ended stays, with gone_at.
create table matches (
  id {{id}},
  package_id bigint not null references packages (id),
  vulnerability_id bigint not null references vulnerabilities (id),
  feed text not null,
  part text not null,
  identifier text not null default '',
  introduced text not null default '',
  fixed text not null default '',
  last_affected text not null default '',
  fix_state text not null default '',
  severity integer not null, -- as stated of the package; 0: the vulnerability's counts
  note text not null default '',
  source boolean not null default false, -- whether the source's version was compared
  first_seen bigint not null,
  gone_at bigint
);
create unique index matches_live on matches (package_id, vulnerability_id) where gone_at is null;
create index matches_vulnerability on matches (vulnerability_id, package_id) where gone_at is null;
create index matches_past on matches (package_id) where gone_at is not null;

-- In which format something derived is stored, so that a newer program can tell
-- that it has to be made again.
create table formats (
  name text primary key,
  value integer not null
);
