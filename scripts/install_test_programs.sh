#!/usr/bin/env bash
# Install the real programs that the tests talk to: Prometheus, Alertmanager (amtool), node exporter.
# Debian packages; needs root. Without root it says what is missing, and those tests are skipped.
set -euo pipefail

packages=()
need() { command -v "$1" >/dev/null 2>&1 || packages+=("$2"); }
need prometheus prometheus
need amtool prometheus-alertmanager
need prometheus-node-exporter prometheus-node-exporter
need chromium chromium
if [ ${#packages[@]} -eq 0 ]; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed (needs root and apt-get): ${packages[*]}; tests that use them are skipped" >&2
  exit 0
fi
echo "installing ${packages[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# Debian starts what it installs; the tests start their own on loopback.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  made=1
fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
