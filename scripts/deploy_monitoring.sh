#!/usr/bin/env bash
# Install Tocsin into a virtual environment of this checkout and start it.
#
#   ./scripts/deploy_monitoring.sh [--port 9093] [--data-dir .tocsin] [--foreground | --stop | --status]
#
# Safe to run twice: an existing configuration, its tokens and a running server are kept.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
export TOCSIN_HOME="${TOCSIN_HOME:-$ROOT/.tocsin}" # where --data-dir is when it is not given

verb=up
args=()
for arg in "$@"; do
  case "$arg" in
    --stop) verb=down ;;
    --status) verb=status ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) args+=("$arg") ;;
  esac
done
if [ "$verb" = up ] || [ ! -x "$VENV/bin/tocsin" ]; then
  ensure_venv runtime
fi
exec "$VENV/bin/tocsin" "$verb" ${args[@]+"${args[@]}"}
