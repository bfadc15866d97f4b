-- Who may do what: see docs/decisions/0021-roles.md.
create table user_groups (
  id {{id}},
  name text not null unique,
  description text not null default '',
  claim text not null default '', -- what a provider of sign-ins calls it
  created_at bigint not null
);
create index user_groups_claim on user_groups (claim) where claim <> '';

create table group_members (
  group_id bigint not null references user_groups (id) on delete cascade,
  user_id bigint not null references users (id) on delete cascade,
  claimed boolean not null default false, -- put there by a claim, and taken out by its absence
  primary key (group_id, user_id)
);
create index group_members_user on group_members (user_id);

create table robots (
  id {{id}},
  name text not null unique,
  description text not null default '',
  registry_id bigint references registries (id) on delete cascade, -- null: of all
  hash {{bytes}} not null unique, -- SHA-256 of the secret, which is 256 random bits
  prefix text not null,
  disabled boolean not null default false,
  created_by text not null,
  created_at bigint not null,
  expires_at bigint,
  last_used_at bigint
);
create index robots_registry on robots (registry_id) where registry_id is not null;

-- To one of a user, a group, a robot and an API key, whose grants bound what its user may do by it.
create table role_grants (
  id {{id}},
  user_id bigint references users (id) on delete cascade,
  group_id bigint references user_groups (id) on delete cascade,
  robot_id bigint references robots (id) on delete cascade,
  key_id bigint references api_keys (id) on delete cascade,
  registry_id bigint references registries (id) on delete cascade, -- null: everywhere
  role text not null, -- read, publish, assess, maintain, administer
  granted_by text not null,
  created_at bigint not null
);
create unique index role_grants_once on role_grants (coalesce(user_id, 0), coalesce(group_id, 0), coalesce(robot_id, 0), coalesce(key_id, 0), coalesce(registry_id, 0), role);
create index role_grants_user on role_grants (user_id) where user_id is not null;
create index role_grants_group on role_grants (group_id) where group_id is not null;
create index role_grants_robot on role_grants (robot_id) where robot_id is not null;
create index role_grants_key on role_grants (key_id) where key_id is not null;
create index role_grants_registry on role_grants (registry_id) where registry_id is not null;

alter table api_keys add column limited boolean not null default false;

-- Everyone keeps what they could do before there were roles.
insert into role_grants (user_id, role, granted_by, created_at) select id, 'maintain', 'system', created_at from users where not administrator;
