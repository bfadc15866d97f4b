-- Where a receiver is told, sealed: who knows the address of a channel can write there.
-- Null where url is the address itself, as before; the server seals those.
alter table receivers add column address {{bytes}};
