-- What a group with many vulnerabilities states of each (feed.Prints). Where a later
-- migration adds to what is stored of a statement, it sets them null.
alter table advisory_groups add column prints {{bytes}};
