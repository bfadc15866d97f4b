-- What dnf 4 writes: the tables that say where packages came from, and some rows.
pragma page_size = 512;
create table trans (id integer primary key autoincrement, dt_begin integer not null, cmdline text, state integer not null);
create table repo (id integer primary key, repoid text not null /* the id, as in repo files */);
create table item (id integer primary key, item_type integer not null /* (enum) 1: rpm, 2: group */);
create table trans_item (
  id integer primary key autoincrement,
  trans_id integer references trans(id),
  item_id integer references item(id),
  repo_id integer references repo(id),
  action integer not null, /* (enum) 1: install, 6: upgrade, 7: upgraded, 8: removed */
  reason integer not null,
  state integer not null,
  constraint trans_item_unique_trans_item unique (trans_id, item_id));
create table rpm (
  item_id integer unique not null,
  name text not null, epoch integer not null, version text not null, release text not null, arch text not null,
  foreign key (item_id) references item(id));
insert into repo values (1, 'rhel-9-for-x86_64-baseos-rpms'), (2, 'rhocp-4.14-for-rhel-9-x86_64-rpms'), (3, '@System'), (4, '@commandline');
insert into item (id, item_type) values (1, 1), (2, 1), (3, 1), (4, 2), (5, 1), (6, 1);
insert into rpm values (1, 'bash', 0, '5.1.8', '6.el9', 'x86_64'), (2, 'openshift-clients', 0, '4.14.0', '2.el9', 'x86_64'),
  (3, 'shadow-utils', 2, '4.9', '6.el9', 'x86_64'), (5, 'bash', 0, '5.1.8', '9.el9', 'x86_64'), (6, 'local', 0, '1', '1', 'noarch');
insert into trans_item (trans_id, item_id, repo_id, action, reason, state) values
  (1, 1, 1, 1, 2, 1), (1, 2, 2, 1, 2, 1), (1, 3, 1, 1, 1, 1), (1, 4, null, 1, 2, 1),
  (2, 5, 1, 6, 2, 1), (2, 1, 3, 7, 2, 1), (3, 6, 4, 1, 2, 1),
  (4, 3, 2, 9, 1, 1), -- installed anew, from elsewhere
  (5, 2, 1, 1, 2, 2); -- which failed
