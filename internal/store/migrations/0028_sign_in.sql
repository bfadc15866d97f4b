-- Who signs in at a provider of OpenID Connect.
alter table users add column issuer text not null default '';
alter table users add column subject text not null default ''; -- what the issuer calls them for ever
create unique index users_identity on users (issuer, subject) where issuer <> '';

create table sign_in_provider (
  id integer primary key, -- 1: there is at most one
  enabled boolean not null,
  title text not null,
  issuer text not null,
  client_id text not null,
  secret {{bytes}} not null, -- sealed
  scopes text not null, -- separated by blanks
  name_claim text not null,
  groups_claim text not null
);
