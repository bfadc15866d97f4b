-- What administrators set while the program runs; a setting that is not here has its default.
create table settings (
  name text primary key,
  value text not null,
  changed_at bigint not null,
  changed_by text not null
);
