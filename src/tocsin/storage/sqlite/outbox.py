"""Notifications waiting to be sent, and the log of what became of them.

Rows come with the delta that caused them (`alerts.commit`) and end by `settle`, whose
transaction also appends the report their group is waiting for.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

from tocsin.model.codec import decode, encode
from tocsin.model.errors import InvalidInput
from tocsin.model.events import EntryKind, LogEntry, LoggedEntry
from tocsin.model.notification import DeliveryReport, Final, Notification
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.ports import (
    PENDING,
    Attempt,
    Delivery,
    DeliveryLog,
    Outbox,
    OutboxRow,
)
from tocsin.storage.micros import from_micros, to_micros
from tocsin.storage.named_sql import load_queries
from tocsin.storage.signals import Followers, Watchers
from tocsin.storage.sqlite.connection import Database
from tocsin.storage.sqlite.leases import Leases
from tocsin.storage.sqlite.log import append_entry

_SQL = load_queries("tocsin.storage.sqlite", "outbox.sql")


def insert_notifications(
    connection: sqlite3.Connection,
    tenant: TenantId,
    *,
    seq: int,
    notifications: tuple[Notification, ...],
) -> None:
    """Add rows that entry `seq` caused; those that are there already stay as they are."""
    rows = [
        {
            "tenant": tenant,
            "id": notification.id,
            "created_seq": seq,
            "ordinal": ordinal,
            "created_us": to_micros(notification.flushed_at),
            "receiver": notification.receiver,
            "integration": notification.integration,
            "group_key": notification.group_key,
            "body": encode(notification),
        }
        for ordinal, notification in enumerate(notifications)
    ]
    if rows:
        connection.executemany(_SQL["insert_notification"], rows)


def supersede(connection: sqlite3.Connection, tenant: TenantId, ids: tuple[str, ...]) -> None:
    """End rows that are still waiting and were replaced; their groups know already."""
    if ids:
        rows = [{"tenant": tenant, "id": replaced} for replaced in ids]
        connection.executemany(_SQL["supersede"], rows)


class SqliteOutbox(Outbox):
    """The outbox of one database. A claim is a read: leases are kept in memory (`leases`)."""

    def __init__(self, database: Database, followers: Followers, watchers: Watchers) -> None:
        self._database = database
        self._followers = followers
        self._watchers = watchers
        self._leases: defaultdict[TenantId, Leases] = defaultdict(Leases)

    async def claim(
        self, tenant: TenantId, *, now: datetime, limit: int, lease: timedelta
    ) -> list[OutboxRow]:
        """Lease due rows: untried ones first, in the order they came, then by due time."""
        leases = self._leases[tenant]
        async with leases.claiming:
            values = {"tenant": tenant, "now_us": to_micros(now), "limit": limit}
            values["held"] = encode(leases.held(now)).decode()
            rows = await self._database.read(
                tenant, lambda connection: _due_rows(connection, values)
            )
            return [row for row in rows if leases.take(row.notification.id, now + lease)]

    async def settle(self, tenant: TenantId, attempt: Attempt) -> None:
        """Record an attempt and what follows from it; repeating a settle changes nothing.

        Raises InvalidInput when the tenant has no such notification.
        """
        await self._database.writer.submit(
            lambda connection: _settle(connection, tenant, attempt),
            committed=lambda report: self._settled(tenant, attempt, report),
        )

    async def next_due(self, tenant: TenantId) -> datetime | None:
        """Return when the next row or the first lease is due; 1970 for rows never tried."""
        leases = self._leases[tenant]
        values = {"tenant": tenant, "held": encode(leases.ids()).decode()}
        row = await self._database.read(
            tenant, lambda connection: connection.execute(_SQL["next_due"], values).fetchone()
        )
        times = (from_micros(row[0]) if row else None, leases.first_end())
        return min((time for time in times if time), default=None)

    def watch(self, tenant: TenantId, wake: Callable[[], None]) -> None:
        """Call `wake` when rows came or fell due again; a later call replaces it."""
        self._watchers.watch(tenant, wake)

    def _settled(self, tenant: TenantId, attempt: Attempt, report: LoggedEntry | None) -> None:
        self._leases[tenant].release(attempt.notification)
        if attempt.final is None:
            self._watchers.wake(tenant)
        if report is not None:
            self._followers.publish(tenant, report)


class SqliteDeliveryLog(DeliveryLog):
    """The delivery log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def deliveries(
        self, tenant: TenantId, *, before: str | None, limit: int, receiver: str = ""
    ) -> list[Delivery]:
        """Return one page; none when `before` is no notification of `tenant`."""
        query = "deliveries" if before is None else "deliveries_before"
        values = {"tenant": tenant, "before": before, "limit": limit, "receiver": receiver}

        def page(connection: sqlite3.Connection) -> list[Delivery]:
            rows = connection.execute(_SQL[query], values).fetchall()
            attempts = _attempts(connection, tenant, [row[0] for row in rows])
            return [_delivery(row, tuple(attempts[row[0]])) for row in rows]

        return await self._database.read(tenant, page)


def _due_rows(connection: sqlite3.Connection, values: dict[str, object]) -> list[OutboxRow]:
    return [
        OutboxRow(
            notification=decode(body, Notification),
            attempts=attempts,
            first_at=None if first_at_us is None else from_micros(first_at_us),
        )
        for body, attempts, first_at_us in connection.execute(_SQL["due_rows"], values)
    ]


def _settle(
    connection: sqlite3.Connection, tenant: TenantId, attempt: Attempt
) -> LoggedEntry | None:
    """Write one attempt; return the report it caused, None when nobody waits for one."""
    values = _columns(tenant, attempt)
    if not connection.execute(_SQL["note_attempt"], values).rowcount:
        raise InvalidInput(f"tenant {tenant} has no notification {attempt.notification!r}")
    connection.execute(_SQL["insert_attempt"], values)
    if attempt.final is None:
        connection.execute(_SQL["postpone"], values)
        return None
    waiting = connection.execute(_SQL["end_row"], values).fetchone()
    if waiting is None:
        return None
    entry = _report(attempt, attempt.final, *waiting)
    return LoggedEntry(append_entry(connection, tenant, entry), entry)


def _columns(tenant: TenantId, attempt: Attempt) -> dict[str, object]:
    return {
        "tenant": tenant,
        "notification": attempt.notification,
        "number": attempt.number,
        "at_us": to_micros(attempt.at),
        "next_at_us": to_micros(attempt.next_at or attempt.at),
        "ended_us": to_micros(_end(attempt)),
        "state": attempt.final and attempt.final.value,
        "reason": attempt.reason,
        "body": encode(attempt),
    }


def _report(attempt: Attempt, final: Final, group_key: str, integration: str) -> LogEntry:
    report = DeliveryReport(attempt.notification, group_key, integration, final, attempt.reason)
    return LogEntry(EntryKind.REPORT, _end(attempt), encode(report))


def _end(attempt: Attempt) -> datetime:
    return attempt.at + timedelta(milliseconds=attempt.took_ms)


def _attempts(
    connection: sqlite3.Connection, tenant: TenantId, ids: list[str]
) -> defaultdict[str, list[Attempt]]:
    values = {"tenant": tenant, "ids": encode(ids).decode()}
    found: defaultdict[str, list[Attempt]] = defaultdict(list)
    for notification, body in connection.execute(_SQL["attempts_of"], values):
        found[notification].append(decode(body, Attempt))
    return found


def _delivery(row: tuple[str, str, int, int, bytes], attempts: tuple[Attempt, ...]) -> Delivery:
    _, state, next_at_us, created_us, body = row
    next_at = from_micros(next_at_us or created_us) if state == PENDING else None
    return Delivery(decode(body, Notification), state, attempts, next_at)
