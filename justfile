# Recipes: `just check` while you work, `just ci` before you push. Needs requirements/dev.txt.

# Floors on real sockets and clocks run without virtual time.
real := "-ra --import-mode=importlib"

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
integration:
    pytest -q -o addopts="{{real}}" -o timeout=300 tests/integration
peers:
    pytest -q -o addopts="{{real}}" -o timeout=300 tests/compat tests/e2e
cover:
    coverage erase
    coverage run -p -m pytest -q tests/unit tests/conformance
    coverage run -p -m pytest -q -o addopts="{{real}}" -o timeout=300 tests/integration
    coverage combine -q
    coverage report --skip-covered
ci: check-static cover peers
battery:
    pytest -o addopts="{{real}}" -o timeout=1800 tests/battery
bench name:
    python bench/{{name}}.py
lock:
    ./scripts/lock.sh
