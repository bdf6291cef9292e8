"""What the alert stage needs of the world: a durable ordered log, and a place for snapshots.

The log is the one door: posted alerts, alerts from rules, silences, delivery reports, ticks
of the clock and changes of configuration all enter as log entries. State is what replaying
the entries gives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tocsin.model.events import Delta, GroupFlush, LogEntry, LoggedEntry
from tocsin.model.tenant import TenantId

Consumer = Callable[[LoggedEntry], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of one tenant after the entry `seq` was applied; `body` is opaque to stores."""

    seq: int
    body: bytes


class AlertLog(Protocol):
    """A durable log of entries, ordered by `seq` over all tenants."""

    def append(self, tenant: TenantId, entry: LogEntry) -> asyncio.Future[int]:
        """Queue `entry`; the future gives its `seq` once it is on disk (fsync).

        Raises NotDurable in the future when the store failed: nothing was kept then. Call
        on the event loop. Entries queued while one commit runs share the next one.
        """
        ...

    def follow(self, tenant: TenantId, consumer: Consumer) -> None:
        """Call `consumer` on the event loop with every entry of `tenant` that becomes durable.

        In `seq` order, exactly once, and before the future of its `append` resolves. Entries
        other rooms cause (a settled delivery) arrive here as well. One consumer a tenant.
        """
        ...

    async def tail(self, tenant: TenantId, *, after: int, limit: int) -> list[LoggedEntry]:
        """Return at most `limit` durable entries with `seq > after`, oldest first."""
        ...

    def commit(self, tenant: TenantId, *, seq: int, delta: Delta) -> asyncio.Future[None]:
        """Queue one transaction: what applying entry `seq` changed, and that it was applied.

        Rows for the outbox, replaced notifications and incidents are written with the new
        applied offset, or not at all. The offset never goes back. Raises NotDurable in the
        future; calling again with the same arguments is safe.
        """
        ...


class Snapshots(Protocol):
    """Where the state of a tenant is kept, so that recovery replays only the tail."""

    async def load(self, tenant: TenantId) -> Snapshot | None:
        """Return the newest snapshot, None when there is none."""
        ...

    async def save(self, tenant: TenantId, snapshot: Snapshot) -> None:
        """Replace the snapshot of `tenant` by one that is not older. Raises NotDurable."""
        ...

    async def applied(self, tenant: TenantId) -> int:
        """Return the `seq` of the last entry whose delta is committed, 0 at first."""
        ...


Grouped = Callable[[TenantId, tuple[GroupFlush, ...]], Delta]
"""The next stage: what flushed groups mean for incidents and the outbox. Pure of I/O.

It is given the flushes of each entry in `seq` order, and never again once their delta is committed.
"""
