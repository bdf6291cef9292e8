"""Every statement is valid, names a tenant, and finds its rows by an index."""

import contextlib
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.storage.named_sql import load_queries
from tocsin.storage.sqlite.schema import migrate

PACKAGE = "tocsin.storage.sqlite"
FILES = ("log.sql", "outbox.sql", "incidents.sql", "history.sql")
QUERIES = [
    (f"{file}:{name}", text) for file in FILES for name, text in load_queries(PACKAGE, file).items()
]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as made:
        migrate(made)
        yield made


def test_every_sql_file_is_in_the_catalogue() -> None:
    folder = Path(__file__).parents[3] / "src" / "tocsin" / "storage" / "sqlite" / "sql"
    assert {path.name for path in folder.iterdir()} == {*FILES, "schema.sql"}


@pytest.mark.parametrize(("name", "text"), QUERIES, ids=[name for name, _ in QUERIES])
def test_a_statement_names_its_tenant_and_scans_no_table(
    connection: sqlite3.Connection, name: str, text: str
) -> None:
    assert ":tenant" in text, name
    values = defaultdict(lambda: "[]", tenant="a", limit="1")
    names = re.findall(r":(\w+)", text)
    plan = connection.execute(
        "EXPLAIN QUERY PLAN " + text, {parameter: values[parameter] for parameter in names}
    )
    steps = [str(row[3]) for row in plan]
    assert [step for step in steps if re.match(r"SCAN (?!json_each)", step)] == []


def test_every_key_leads_with_the_tenant_but_that_of_the_log(
    connection: sqlite3.Connection,
) -> None:
    tables = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        if name not in ("meta", "sqlite_sequence")
    ]
    assert len(tables) == 6
    for table in tables:
        for _, index, *_ in connection.execute(f"PRAGMA index_list({table})"):
            columns = [row[2] for row in connection.execute(f"PRAGMA index_info({index})")]
            assert columns[0] == "tenant", index
