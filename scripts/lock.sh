#!/usr/bin/env bash
# Write requirements/*.txt anew: names, versions and hashes, and no address of an index.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-header --no-annotate "$@"; }
compile pyproject.toml -o requirements/runtime.txt
compile pyproject.toml --group test -o requirements/test.txt
compile pyproject.toml --group test --group dev -o requirements/dev.txt
echo "hatchling>=1.27" | compile - -o requirements/build.txt
