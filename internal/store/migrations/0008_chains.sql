-- Which chain of layers an image is, so that the images that it is built on can be
-- found; and how many of its layers its history takes for those of its base.
alter table images add column chain text not null default '';
alter table images add column base_layers integer not null default 0;
create index images_chain on images (chain) where chain <> '';
