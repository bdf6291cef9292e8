"""The metric stage at work: for each tenant its scrape targets, this host and this process.

Every source has a task of its own that wakes on the source's slots, collects, and stores.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.metrics_collector.config import MetricsConfig, SystemMetricsConfig
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.ports import Family, Fetch, Host, SampleSink
from tocsin.metrics_collector.process import ProcessMetrics, flattened
from tocsin.metrics_collector.scrape import Scraped, TargetSeries, scrape_time
from tocsin.metrics_collector.system import PsutilHost, host_name
from tocsin.metrics_collector.target import Target, targets_of
from tocsin.metrics_collector.views import TargetHealth, TargetView
from tocsin.model.clock import Clock
from tocsin.model.errors import TocsinError
from tocsin.model.labels import Labels
from tocsin.model.output import Batch, Output
from tocsin.model.sample import Metadata
from tocsin.model.series import Appended
from tocsin.model.slots import Slots, to_ms
from tocsin.model.tenant import TenantId
from tocsin.telemetry.logs import get_logger
from tocsin.telemetry.metrics import Registry

_LOG = get_logger("metrics_collector")
_PATIENCE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Store:
    """Where the samples of one tenant go, and who counts them."""

    tenant: TenantId
    sink: SampleSink
    instruments: MetricInstruments

    def write(self, batches: Iterable[Batch], at: datetime, *, source: str) -> None:
        """Store batches at one time."""
        for batch in batches:
            appended = self.sink.append(self.tenant, batch.layout, to_ms(at), batch.values)
            self.count(appended, source=source)

    def count(self, appended: Appended, *, source: str) -> None:
        """Count what became of samples."""
        self.instruments.samples.labels(self.tenant, source).inc(appended.stored)
        for reason, count in appended.refused.items():
            self.instruments.refused.labels(self.tenant, source, reason).inc(count)

    def describe(self, metadata: Mapping[str, Metadata]) -> None:
        """Store type, help and unit of families."""
        for name, each in metadata.items():
            self.sink.set_metadata(self.tenant, name, each)


class Source(ABC):
    """Something that is collected at an interval."""

    name: str
    interval: timedelta

    @property
    @abstractmethod
    def identity(self) -> str:
        """Return what names the series of this source within its tenant."""

    @abstractmethod
    def adopt(self, before: Source) -> None:
        """Go on with the series of the same source as it was before a reload."""

    @abstractmethod
    async def collect(self, slot: datetime, now: datetime) -> None:
        """Collect once, as of `slot`; `now` is when it really began."""

    @abstractmethod
    def end(self, now: datetime) -> None:
        """End every series: the source is gone."""


@dataclass(slots=True)
class TargetSource(Source):
    """One scrape target."""

    target: Target
    store: Store
    fetch: Fetch
    health: TargetHealth = TargetHealth.UNKNOWN
    last_error: str = ""
    last_scrape: datetime | None = None
    took: timedelta = timedelta(0)
    name: str = "scrape"
    interval: timedelta = field(init=False)
    _series: TargetSeries = field(init=False)

    def __post_init__(self) -> None:
        self.interval = self.target.interval
        self._series = TargetSeries(self.target)

    @property
    def identity(self) -> str:
        """Return the target's key."""
        return f"scrape/{self.target.key}"

    def adopt(self, before: Source) -> None:
        """Go on with the target's series, and how its last scrape went."""
        if isinstance(before, TargetSource):
            self._series.adopt(before._series)
            self.health, self.last_error = before.health, before.last_error
            self.last_scrape, self.took = before.last_scrape, before.took

    async def collect(self, slot: datetime, now: datetime) -> None:
        """Scrape once and store what came."""
        at = scrape_time(slot, now, self.target.interval)
        began = time.perf_counter()
        scraped = await self._scrape(began)
        self.took = timedelta(seconds=time.perf_counter() - began)
        self._keep(scraped, at)
        self._note(scraped, at)

    def end(self, now: datetime) -> None:
        """End every series of the target."""
        self.store.write(self._series.end(), now, source=self.name)

    def view(self) -> TargetView:
        """Return the target as the API shows it."""
        return TargetView(
            pool=self.target.job,
            url=self.target.url,
            discovered=self.target.discovered,
            labels=self.target.labels,
            health=self.health,
            last_error=self.last_error,
            last_scrape=self.last_scrape,
            last_duration=self.took,
            interval=self.target.interval,
            timeout=self.target.timeout,
        )

    async def _scrape(self, began: float) -> Scraped:
        target = self.target
        try:
            page = await self.fetch.get(
                target.url,
                headers=target.headers(),
                timeout_s=target.timeout.total_seconds(),
                limit=target.limits.body,
                options=target.options,
            )
        except TocsinError as error:
            return self._series.fail(str(error), took=_since(began))
        return self._series.take(page, took=_since(began))

    def _keep(self, scraped: Scraped, at: datetime) -> None:
        store, source = self.store, self.name
        store.write(scraped.batches, at, source=source)
        if scraped.timed:
            store.count(store.sink.append_samples(store.tenant, scraped.timed), source=source)
        store.describe(scraped.metadata)
        store.instruments.exemplars.labels(store.tenant).inc(scraped.exemplars)
        if scraped.duplicates:
            refused = store.instruments.refused.labels(store.tenant, source, "duplicate_on_page")
            refused.inc(scraped.duplicates)

    def _note(self, scraped: Scraped, at: datetime) -> None:
        outcome = TargetHealth.DOWN if scraped.error else TargetHealth.UP
        tenant, target = self.store.tenant, self.target
        self.store.instruments.scrapes.labels(tenant, outcome.value).inc()
        if scraped.error and scraped.error != self.last_error:
            _LOG.debug("Scrape failed", tenant=tenant, job=target.job, err=scraped.error)
        self.health, self.last_error, self.last_scrape = outcome, scraped.error, at


@dataclass(slots=True)
class HostSource(Source):
    """The machine this process runs on, for one tenant."""

    config: SystemMetricsConfig
    store: Store
    host: Host
    name: str = "system"
    interval: timedelta = field(init=False)
    _scope: Labels = field(init=False)
    _output: Output = field(init=False)
    _described: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.interval = self.config.interval
        instance = self.config.instance or host_name()
        self._scope = Labels.of({"job": self.config.job, "instance": instance})
        self._output = Output(self.identity)

    @property
    def identity(self) -> str:
        """Return the job and instance of the host."""
        return f"system/{self._scope}"

    def adopt(self, before: Source) -> None:
        """Go on with the host's series."""
        if isinstance(before, HostSource):
            self._output = before._output

    async def collect(self, slot: datetime, now: datetime) -> None:
        """Read the host once and store its figures."""
        at = scrape_time(slot, now, self.interval)
        families = await self.host.read()
        self.store.describe(_undescribed(families, self._described))
        labels, values = flattened(families)
        scoped = tuple(each.merged(self._scope) for each in labels)
        batch = self._output.write(scoped, values)
        self.store.write([batch] if batch else [], at, source=self.name)

    def end(self, now: datetime) -> None:
        """End every series of the host."""
        batch = self._output.end()
        self.store.write([batch] if batch else [], now, source=self.name)


@dataclass(slots=True)
class ProcessSource(Source):
    """What this process counts for one tenant."""

    interval: timedelta
    store: Store
    process: ProcessMetrics
    name: str = "process"
    _output: Output = field(init=False)
    _described: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._output = Output(self.identity)

    @property
    def identity(self) -> str:
        """Return the same for every process: a tenant has one."""
        return "process"

    def adopt(self, before: Source) -> None:
        """Go on with the process' series."""
        if isinstance(before, ProcessSource):
            self._output = before._output

    async def collect(self, slot: datetime, now: datetime) -> None:
        """Store the present values."""
        self.flush(scrape_time(slot, now, self.interval))

    def flush(self, at: datetime) -> None:
        """Store the present values at `at`."""
        families = self.process.read(self.store.tenant)
        self.store.describe(_undescribed(families, self._described))
        batch = self._output.write(*flattened(families))
        self.store.write([batch] if batch else [], at, source=self.name)

    def end(self, now: datetime) -> None:
        """Leave the series as they are: the program that counts may go on."""


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
        self._instruments = MetricInstruments(registry)
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
            if not await self._reached(slot, slots.interval):
                slot = slots.after(self._clock.now())
                continue
            try:
                await source.collect(slot, self._clock.now())
            except Exception as error:  # noqa: BLE001 - edge of the task loop
                self._instruments.failures.labels(tenant, source.name).inc()
                _LOG.bug("Collecting failed", error, tenant=tenant, source=source.name)
            slot, missed = slots.following(slot, self._clock.now())
            self._instruments.missed.labels(tenant).inc(missed)

    async def _reached(self, slot: datetime, interval: timedelta) -> bool:
        """Wait for `slot`; False when the clock was put back meanwhile and it is not near."""
        try:
            async with asyncio.timeout((interval + _PATIENCE).total_seconds()):
                await self._clock.sleep_until(slot)
        except TimeoutError:
            return False
        return True

    async def _replace(self, old: _Running, new: Mapping[str, Source]) -> None:
        """Stop a source; one of the same identity goes on with its series, else they end."""
        await _cancel(old.task)
        heir = new.get(old.source.identity)
        if heir is None:
            old.source.end(self._clock.now())
        else:
            heir.adopt(old.source)


def _undescribed(families: Iterable[Family], known: set[str]) -> dict[str, Metadata]:
    """Return the metadata of families not yet `known`, and remember them."""
    new = {family.name: family.metadata for family in families if family.name not in known}
    known.update(new)
    return new


def _since(began: float) -> timedelta:
    return timedelta(seconds=time.perf_counter() - began)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
