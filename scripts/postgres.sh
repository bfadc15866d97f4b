# Sourced: start_postgres starts a PostgreSQL server that forgets everything
# and sets postgres_url; stop_postgres stops it and removes its files.

postgres_dir=
postgres_url=

start_postgres() {
  local bin as=() settings
  bin=$(postgres_bin)
  # A short path: a socket's may have about 100 letters. A socket needs no free port.
  postgres_dir=$(mktemp -d /tmp/pratique-postgres-XXXXXX)
  if [ "$(id -u)" -eq 0 ]; then # the server refuses to run as root
    chown postgres "$postgres_dir"
    as=(runuser -u postgres --)
  fi
  settings="-k $postgres_dir -c listen_addresses='' -c max_connections=500 -c shared_buffers=64MB"
  settings+=" -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
  if ! (
    cd "$postgres_dir"
    "${as[@]}" "$bin/initdb" -D data -U pratique -A trust -E UTF8 --locale=C -N >initdb.log 2>&1 </dev/null || { cat initdb.log; exit 1; }
    "${as[@]}" "$bin/pg_ctl" -D data -w -t 60 -l "$postgres_dir/server.log" -o "$settings" start >/dev/null </dev/null || { cat server.log; exit 1; }
  ) >&2; then
    echo "PostgreSQL did not start" >&2
    return 1
  fi
  postgres_url="postgres://pratique@/postgres?host=$postgres_dir&sslmode=disable"
  echo "$("$bin/postgres" --version) at $postgres_url"
}

stop_postgres() {
  [ -n "$postgres_dir" ] || return 0
  local as=()
  [ "$(id -u)" -ne 0 ] || as=(runuser -u postgres --)
  (cd "$postgres_dir" && "${as[@]}" "$(postgres_bin)/pg_ctl" -D data -m immediate -w stop >/dev/null 2>&1 </dev/null) || true
  rm -rf "$postgres_dir"
  postgres_dir=
}

# postgres_bin is the folder of the newest server's programs.
postgres_bin() {
  local newest
  newest=$(find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
  if [ -z "$newest" ]; then
    newest=$(readlink -f "$(command -v initdb)")
  fi
  dirname "$newest"
}
