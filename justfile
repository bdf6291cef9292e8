# Recipes: `just check` while you work, `just ci` before you push. Needs requirements/dev.txt.

check: check-static unit

check-static: format-check lint types contracts dead deps

format-check:
    ruff format --check .
lint:
    ruff check .
types:
    mypy
contracts:
    PYTHONPATH=src lint-imports
dead:
    vulture
deps:
    deptry src
unit:
    pytest tests/unit tests/conformance
slow:
    pytest -q -o addopts="-ra --import-mode=importlib" -o timeout=300 tests/integration tests/compat tests/e2e
cover:
    coverage run -m pytest tests/unit tests/conformance && coverage report
ci: check slow
battery:
    pytest -o addopts="-ra --import-mode=importlib" -o timeout=1800 tests/battery
bench name:
    python bench/{{name}}.py
lock:
    ./scripts/lock.sh
