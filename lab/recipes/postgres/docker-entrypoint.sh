#!/bin/sh
# What the official image's script does before the first start, as far as an app of the lab needs it.
set -eu
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  user=${POSTGRES_USER:-postgres}
  database=${POSTGRES_DB:-$user}
  password=$(mktemp)
  printf '%s\n' "${POSTGRES_PASSWORD:?it must be set}" >"$password"
  initdb --username="$user" --pwfile="$password" --auth-local=trust --auth-host=scram-sha-256
  rm "$password"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  if [ "$database" != postgres ]; then
    echo "CREATE DATABASE \"$database\"" | postgres --single postgres
  fi
fi
exec "$@"
