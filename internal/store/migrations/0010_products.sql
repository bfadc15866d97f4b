-- Under which ecosystems advisories speak of what comes from a repository of Red
-- Hat's: lists of them as JSON. See match.Products.
create table repository_products (
  repository text primary key,
  own text not null,
  fallback text not null
);

-- The sets of repositories that packages come from, with the ecosystems by which
-- package_subjects has these packages; no own ones are those of the distribution.
-- Where the products of the repositories differ from them, the packages are to be
-- matched again.
create table repository_sets (
  repositories text primary key, -- as packages have them
  own text not null,
  fallback text not null
);
insert into repository_sets (repositories, own, fallback)
  select distinct repositories, '[]', '[]' from packages where repositories <> '';
create index packages_repositories on packages (repositories, id) where repositories <> '';

-- What is stated under the name counts only where nothing is stated under the others.
alter table package_subjects add column fallback boolean not null default false;

-- All keys of versions that are stored have the format version.KeyFormat of the
-- program that made them: so far there was one. Where it differs from the running
-- program's, they are made anew; after says how far that is, in each stage.
insert into formats (name, value) values ('version-keys', 1);
create table rekeying (
  stage text primary key, -- packages, advisories, matches
  target integer not null, -- the format that is being made
  after bigint not null -- the last id that is done
);
