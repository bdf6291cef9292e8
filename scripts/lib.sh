# Sourced by the scripts: the virtual environment of this checkout, made once and kept current.
# Holds no logic of Tocsin; that lives in the `tocsin` command.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="${TOCSIN_VENV:-$ROOT/.venv}"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "Python 3.11 or later is needed (Debian 12: apt-get install python3 python3-venv)"
}

# wanted NAME: the hash of everything an installation with requirements/NAME.txt is made of.
wanted() {
  (cd "$ROOT" && {
    cat pyproject.toml requirements/build.txt "requirements/$1.txt"
    find src -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 cat
  }) | sha256sum
}

# current NAME: whether the environment holds just that.
current() { [ -f "$VENV/.tocsin-$1" ] && [ "$(cat "$VENV/.tocsin-$1")" = "$(wanted "$1")" ]; }

# ensure_venv NAME: install requirements/NAME.txt and this checkout, unless nothing changed.
# The development requirements contain all others.
ensure_venv() {
  local python
  if [ ! -x "$VENV/bin/python" ]; then
    python="$(find_python)"
    say "making a virtual environment in $VENV with $("$python" --version)"
    "$python" -m venv "$VENV" 2>/dev/null ||
      die "$python cannot make a virtual environment (Debian 12: apt-get install python3-venv)"
  fi
  if current "$1" || current dev; then
    return
  fi
  for name in build "$1"; do
    say "installing requirements/$name.txt"
    pip_install --require-hashes --only-binary :all: -r "$ROOT/requirements/$name.txt"
  done
  say "installing tocsin"
  pip_install --no-deps --no-build-isolation --force-reinstall "$ROOT"
  wanted "$1" >"$VENV/.tocsin-$1"
}

pip_install() { "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
