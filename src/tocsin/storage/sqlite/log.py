"""Rows of the log: what `alerts` and `outbox` both append to, inside a transaction of theirs."""

from __future__ import annotations

import sqlite3

from tocsin.model.events import EntryKind, LogEntry, LoggedEntry
from tocsin.model.tenant import TenantId
from tocsin.storage.micros import from_micros, to_micros
from tocsin.storage.named_sql import load_queries

SQL = load_queries("tocsin.storage.sqlite", "log.sql")


def append_entry(connection: sqlite3.Connection, tenant: TenantId, entry: LogEntry) -> int:
    """Insert one entry and return its `seq`."""
    row = {
        "tenant": tenant,
        "at_us": to_micros(entry.at),
        "kind": entry.kind.value,
        "body": entry.body,
    }
    seq = connection.execute(SQL["append_entry"], row).lastrowid
    return seq or 0  # never None after an INSERT


def tail_entries(
    connection: sqlite3.Connection, tenant: TenantId, *, after: int, limit: int
) -> list[LoggedEntry]:
    """Return at most `limit` entries with `seq > after`, oldest first."""
    rows = connection.execute(
        SQL["tail_entries"], {"tenant": tenant, "after": after, "limit": limit}
    )
    return [
        LoggedEntry(seq, LogEntry(EntryKind(kind), from_micros(at_us), body))
        for seq, at_us, kind, body in rows
    ]
