#!/usr/bin/env bash
# Check a running Tocsin from end to end, in words. Exit 0 only when everything holds.
#
#   ./scripts/validate_monitoring.sh [--port 9093] [--data-dir .tocsin]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
export TOCSIN_HOME="${TOCSIN_HOME:-$ROOT/.tocsin}" # where --data-dir is when it is not given
[ -x "$VENV/bin/tocsin" ] || ensure_venv runtime
exec "$VENV/bin/tocsin" validate "$@"
