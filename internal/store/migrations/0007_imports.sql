-- Bundles of advisories that were imported.
create table feed_imports (
  id {{id}},
  created_at bigint not null, -- when the bundle was made
  imported_at bigint not null
);
