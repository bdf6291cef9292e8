"""SQL by name: every statement stands in a `.sql` file under a name and one line of purpose.

    -- name: due_rows
    -- Rows to send now, oldest first.
    SELECT ...;

The same names stand in every backend, so that one can be read beside the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

_HEAD = re.compile(r"^-- name: (\w+)\n-- (\S.*)\n", re.MULTILINE)


def load_queries(package: str, file: str) -> Mapping[str, str]:
    """Return the statements of `sql/<file>` in `package`, by name."""
    text = resources.files(package).joinpath("sql", file).read_text(encoding="utf-8")
    return parse_queries(text, where=file)


def parse_queries(text: str, *, where: str) -> Mapping[str, str]:
    """Return the statements in `text` by name, without their heads and closing semicolons.

    Raises ValueError for text before the first name, a name without a purpose or without a
    statement, and a name that occurs twice.
    """
    lead, *parts = _HEAD.split(text)
    if lead.strip():
        raise ValueError(f"{where}: text before the first '-- name:' line with a purpose below it")
    queries: dict[str, str] = {}
    for name, body in zip(parts[::3], parts[2::3], strict=True):
        if "-- name:" in body:
            raise ValueError(f"{where}: a name after {name!r} has no line of purpose")
        statement = body.strip().removesuffix(";")
        if not statement or name in queries:
            raise ValueError(f"{where}: {name!r} is empty or occurs twice")
        queries[name] = statement
    return MappingProxyType(queries)
