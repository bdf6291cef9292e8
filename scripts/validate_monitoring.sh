#!/usr/bin/env bash
# Check a running Tocsin from end to end, in words. Exit 0 only when everything holds.
#
#   ./scripts/validate_monitoring.sh [--port 9093] [--data-dir .tocsin]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
[ -x "$VENV/bin/tocsin" ] || ensure_venv runtime
exec "$VENV/bin/tocsin" validate "$@"
