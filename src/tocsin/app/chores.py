"""What has to be done now and then: samples to disk, old things away, own gauges up to date.

The upkeep of the metric store comes as items of work, each of which is done in a thread; what
the store does between two of them takes a few milliseconds of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta

from tocsin.app.instruments import StoreGauges
from tocsin.model.clock import Clock
from tocsin.model.errors import TocsinError
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId
from tocsin.storage.stores import Stores
from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger
from tocsin.timeseries.block import Fault
from tocsin.timeseries.store import MetricStore
from tocsin.timeseries.work import Kind, Work

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
    told: dict[TenantId, int] = field(default_factory=dict)
    """How many damaged places were logged, by tenant."""

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
        """Seal and merge samples, drop samples and history past their retention.

        What fails for one tenant is logged and left for the next round.
        """
        now = self.clock.now()
        for tenant in self.tenants():
            try:
                await self._tidy_samples(tenant, to_ms(now))
                await self.stores.history.prune(tenant, before=now - self.history())
            except (TocsinError, OSError) as error:
                _log.warn("chore failed", chore="tidy", tenant=tenant, error=str(error))

    async def count(self) -> None:
        """Bring the gauges of stores and loop up to date."""
        for tenant in self.tenants():
            stats = self.series.stats(tenant)
            self.gauges.series.labels(tenant).set(stats.series)
            self.gauges.tsdb.show(tenant, stats)
            self._tell(tenant, stats.faults)
            depth = await self.stores.history.outbox_depth(tenant)
            self.gauges.outbox.labels(tenant).set(depth.pending)

    async def _tidy_samples(self, tenant: TenantId, now_ms: int) -> None:
        with closing(self.series.upkeep(tenant, now_ms)) as steps:
            for work in steps:
                if work.kind is Kind.REST:
                    await asyncio.sleep(0)
                else:
                    await self._done(work)

    async def _done(self, work: Work) -> None:
        """Do one item in a thread; it is timed, and counted when it fails."""
        seconds, failed = self.gauges.tsdb.seconds, self.gauges.tsdb.failed
        with seconds.labels(work.kind).time(), failed.labels(work.kind).count_exceptions():
            await asyncio.to_thread(work.run)

    def _tell(self, tenant: TenantId, faults: tuple[Fault, ...]) -> None:
        """Log what was found damaged in blocks, each place once."""
        for fault in faults[self.told.get(tenant, 0) :]:
            _log.error("block damaged", tenant=tenant, file=str(fault.path), what=fault.what)
        self.told[tenant] = len(faults)

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
