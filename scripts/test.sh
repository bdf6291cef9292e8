#!/usr/bin/env bash
# Install what the tests need and run all of them: style, types, import contracts, every floor.
#
#   ./scripts/test.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

./scripts/install_test_programs.sh
ensure_venv dev
export PATH="$VENV/bin:$PATH"

if [ $# -gt 0 ]; then
  exec pytest "$@"
fi
exec just ci
