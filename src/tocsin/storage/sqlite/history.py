"""What is kept how long, and how much waits.

Pruning reads what may go in a reader thread and deletes it in small transactions, so that
it never holds up an acknowledgement for long.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from tocsin.model.codec import encode
from tocsin.model.tenant import TenantId
from tocsin.storage.micros import from_micros, to_micros
from tocsin.storage.named_sql import load_queries
from tocsin.storage.sqlite.connection import Database

_SQL = load_queries("tocsin.storage.sqlite", "history.sql")
CHUNK = 1000  # rows deleted in one transaction


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows a pruning removed."""

    entries: int
    notifications: int
    incidents: int = 0


@dataclass(frozen=True, slots=True)
class OutboxDepth:
    """How many notifications wait, and when the oldest was flushed (None when none do)."""

    pending: int
    oldest_at: datetime | None


class SqliteHistory:
    """Retention and counts of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prune(self, tenant: TenantId, *, before: datetime) -> Pruned:
        """Remove what ended before `before` and no replay needs. Raises NotDurable.

        That is notifications that are not waiting with their attempts, resolved incidents, and
        log entries, all behind the snapshot. Without a snapshot nothing goes.
        """
        return Pruned(
            incidents=await self._prune(
                tenant, before, "prunable_incidents", ("delete_incidents",)
            ),
            entries=await self._prune(tenant, before, "prunable_entries", ("delete_entries",)),
            notifications=await self._prune(
                tenant,
                before,
                "prunable_notifications",
                ("delete_attempts", "delete_notifications"),
            ),
        )

    async def outbox_depth(self, tenant: TenantId) -> OutboxDepth:
        """Count what waits; O(waiting rows)."""
        pending, oldest_us = await self._database.read(
            tenant,
            lambda connection: connection.execute(
                _SQL["outbox_depth"], {"tenant": tenant}
            ).fetchone(),
        )
        return OutboxDepth(pending, None if oldest_us is None else from_micros(oldest_us))

    async def _prune(
        self, tenant: TenantId, before: datetime, find: str, deletes: tuple[str, ...]
    ) -> int:
        values = {"tenant": tenant, "before_us": to_micros(before), "limit": CHUNK}
        total = 0
        while ids := await self._find(tenant, find, values):
            await self._delete(tenant, deletes, ids)
            total += len(ids)
        return total

    async def _find(
        self, tenant: TenantId, query: str, values: dict[str, object]
    ) -> list[int | str]:
        def find(connection: sqlite3.Connection) -> list[int | str]:
            return [row[0] for row in connection.execute(_SQL[query], values)]

        return await self._database.read(tenant, find)

    async def _delete(
        self, tenant: TenantId, queries: tuple[str, ...], ids: list[int | str]
    ) -> None:
        values = {"tenant": tenant, "ids": encode(ids).decode()}

        def delete(connection: sqlite3.Connection) -> None:
            for query in queries:
                connection.execute(_SQL[query], values)

        await self._database.writer.submit(delete)
