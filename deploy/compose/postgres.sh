#!/bin/sh
# Runs once, when PostgreSQL makes its data folder: Golden's three roles, Temporal's, and their databases.
# psql quotes the passwords itself (:'name'), whatever is in them.
set -eu
secret() { cat "/run/secrets/$1"; }
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --quiet \
  --set migrator="$(secret golden_migrator_password)" --set service="$(secret golden_service_password)" \
  --set tenant="$(secret golden_tenant_password)" --set temporal="$(secret temporal_password)" <<'SQL'
CREATE ROLE golden_migrator LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'migrator';
CREATE ROLE golden_service LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'service';
CREATE ROLE golden_tenant LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'tenant';
CREATE ROLE temporal LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'temporal';
CREATE DATABASE golden OWNER golden_migrator;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
SQL
