-- What lists and figures would have to count among all findings each time somebody
-- looks: kept up to date in the transactions that change findings, see affected.go.

-- Which vulnerability any attached source finds in which stored image, and the
-- gravest severity that it has there.
create table found (
  image_id bigint not null,
  vulnerability_id bigint not null,
  severity integer not null,
  primary key (image_id, vulnerability_id)
){{clustered}};
create index found_vulnerability on found (vulnerability_id, severity, image_id);

-- The vulnerabilities that affect stored images.
create table affected (
  vulnerability_id bigint primary key,
  name text not null unique, -- of the vulnerability, as are the next four
  cvss double precision not null,
  epss double precision not null,
  exploited boolean not null,
  severity integer not null, -- the gravest in any image
  images integer not null,
  fixable boolean not null, -- whether any affected package has a fix
  first_seen bigint not null
);
create index affected_severity on affected (severity desc, name);
create index affected_cvss on affected (cvss desc, name);
create index affected_epss on affected (epss desc, name);
create index affected_images on affected (images desc, name);
create index affected_first_seen on affected (first_seen desc, name);

-- When they affected stored images, with which severity.
create table affected_spans (
  vulnerability_id bigint not null,
  since bigint not null,
  until bigint, -- null while that is so
  severity integer not null
);
create unique index affected_spans_open on affected_spans (vulnerability_id) where until is null;
create index affected_spans_until on affected_spans (until);
create index affected_spans_vulnerability on affected_spans (vulnerability_id);

-- The stored images with vulnerabilities that are critical or high, and how many.
create table image_risks (
  image_id bigint primary key,
  critical integer not null,
  high integer not null
);
create index image_risks_order on image_risks (critical desc, high desc, image_id);

-- What triggers saw change and is to be counted before the transaction ends: all of
-- an image, or all of a vulnerability. Nobody else sees rows of this table.
create table found_due (
  id {{id}},
  image_id bigint,
  vulnerability_id bigint
);
insert into found_due (image_id) select i.id from images i where exists (select 1 from manifests m where m.digest = i.digest)
  and (i.inventory_id is not null or exists (select 1 from source_findings x where x.image_id = i.id)) order by i.id;

-- For filters.
create index packages_source on packages (source_name) where source_name <> '';
create index source_findings_of on source_findings (source_id, vulnerability_id) where gone_at is null;
create index source_findings_packages on source_findings (vulnerability_id, package_id) where gone_at is null;
create index assessments_expired on assessments (vulnerability_id) where ended_reason = 'expired';

{{sqlite}}create trigger found_manifest_in after insert on manifests begin insert into found_due (image_id) select id from images where digest = new.digest; end;
{{sqlite}}create trigger found_manifest_out after delete on manifests begin insert into found_due (image_id) select id from images where digest = old.digest; end;
{{sqlite}}create trigger found_image after update of inventory_id on images begin insert into found_due (image_id) values (new.id); end;
{{sqlite}}create trigger found_match_in after insert on matches when exists (select 1 from inventory_packages where package_id = new.package_id) begin insert into found_due (vulnerability_id) values (new.vulnerability_id); end;
{{sqlite}}create trigger found_match_change after update on matches begin insert into found_due (vulnerability_id) values (new.vulnerability_id), (old.vulnerability_id); end;
{{sqlite}}create trigger found_match_out after delete on matches when old.gone_at is null begin insert into found_due (vulnerability_id) values (old.vulnerability_id); end;
{{sqlite}}create trigger found_report_in after insert on source_findings begin insert into found_due (image_id) values (new.image_id); end;
{{sqlite}}create trigger found_report_change after update on source_findings begin insert into found_due (image_id) values (new.image_id); end;
{{sqlite}}create trigger found_report_out after delete on source_findings begin insert into found_due (image_id) values (old.image_id); end;
{{sqlite}}create trigger found_attach after insert on registry_sources begin insert into found_due (image_id) select distinct image_id from source_findings where source_id = new.source_id and gone_at is null; end;
{{sqlite}}create trigger found_detach after delete on registry_sources begin insert into found_due (image_id) select distinct image_id from source_findings where source_id = old.source_id and gone_at is null; end;
{{sqlite}}create trigger found_built_in after update of built_in on registries when new.built_in <> old.built_in begin insert into found_due (image_id) select distinct i.id from repositories r join manifests m on m.repository_id = r.id join images i on i.digest = m.digest where r.registry_id = new.id; end;
{{sqlite}}create trigger found_grade after update of severity on vulnerabilities when new.severity <> old.severity and exists (select 1 from affected where vulnerability_id = new.id) begin insert into found_due (vulnerability_id) values (new.id); end;
{{sqlite}}create trigger affected_grade after update of cvss, exploited_at, name on vulnerabilities begin update affected set cvss = new.cvss, exploited = new.exploited_at is not null, name = new.name where vulnerability_id = new.id; end;
{{sqlite}}create trigger affected_score_in after insert on epss begin update affected set epss = new.score where name = new.name; end;
{{sqlite}}create trigger affected_score_change after update on epss begin update affected set epss = new.score where name = new.name; end;
{{sqlite}}create trigger affected_score_out after delete on epss begin update affected set epss = 0 where name = old.name; end;

{{postgres}}create function found_manifest_in() returns trigger language plpgsql as $$ begin insert into found_due (image_id) select distinct i.id from changed c join images i on i.digest = c.digest; return null; end $$;
{{postgres}}create function found_image() returns trigger language plpgsql as $$ begin insert into found_due (image_id) values (new.id); return null; end $$;
{{postgres}}create function found_match_in() returns trigger language plpgsql as $$ begin insert into found_due (vulnerability_id) select distinct c.vulnerability_id from changed c where exists (select 1 from inventory_packages ip where ip.package_id = c.package_id); return null; end $$;
{{postgres}}create function found_match_change() returns trigger language plpgsql as $$ begin insert into found_due (vulnerability_id) select vulnerability_id from changed union select vulnerability_id from before; return null; end $$;
{{postgres}}create function found_match_out() returns trigger language plpgsql as $$ begin insert into found_due (vulnerability_id) select distinct vulnerability_id from changed where gone_at is null; return null; end $$;
{{postgres}}create function found_report() returns trigger language plpgsql as $$ begin insert into found_due (image_id) select distinct image_id from changed; return null; end $$;
{{postgres}}create function found_attach() returns trigger language plpgsql as $$ begin insert into found_due (image_id) select distinct x.image_id from changed c join source_findings x on x.source_id = c.source_id and x.gone_at is null; return null; end $$;
{{postgres}}create function found_built_in() returns trigger language plpgsql as $$ begin insert into found_due (image_id) select distinct i.id from repositories r join manifests m on m.repository_id = r.id join images i on i.digest = m.digest where r.registry_id = new.id; return null; end $$;
{{postgres}}create function found_grade() returns trigger language plpgsql as $$ begin insert into found_due (vulnerability_id) select vulnerability_id from affected where vulnerability_id = new.id; return null; end $$;
{{postgres}}create function affected_grade() returns trigger language plpgsql as $$ begin update affected set cvss = new.cvss, exploited = new.exploited_at is not null, name = new.name where vulnerability_id = new.id; return null; end $$;
{{postgres}}create function affected_score() returns trigger language plpgsql as $$ begin update affected set epss = c.score from changed c where affected.name = c.name and affected.epss <> c.score; return null; end $$;
{{postgres}}create function affected_score_out() returns trigger language plpgsql as $$ begin update affected set epss = 0 from changed c where affected.name = c.name; return null; end $$;
{{postgres}}create trigger found_manifest_in after insert on manifests referencing new table as changed for each statement execute function found_manifest_in();
{{postgres}}create trigger found_manifest_out after delete on manifests referencing old table as changed for each statement execute function found_manifest_in();
{{postgres}}create trigger found_image after update of inventory_id on images for each row when (new.inventory_id is distinct from old.inventory_id) execute function found_image();
{{postgres}}create trigger found_match_in after insert on matches referencing new table as changed for each statement execute function found_match_in();
{{postgres}}create trigger found_match_change after update on matches referencing new table as changed old table as before for each statement execute function found_match_change();
{{postgres}}create trigger found_match_out after delete on matches referencing old table as changed for each statement execute function found_match_out();
{{postgres}}create trigger found_report_in after insert on source_findings referencing new table as changed for each statement execute function found_report();
{{postgres}}create trigger found_report_change after update on source_findings referencing new table as changed for each statement execute function found_report();
{{postgres}}create trigger found_report_out after delete on source_findings referencing old table as changed for each statement execute function found_report();
{{postgres}}create trigger found_attach after insert on registry_sources referencing new table as changed for each statement execute function found_attach();
{{postgres}}create trigger found_detach after delete on registry_sources referencing old table as changed for each statement execute function found_attach();
{{postgres}}create trigger found_built_in after update of built_in on registries for each row when (new.built_in <> old.built_in) execute function found_built_in();
{{postgres}}create trigger found_grade after update of severity on vulnerabilities for each row when (new.severity <> old.severity) execute function found_grade();
{{postgres}}create trigger affected_grade after update of cvss, exploited_at, name on vulnerabilities for each row when (new.cvss <> old.cvss or new.exploited_at is distinct from old.exploited_at or new.name <> old.name) execute function affected_grade();
{{postgres}}create trigger affected_score_in after insert on epss referencing new table as changed for each statement execute function affected_score();
{{postgres}}create trigger affected_score_change after update on epss referencing new table as changed for each statement execute function affected_score();
{{postgres}}create trigger affected_score_out after delete on epss referencing old table as changed for each statement execute function affected_score_out();
