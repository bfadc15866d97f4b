pragma page_size = 512;
create table t (
  id integer primary key, -- of the row
  name text not null /* a name, (of course) */,
  number integer, blob blob,
  unique (name, number));
insert into t (name, number) values ('a', 1), ('b', 2), (printf('%2000s', 'c'), 3);
insert into t (name, number) with recursive n(i) as (select 10 union all select i + 1 from n where i < 60) select 'name' || i, -i from n;
