create table promotions (
  id {{id}},
  at bigint not null,
  promoted_by text not null,
  from_registry text not null, -- names, for what they name may be gone
  from_repository text not null,
  from_tag text not null,
  to_registry text not null,
  to_repository text not null,
  to_tag text not null,
  digest text not null,
  manifests integer not null,
  comment text not null
);
create index promotions_digest on promotions (digest, id);
create index promotions_to on promotions (to_registry, id);
create index promotions_from on promotions (from_registry, id);
