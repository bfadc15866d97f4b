alter table registries add column honour_vex boolean not null default true;

create table vex_documents (
  id {{id}},
  digest text not null, -- of the document's bytes
  image text not null default '', -- the image or index it is about; '' where its products say so alone
  manifest text not null default '', -- the referrer that holds it; '' where it was uploaded
  manifest_id bigint references manifests (id) on delete set null,
  repository text not null default '', -- of the referrer, REGISTRY/REPOSITORY
  brought_by text not null,
  identifier text not null default '',
  author text not null default '',
  format text not null default '',
  version text not null default '',
  issued_at bigint,
  skipped text not null default '[]', -- what in it could not be read
  error text not null default '', -- why it cannot be read
  statements integer not null default 0,
  created_at bigint not null
);
create unique index vex_documents_referrer on vex_documents (manifest_id, digest) where manifest_id is not null;
create unique index vex_documents_upload on vex_documents (digest, image) where manifest = '';
create index vex_documents_orphan on vex_documents (id) where manifest_id is null and manifest <> '';
create index vex_documents_image on vex_documents (image, id);

create table vex_statements (
  document_id bigint not null references vex_documents (id) on delete cascade,
  position integer not null,
  statement text not null, -- vex.Statement as JSON
  primary key (document_id, position)
);

-- The names and aliases of the vulnerabilities that statements are on.
create table vex_names (
  name text not null,
  image text not null, -- the document's
  document_id bigint not null references vex_documents (id) on delete cascade,
  position integer not null,
  primary key (name, image, document_id, position)
){{clustered}};
create index vex_names_document on vex_names (document_id, position);

-- What each statement came to in an image.
create table vex_outcomes (
  document_id bigint not null references vex_documents (id) on delete cascade,
  position integer not null,
  image text not null,
  state text not null,
  reason text not null default '',
  assessment_id bigint references assessments (id),
  primary key (document_id, position, image)
){{clustered}};
create index vex_outcomes_image on vex_outcomes (image);

-- The assessments that stand on documents. They stay when the document goes.
create table vex_assessments (
  assessment_id bigint primary key references assessments (id),
  document_id bigint not null,
  settled boolean not null default false -- it was not a person who ended it
);
create index vex_assessments_document on vex_assessments (document_id);
