-- Most statements on a package are on versions older than those that are stored:
-- what is fixed in a later one is found at once.
create index advisories_range on advisories (ecosystem, package, fixed_key);
drop index advisories_key;

-- SQLite did not use the one of rows that are not for later.
drop index found_due_now;
create index found_due_now on found_due (later, id);
