-- Of which bytes a group was read: they need not be read again. Null where that is
-- not known, or where more is to be told of them than the group.
alter table advisory_groups add column origin {{bytes}};
