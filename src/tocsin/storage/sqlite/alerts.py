"""The log of the alert pipeline, and the snapshots that keep its replay short."""

from __future__ import annotations

import asyncio
import sqlite3

from tocsin.alert_manager.ports import AlertLog, Consumer, Snapshot, Snapshots
from tocsin.model.events import Delta, LogEntry, LoggedEntry
from tocsin.model.tenant import TenantId
from tocsin.storage.signals import Followers, Watchers
from tocsin.storage.sqlite.connection import Database
from tocsin.storage.sqlite.incidents import upsert_incidents
from tocsin.storage.sqlite.log import SQL, append_entry, tail_entries
from tocsin.storage.sqlite.outbox import insert_notifications, supersede

_ROW_BYTES = 64  # what an entry costs in the queue beside its body, roughly


class SqliteAlertLog(AlertLog):
    """The durable log of one database. Belongs to the event loop of its database.

    A commit raises the applied offset to its `seq` whatever became of earlier ones: who calls
    waits for one commit before the next, or joins the delta of a failed one to the next.
    """

    def __init__(self, database: Database, followers: Followers, watchers: Watchers) -> None:
        self._database = database
        self._followers = followers
        self._watchers = watchers

    def append(self, tenant: TenantId, entry: LogEntry) -> asyncio.Future[int]:
        """Queue `entry`; LimitExceeded in the future when too many bytes wait for the disk."""
        return self._database.writer.submit(
            lambda connection: append_entry(connection, tenant, entry),
            size=len(entry.body) + _ROW_BYTES,
            committed=lambda seq: self._followers.publish(tenant, LoggedEntry(seq, entry)),
        )

    def follow(self, tenant: TenantId, consumer: Consumer) -> None:
        """Send entries of `tenant` to `consumer`; a later call replaces the consumer."""
        self._followers.follow(tenant, consumer)

    async def tail(self, tenant: TenantId, *, after: int, limit: int) -> list[LoggedEntry]:
        """Return at most `limit` entries behind `after`."""
        return await self._database.read(
            tenant, lambda connection: tail_entries(connection, tenant, after=after, limit=limit)
        )

    def commit(self, tenant: TenantId, *, seq: int, delta: Delta) -> asyncio.Future[None]:
        """Queue the transaction for entry `seq`; see the class about order."""
        return self._database.writer.submit(
            lambda connection: _commit(connection, tenant, seq=seq, delta=delta),
            committed=lambda _: self._watchers.wake(tenant) if delta.notifications else None,
        )


class SqliteSnapshots(Snapshots):
    """One snapshot a tenant; an older one never replaces a newer one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, tenant: TenantId) -> Snapshot | None:
        """Return the snapshot of `tenant`."""
        row = await self._database.read(
            tenant,
            lambda connection: connection.execute(
                SQL["load_snapshot"], {"tenant": tenant}
            ).fetchone(),
        )
        return Snapshot(*row) if row else None

    async def save(self, tenant: TenantId, snapshot: Snapshot) -> None:
        """Replace the snapshot of `tenant`."""
        row = {"tenant": tenant, "seq": snapshot.seq, "body": snapshot.body}

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["save_snapshot"], row)

        await self._database.writer.submit(write)

    async def applied(self, tenant: TenantId) -> int:
        """Return the applied offset of `tenant`."""
        row = await self._database.read(
            tenant,
            lambda connection: connection.execute(
                SQL["applied_seq"], {"tenant": tenant}
            ).fetchone(),
        )
        return int(row[0]) if row else 0


def _commit(connection: sqlite3.Connection, tenant: TenantId, *, seq: int, delta: Delta) -> None:
    insert_notifications(connection, tenant, seq=seq, notifications=delta.notifications)
    supersede(connection, tenant, delta.replaced)
    upsert_incidents(connection, tenant, seq=seq, incidents=delta.incidents)
    connection.execute(SQL["raise_applied"], {"tenant": tenant, "seq": seq})
