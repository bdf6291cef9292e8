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

# ensure_venv NAME...: install requirements/NAME.txt and this checkout, unless nothing changed.
ensure_venv() {
  local python stamp want name
  if [ ! -x "$VENV/bin/python" ]; then
    python="$(find_python)"
    say "making a virtual environment in $VENV with $("$python" --version)"
    "$python" -m venv "$VENV" 2>/dev/null ||
      die "$python cannot make a virtual environment (Debian 12: apt-get install python3-venv)"
  fi
  stamp="$VENV/.tocsin-$(IFS=-; echo "$*")"
  want="$(cd "$ROOT" && {
    cat pyproject.toml requirements/build.txt
    for name in "$@"; do cat "requirements/$name.txt"; done
    find src -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 cat
  } | sha256sum)"
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
    return
  fi
  for name in build "$@"; do
    say "installing requirements/$name.txt"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
      --only-binary :all: -r "$ROOT/requirements/$name.txt"
  done
  say "installing tocsin"
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --no-build-isolation --force-reinstall "$ROOT"
  printf '%s\n' "$want" >"$stamp"
}
