"""What has to be done now and then: samples to disk, old things away, own gauges up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from tocsin.app.instruments import StoreGauges
from tocsin.model.clock import Clock
from tocsin.model.errors import TocsinError
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId
from tocsin.storage.stores import Stores
from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger
from tocsin.timeseries.store import MetricStore

SYNC_EVERY = timedelta(seconds=1)  # contract "metrics-engine", section 2.5
TIDY_EVERY = timedelta(minutes=10)
COUNT_EVERY = timedelta(seconds=5)
_log = get_logger("chores")


@dataclass(slots=True)
class Chores:
    """The periodic work of a running server; `tenants` is asked each time."""

    series: MetricStore
    stores: Stores
    clock: Clock
    gauges: StoreGauges
    tenants: Callable[[], tuple[TenantId, ...]]
    history: Callable[[], timedelta]

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(SYNC_EVERY, self.sync))
            group.create_task(self._every(TIDY_EVERY, self.tidy))
            group.create_task(self._every(COUNT_EVERY, self.count))

    async def sync(self) -> None:
        """Make samples durable."""
        await asyncio.to_thread(self.series.sync)

    async def tidy(self) -> None:
        """Drop samples and history past their retention."""
        now = self.clock.now()
        for tenant in self.tenants():
            self.series.expire(tenant, to_ms(now))
            await self.stores.history.prune(tenant, before=now - self.history())

    async def count(self) -> None:
        """Bring the gauges of stores and loop up to date."""
        for tenant in self.tenants():
            self.gauges.series.labels(tenant).set(self.series.stats(tenant).series)
            depth = await self.stores.history.outbox_depth(tenant)
            self.gauges.outbox.labels(tenant).set(depth.pending)

    async def _every(self, period: timedelta, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            due = self.clock.now() + period
            await self.clock.sleep_until(due)
            self.gauges.lag.set((self.clock.now() - due).total_seconds())
            with Edge(_log, "chore failed by a bug", chore=_name(work)):
                await self._one(work)

    async def _one(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (TocsinError, OSError) as error:
            _log.warn("chore failed", chore=_name(work), error=str(error))


def _name(work: Callable[[], Awaitable[None]]) -> str:
    return getattr(work, "__name__", "?")
