"""The metric stage at work: for each tenant its scrape targets, this host and this process.

Every source has a task of its own that wakes on the source's slots, collects, and stores.
Every discoverer has one too, that looks for targets; what it finds is swapped in at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from tocsin.metrics_collector.config import MetricsConfig
from tocsin.metrics_collector.discovery import Discoverer
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.own import OwnMetrics
from tocsin.metrics_collector.pools import (
    Discoverers,
    DiscoveryKey,
    Lookouts,
    ScrapePool,
    discoverers_of,
    pools_of,
)
from tocsin.metrics_collector.ports import Fetch, Host, Resolver, SampleSink, TargetFiles
from tocsin.metrics_collector.process import ProcessMetrics
from tocsin.metrics_collector.sd_dns import SystemResolver
from tocsin.metrics_collector.sd_file import DiskFiles
from tocsin.metrics_collector.sources import (
    HostSource,
    ProcessSource,
    Source,
    Store,
    TargetSource,
)
from tocsin.metrics_collector.system import PsutilHost
from tocsin.metrics_collector.views import DroppedTargets, TargetView
from tocsin.model.clock import Clock
from tocsin.model.slots import Slots
from tocsin.model.tenant import TenantId
from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger
from tocsin.telemetry.metrics import Registry

_LOG = get_logger("metrics_collector")
_PATIENCE = timedelta(seconds=1)


@dataclass(slots=True)
class _Running:
    source: Source
    task: asyncio.Task[None]


@dataclass(slots=True)
class _Tenant:
    """What runs for one tenant. Whoever changes it holds the tenant's lock."""

    config: MetricsConfig = field(default_factory=MetricsConfig)
    running: dict[Hashable, _Running] = field(default_factory=dict)
    pools: dict[str, ScrapePool] = field(default_factory=dict)
    discoverers: Discoverers = field(default_factory=dict)
    looking: dict[DiscoveryKey, asyncio.Task[None]] = field(default_factory=dict)


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
        files: TargetFiles | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        """Bind the neighbours; nothing runs before `start`.

        `process` is where `MetricsCollector`s hand in; it may be older than this object.
        """
        self._sink = sink
        self._fetch = fetch
        self._clock = clock
        self.instruments = MetricInstruments(registry)
        """The stage's own metrics, shared with what receives samples."""
        self._host = host or PsutilHost()
        self._lookouts = Lookouts(fetch, files or DiskFiles(), resolver or SystemResolver())
        self._own = OwnMetrics(registry, clock)
        self.process = process or ProcessMetrics()
        self._tenants: dict[TenantId, _Tenant] = {}
        self._locks: dict[TenantId, asyncio.Lock] = {}

    async def start(self, tenant: TenantId, config: MetricsConfig) -> None:
        """Begin to collect."""
        await self.reload(tenant, config)

    async def reload(self, tenant: TenantId, config: MetricsConfig) -> None:
        """Swap in a new configuration; what is unchanged runs on, what is gone ends."""
        async with self._lock(tenant):
            state = self._tenants.setdefault(tenant, _Tenant())
            wanted = discoverers_of(config, state.discoverers, self._lookouts)
            for key in state.looking.keys() - wanted.keys():
                await _cancel(state.looking.pop(key))
            state.config, state.discoverers = config, wanted
            state.pools = await pools_of(config, wanted, state.pools)
            self._warn_of_faults(tenant, state.pools.values())
            await self._swap(tenant, state)
            for key in wanted.keys() - state.looking.keys():
                state.looking[key] = self._look(tenant, wanted[key])

    async def stop(self, tenant: TenantId) -> None:
        """Stop collecting; metrics of this process are stored once more. Series do not end."""
        async with self._lock(tenant):
            state = self._tenants.pop(tenant, _Tenant())
            for task in state.looking.values():
                await _cancel(task)
            for running in state.running.values():
                await _cancel(running.task)
                if isinstance(running.source, ProcessSource):
                    running.source.flush(self._clock.now())
            self._count(tenant, _Tenant())

    async def stop_all(self) -> None:
        """Stop for every tenant. Idempotent."""
        for tenant in list(self._tenants):
            await self.stop(tenant)

    def targets(self, tenant: TenantId) -> list[TargetView]:
        """Return the scrape targets of a tenant, by job and URL."""
        running = self._tenants[tenant].running.values() if tenant in self._tenants else ()
        views = (each.source.view() for each in running if isinstance(each.source, TargetSource))
        return sorted(views, key=lambda view: (view.pool, view.url))

    def dropped(self, tenant: TenantId) -> DroppedTargets:
        """Return the discovered targets of a tenant that its relabelling rules drop."""
        pools = self._tenants[tenant].pools if tenant in self._tenants else {}
        shown = (target for name in sorted(pools) for target in pools[name].pool.dropped)
        counts = {name: pools[name].pool.dropped_count for name in sorted(pools)}
        return DroppedTargets(tuple(shown), counts)

    async def _swap(self, tenant: TenantId, state: _Tenant) -> None:
        """Let run what the configuration and the pools ask for, and nothing else."""
        before, wanted = state.running, self._wanted(tenant, state)
        fresh = {key: make() for key, make in wanted.items() if key not in before}
        heirs = {source.identity: source for source in fresh.values()}
        for key in [key for key in before if key not in wanted]:
            await self._replace(before.pop(key), heirs)
        for key, source in fresh.items():
            before[key] = _Running(source, self._run(tenant, source))
        self._count(tenant, state)

    def _count(self, tenant: TenantId, state: _Tenant) -> None:
        pools = [each.pool for each in state.pools.values()]
        scraped = sum(isinstance(each.source, TargetSource) for each in state.running.values())
        instruments = self.instruments
        instruments.targets.labels(tenant).set(scraped)
        instruments.dropped.labels(tenant).set(sum(pool.dropped_count for pool in pools))
        instruments.unusable.labels(tenant).set(sum(len(pool.faults) for pool in pools))

    def _wanted(self, tenant: TenantId, state: _Tenant) -> dict[Hashable, Callable[[], Source]]:
        """Return what a tenant collects; the key changes when anything of a source does."""
        store = Store(tenant, self._sink, self.instruments)
        config, interval = state.config, state.config.collector_interval
        wanted: dict[Hashable, Callable[[], Source]] = {
            ("process", interval): partial(ProcessSource, interval, store, self.process)
        }
        if config.system_metrics.enabled:
            make = partial(HostSource, config.system_metrics, store, self._host)
            wanted["system", config.system_metrics] = make
        if config.self_metrics.enabled:
            own = self._own.share(tenant)
            make = partial(HostSource, config.self_metrics, store, own, name="self")
            wanted["self", config.self_metrics] = make
        for pool in state.pools.values():
            for target in pool.pool.targets.values():
                wanted[target] = partial(TargetSource, target, store, self._fetch)
        return wanted

    def _look(self, tenant: TenantId, discoverer: Discoverer) -> asyncio.Task[None]:
        looks = self._looks(tenant, discoverer)
        return asyncio.create_task(looks, name=f"discovery/{tenant}/{discoverer.name}")

    async def _looks(self, tenant: TenantId, discoverer: Discoverer) -> None:
        """Look for targets for ever: at once, then once per slot."""
        slots = Slots.named(f"{tenant};{discoverer.name}", discoverer.interval)
        while True:
            slot = slots.after(self._clock.now())
            with Edge(_LOG, "Discovery failed", tenant=tenant, source=discoverer.name) as edge:
                await self._found(tenant, discoverer)
            if edge.error is not None:
                self.instruments.failures.labels(tenant, "discovery").inc()
            await self._reached(slots, slot)

    async def _found(self, tenant: TenantId, discoverer: Discoverer) -> None:
        """Look once, and swap in what changed."""
        groups, errors = discoverer.groups, discoverer.errors
        await discoverer.look(self._clock.now())
        self._told(tenant, discoverer, errors)
        if discoverer.groups == groups:
            return
        async with self._lock(tenant):
            state = self._tenants[tenant]
            concerned = [p for p in state.pools.values() if discoverer in p.discoverers]
            for scraped in concerned:
                await scraped.refresh()
            self._warn_of_faults(tenant, concerned)
            await self._swap(tenant, state)

    def _lock(self, tenant: TenantId) -> asyncio.Lock:
        return self._locks.setdefault(tenant, asyncio.Lock())

    def _told(self, tenant: TenantId, discoverer: Discoverer, before: Mapping[str, str]) -> None:
        """Count what failed, and log it when it is news."""
        failures = self.instruments.discovery_failures.labels(tenant, discoverer.mechanism)
        for place, why in discoverer.errors.items():
            failures.inc()
            if before.get(place) != why:
                _LOG.warn("Discovery keeps the last targets", tenant=tenant, place=place, err=why)

    def _warn_of_faults(self, tenant: TenantId, pools: Iterable[ScrapePool]) -> None:
        for each in pools:
            job, faults = each.job.config.job_name, each.pool.faults
            if faults:
                told = {"job": job, "count": len(faults), "first": faults[0]}
                _LOG.warn("Targets not usable", tenant=tenant, **told)

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
            self.instruments.missed.labels(tenant).inc(missed)

    async def _collect(self, tenant: TenantId, source: Source, slot: datetime) -> None:
        with Edge(_LOG, "Collecting failed", tenant=tenant, source=source.name) as edge:
            await source.collect(slot, self._clock.now())
        if edge.error is not None:
            self.instruments.failures.labels(tenant, source.name).inc()

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
