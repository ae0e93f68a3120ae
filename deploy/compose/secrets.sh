#!/bin/sh
# Makes the secrets of deploy/compose.yaml in the folder that it is given, each for the user that reads it; those that
# are there stay. Run it as root, once: a key ring that is lost leaves what it sealed closed for ever.
set -eu
folder=${1:?say where: deploy/compose/secrets.sh /etc/golden/secrets}
umask 077
mkdir -p "$folder"
keep() { # NAME UID: standard input, unless the file is there; its reader is that user
  if [ ! -e "$folder/$1" ]; then cat >"$folder/$1"; else cat >/dev/null; fi
  if [ "$(id -u)" = 0 ]; then chown "$2" "$folder/$1"; fi
  chmod 0600 "$folder/$1"
}
random() { openssl rand -hex 24; }

random | keep postgres_password 0
for role in migrator service tenant; do
  random | keep "golden_${role}_password" 0
  printf 'postgresql+psycopg://golden_%s:%s@postgres:5432/golden\n' "$role" "$(cat "$folder/golden_${role}_password")" |
    keep "golden_${role}_url" 10001
done
random | keep temporal_password 1000
random | keep grafana_password 472
id="k-$(date -u +%Y%m%d)-$(openssl rand -hex 4)"
printf '{"active": "%s", "keys": {"%s": {"key": "%s", "made": "%s"}}}\n' \
  "$id" "$id" "$(openssl rand -base64 32)" "$(date -u +%Y-%m-%dT%H:%M:%S+00:00)" | keep ring.json 10001
if [ ! -e "$folder/models.yaml" ]; then
  echo "write $folder/models.yaml, the routes to your models (docs/settings.md), then: chown 10001 and chmod 600" >&2
fi
