-- Which manifests hold software bills of materials of an image, by the word of a
-- manifest of the same repository: the subject of the one that holds them, or an
-- index with BuildKit's attestations.
create table bills (
  manifest_id bigint not null references manifests (id) on delete cascade, -- whose word it is
  subject text not null,
  digest text not null, -- of the manifest that holds the bills
  primary key (manifest_id, subject, digest)
);
create index bills_subject on bills (subject);

alter table registries add column attach_sbom text not null default 'none'; -- none, cyclonedx, spdx

-- Bills that were made here and are manifests beside their images.
create table attachments (
  manifest_id bigint primary key references manifests (id) on delete cascade,
  inventory_id bigint not null, -- what it lists
  format text not null
);

-- What was pushed before, where its type alone tells.
insert into bills (manifest_id, subject, digest)
  select id, subject, digest from manifests
  where subject is not null and artifact_type in ('application/vnd.cyclonedx+json', 'application/spdx+json', 'text/spdx+json', 'application/vnd.syft+json');
