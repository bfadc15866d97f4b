-- A registry says what it wants otherwise than the global policy; what it does
-- not say it inherits. No grace was the same as none given.
alter table registries add column policy_version bigint not null default 1;
update registries set policy = replace(policy, ',"grace_hours":0', '');

-- Documents of settings that hold everywhere: the global policy, admission.
create table settings_documents (
  name text primary key,
  content text not null,
  version bigint not null
);

create table policy_exceptions (
  id {{id}},
  registry text not null default '', -- '' in the columns of what it covers: anything
  repository text not null default '',
  tag text not null default '',
  user_name text not null default '',
  digest text not null default '',
  comment text not null,
  author text not null,
  created_at bigint not null,
  expires_at bigint not null,
  ended_at bigint, -- null also where it has expired
  ended_by text not null default ''
);
create index policy_exceptions_live on policy_exceptions (expires_at) where ended_at is null;

-- What clusters prove themselves with to the admission webhook.
create table admission_tokens (
  id {{id}},
  name text not null unique,
  hash {{bytes}} not null unique, -- SHA-256 of the token, which is 256 random bits
  prefix text not null,
  created_by text not null,
  created_at bigint not null,
  last_used_at bigint
);
