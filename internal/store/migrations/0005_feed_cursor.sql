-- How far a feed that is no single document was read, in the feed's own words.
alter table feed_parts add column cursor text not null default '';
