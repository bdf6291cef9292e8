"""The metric stage at work: for each tenant its scrape targets, this host and this process.

Every source has a task of its own that wakes on the source's slots, collects, and stores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.metrics_collector.config import MetricsConfig
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.ports import Fetch, Host, SampleSink
from tocsin.metrics_collector.process import ProcessMetrics
from tocsin.metrics_collector.sources import (
    HostSource,
    ProcessSource,
    Source,
    Store,
    TargetSource,
)
from tocsin.metrics_collector.system import PsutilHost
from tocsin.metrics_collector.target import targets_of
from tocsin.metrics_collector.views import TargetView
from tocsin.model.clock import Clock
from tocsin.model.slots import Slots
from tocsin.model.tenant import TenantId
from tocsin.telemetry.logs import get_logger
from tocsin.telemetry.metrics import Registry

_LOG = get_logger("metrics_collector")
_PATIENCE = timedelta(seconds=1)


@dataclass(slots=True)
class _Running:
    source: Source
    task: asyncio.Task[None]


class Collector:
    """The metric stage: collects for every tenant and stores what comes."""

    def __init__(
        self,
        sink: SampleSink,
        fetch: Fetch,
        *,
        clock: Clock,
        registry: Registry,
        host: Host | None = None,
        process: ProcessMetrics | None = None,
    ) -> None:
        """Bind the neighbours; nothing runs before `start`.

        `process` is where `MetricsCollector`s hand in; it may be older than this object.
        """
        self._sink = sink
        self._fetch = fetch
        self._clock = clock
        self._instruments = self.instruments = MetricInstruments(registry)
        self._host = host or PsutilHost()
        self.process = process or ProcessMetrics()
        self._tenants: dict[TenantId, dict[str, _Running]] = {}
        self._locks: dict[TenantId, asyncio.Lock] = {}

    async def start(self, tenant: TenantId, config: MetricsConfig) -> None:
        """Begin to collect."""
        await self.reload(tenant, config)

    async def reload(self, tenant: TenantId, config: MetricsConfig) -> None:
        """Swap in a new configuration; what is unchanged runs on, what is gone ends."""
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            before = self._tenants.setdefault(tenant, {})
            wanted = self._sources(tenant, config)
            new = {source.identity: source for key, source in wanted.items() if key not in before}
            for key in [key for key in before if key not in wanted]:
                await self._replace(before.pop(key), new)
            for key, source in wanted.items():
                if key not in before:
                    before[key] = _Running(source, self._run(tenant, source))
            count = sum(isinstance(each.source, TargetSource) for each in before.values())
            self._instruments.targets.labels(tenant).set(count)

    async def stop(self, tenant: TenantId) -> None:
        """Stop collecting; metrics of this process are stored once more. Series do not end."""
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            for running in self._tenants.pop(tenant, {}).values():
                await _cancel(running.task)
                if isinstance(running.source, ProcessSource):
                    running.source.flush(self._clock.now())
            self._instruments.targets.labels(tenant).set(0)

    async def stop_all(self) -> None:
        """Stop for every tenant. Idempotent."""
        for tenant in list(self._tenants):
            await self.stop(tenant)

    def targets(self, tenant: TenantId) -> list[TargetView]:
        """Return the scrape targets of a tenant, by job and URL."""
        sources = (running.source for running in self._tenants.get(tenant, {}).values())
        views = (source.view() for source in sources if isinstance(source, TargetSource))
        return sorted(views, key=lambda view: (view.pool, view.url))

    def _sources(self, tenant: TenantId, config: MetricsConfig) -> dict[str, Source]:
        """Return what a tenant collects; the key changes when anything of a source does."""
        store = Store(tenant, self._sink, self._instruments)
        interval = config.collector_interval
        sources: dict[str, Source] = {
            f"process/{interval}": ProcessSource(interval, store, self.process)
        }
        if config.system_metrics.enabled:
            key = f"system/{config.system_metrics}"
            sources[key] = HostSource(config.system_metrics, store, self._host)
        for target in targets_of(config).values():
            secret = hash(target.authorization)
            sources[f"scrape/{target}/{secret}"] = TargetSource(target, store, self._fetch)
        return sources

    def _run(self, tenant: TenantId, source: Source) -> asyncio.Task[None]:
        slots = Slots.named(f"{tenant};{source.identity}", source.interval)
        rounds = self._rounds(tenant, source, slots)
        return asyncio.create_task(rounds, name=f"metrics/{tenant}/{source.name}")

    async def _rounds(self, tenant: TenantId, source: Source, slots: Slots) -> None:
        """Collect from a source for ever, once per slot."""
        slot = slots.after(self._clock.now())
        while True:
            slot = await self._reached(slots, slot)
            await self._collect(tenant, source, slot)
            slot, missed = slots.following(slot, self._clock.now())
            self._instruments.missed.labels(tenant).inc(missed)

    async def _collect(self, tenant: TenantId, source: Source, slot: datetime) -> None:
        try:
            await source.collect(slot, self._clock.now())
        except Exception as error:  # noqa: BLE001 - edge of the task loop
            self._instruments.failures.labels(tenant, source.name).inc()
            _LOG.bug("Collecting failed", error, tenant=tenant, source=source.name)

    async def _reached(self, slots: Slots, slot: datetime) -> datetime:
        """Wait for `slot` and return it; the next one near when the clock is put back meanwhile."""
        while True:
            try:
                async with asyncio.timeout((slots.interval + _PATIENCE).total_seconds()):
                    await self._clock.sleep_until(slot)
                    return slot
            except TimeoutError:
                slot = slots.after(self._clock.now())

    async def _replace(self, old: _Running, new: Mapping[str, Source]) -> None:
        """Stop a source; one of the same identity goes on with its series, else they end."""
        await _cancel(old.task)
        heir = new.get(old.source.identity)
        if heir is None:
            old.source.end(self._clock.now())
        else:
            heir.adopt(old.source)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
