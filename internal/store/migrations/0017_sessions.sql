-- People who signed in with a browser. The cookie's value is 256 random bits, of
-- which only the hash is stored.
create table sessions (
  id {{id}},
  user_id bigint not null references users (id) on delete cascade,
  hash {{bytes}} not null unique, -- SHA-256
  created_at bigint not null,
  used_at bigint not null,
  expires_at bigint not null -- whatever happens
);
create index sessions_user on sessions (user_id, id);
create index sessions_expiry on sessions (expires_at);
