"""The schema: numbered migrations, applied at open, each in one transaction.

A migration file `NNNN_what.sql` ends by writing its own number to `meta`, so that the
tables and the version change together.
"""

from __future__ import annotations

import sqlite3
from importlib import resources

from tocsin.model.errors import StoreUnusable
from tocsin.storage.named_sql import load_queries

_PACKAGE = "tocsin.storage.sqlite"
_SQL = load_queries(_PACKAGE, "schema.sql")


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the database to the newest schema and return its version.

    Raises StoreUnusable when a newer program wrote it: nothing is changed then.
    """
    steps = _migrations()
    newest = max(steps)
    found = schema_version(connection)
    if found > newest:
        raise StoreUnusable(
            f"the database has schema {found}, this version of Tocsin knows schemas up to "
            f"{newest}: start the newer version again, or restore a backup"
        )
    for number in range(found + 1, newest + 1):
        _apply(connection, steps[number])
    return newest


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the schema version of the database, 0 when it is empty."""
    if connection.execute(_SQL["has_meta"]).fetchone() is None:
        return 0
    (version,) = connection.execute(_SQL["schema_version"]).fetchone()
    return int(version)


def _migrations() -> dict[int, str]:
    folder = resources.files(_PACKAGE).joinpath("migrations")
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return {int(file.name[:4]): file.read_text(encoding="utf-8") for file in files}


def _apply(connection: sqlite3.Connection, script: str) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nCOMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
