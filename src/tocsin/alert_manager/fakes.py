"""An alert log and snapshots in memory, obeying the ports; for tests and dry runs.

Entries become durable one turn of the event loop after `append`, all that were queued by then
together. `failing` makes every write fail until it is set back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from tocsin.alert_manager.ports import AlertLog, Consumer, Snapshot, Snapshots
from tocsin.model.errors import NotDurable
from tocsin.model.events import Delta, LogEntry, LoggedEntry
from tocsin.model.tenant import TenantId

T = TypeVar("T")


@dataclass(slots=True)
class Commit:
    """One committed delta."""

    tenant: TenantId
    seq: int
    delta: Delta


@dataclass(slots=True)
class Stored:
    """What would be on disk: survives any number of MemoryLog objects made upon it."""

    entries: list[tuple[TenantId, LoggedEntry]] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    applied: dict[TenantId, int] = field(default_factory=dict)
    snapshots: dict[TenantId, Snapshot] = field(default_factory=dict)

    def of(self, tenant: TenantId) -> Iterator[LoggedEntry]:
        """Yield the entries of one tenant, oldest first."""
        return (logged for owner, logged in self.entries if owner == tenant)


class MemoryLog(AlertLog):
    """The log of all tenants, in memory."""

    def __init__(self, stored: Stored | None = None) -> None:
        """Work upon `stored`, by default an empty one."""
        self.stored = Stored() if stored is None else stored
        self.failing = False
        self._consumers: dict[TenantId, Consumer] = {}

    def append(self, tenant: TenantId, entry: LogEntry) -> asyncio.Future[int]:
        """Queue `entry`; see the port."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        loop.call_soon(self._append, tenant, entry, future)
        return future

    def follow(self, tenant: TenantId, consumer: Consumer) -> None:
        """Hand every entry of `tenant` that becomes durable to `consumer`."""
        self._consumers[tenant] = consumer

    async def tail(self, tenant: TenantId, *, after: int, limit: int) -> list[LoggedEntry]:
        """Return durable entries after `after`."""
        return [logged for logged in self.stored.of(tenant) if logged.seq > after][:limit]

    def commit(self, tenant: TenantId, *, seq: int, delta: Delta) -> asyncio.Future[None]:
        """Queue one transaction; see the port."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        commit = Commit(tenant, seq, delta)
        loop.call_soon(self._commit, commit, future)
        return future

    def _append(self, tenant: TenantId, entry: LogEntry, future: asyncio.Future[int]) -> None:
        if self.failing:
            _fail(future)
            return
        logged = LoggedEntry(len(self.stored.entries) + 1, entry)
        self.stored.entries.append((tenant, logged))
        consumer = self._consumers.get(tenant)
        if consumer is not None:
            consumer(logged)
        if not future.done():
            future.set_result(logged.seq)

    def _commit(self, commit: Commit, future: asyncio.Future[None]) -> None:
        if self.failing:
            _fail(future)
            return
        self.stored.commits.append(commit)
        before = self.stored.applied.get(commit.tenant, 0)
        self.stored.applied[commit.tenant] = max(before, commit.seq)
        if not future.done():
            future.set_result(None)


class MemorySnapshots(Snapshots):
    """Snapshots and applied offsets, in memory."""

    def __init__(self, log: MemoryLog) -> None:
        """Share what is stored, and the failures, with `log`."""
        self._log = log

    async def load(self, tenant: TenantId) -> Snapshot | None:
        """Return the newest snapshot."""
        return self._log.stored.snapshots.get(tenant)

    async def save(self, tenant: TenantId, snapshot: Snapshot) -> None:
        """Replace the snapshot, unless it is newer."""
        if self._log.failing:
            raise NotDurable("the fake store was told to fail")
        kept = self._log.stored.snapshots.get(tenant)
        if kept is None or kept.seq <= snapshot.seq:
            self._log.stored.snapshots[tenant] = snapshot

    async def applied(self, tenant: TenantId) -> int:
        """Return the last committed `seq`."""
        return self._log.stored.applied.get(tenant, 0)


def _fail(future: asyncio.Future[T]) -> None:
    if not future.done():
        future.set_exception(NotDurable("the fake store was told to fail"))
