#!/bin/sh
# Temporal's tables, brought up to date at every start: both commands do nothing where nothing is to be done.
set -eu
SQL_PASSWORD=$(cat /run/secrets/temporal_password)
export SQL_PASSWORD
for database in temporal temporal_visibility; do
  case $database in temporal) folder=temporal ;; *) folder=visibility ;; esac
  tool="temporal-sql-tool --plugin postgres12 --endpoint postgres --port 5432 --user temporal --database $database"
  $tool setup-schema -v 0.0 || true
  $tool update-schema -d "/etc/temporal/schema/postgresql/v12/$folder/versioned"
done
