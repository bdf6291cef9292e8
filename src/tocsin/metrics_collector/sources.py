"""What is collected: scrape targets, this host, this process. Each knows how to collect once."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.metrics_collector.config import SelfMetricsConfig, SystemMetricsConfig
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.ports import Family, Fetch, Host, SampleSink
from tocsin.metrics_collector.process import ProcessMetrics, flattened
from tocsin.metrics_collector.scrape import Scraped, TargetSeries, Timed, scrape_time
from tocsin.metrics_collector.system import host_name
from tocsin.metrics_collector.target import Target
from tocsin.metrics_collector.views import TargetHealth, TargetView
from tocsin.model.errors import TocsinError
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.output import Batch, Output
from tocsin.model.sample import Metadata
from tocsin.model.series import Appended
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId
from tocsin.telemetry.logs import get_logger

_LOG = get_logger("metrics_collector")


@dataclass(frozen=True, slots=True)
class Store:
    """Where the samples of one tenant go, and who counts them."""

    tenant: TenantId
    sink: SampleSink
    instruments: MetricInstruments

    def write(self, batches: Iterable[Batch], at: datetime, *, source: str) -> None:
        """Store batches at one time."""
        for batch in batches:
            try:
                appended = self.sink.append(self.tenant, batch.layout, to_ms(at), batch.values)
            except TocsinError as error:
                appended = self._failed(error, len(batch.values))
            self._count(appended, source=source)

    def write_timed(self, timed: Timed | None, *, source: str) -> None:
        """Store samples with their own times."""
        if timed is None:
            return
        try:
            appended = timed.series.store(self.sink, self.tenant, timed.samples)
        except TocsinError as error:
            appended = self._failed(error, len(timed.samples))
        self._count(appended, source=source)

    def _failed(self, error: TocsinError, count: int) -> Appended:
        _LOG.error("Samples not stored", tenant=self.tenant, count=count, err=str(error))
        return Appended(0, {"failed": count})

    def _count(self, appended: Appended, *, source: str) -> None:
        self.instruments.samples.labels(self.tenant, source).inc(appended.stored)
        for reason, count in appended.refused.items():
            self.instruments.refused.labels(self.tenant, source, reason).inc(count)

    def describe(self, metadata: Mapping[str, Metadata]) -> None:
        """Store type, help and unit of families; what cannot be stored is logged."""
        try:
            for name, each in metadata.items():
                self.sink.set_metadata(self.tenant, name, each)
        except TocsinError as error:
            _LOG.error("Metadata not stored", tenant=self.tenant, err=str(error))


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
    series: TargetSeries = field(init=False)

    def __post_init__(self) -> None:
        self.interval = self.target.interval
        self.series = TargetSeries(self.target)

    @property
    def identity(self) -> str:
        """Return the target's key."""
        return f"scrape/{self.target.key}"

    def adopt(self, before: Source) -> None:
        """Go on with the target's series, and how its last scrape went."""
        if isinstance(before, TargetSource):
            self.series.adopt(before.series)
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
        self.store.write(self.series.end(), now, source=self.name)

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
        if target.refused:
            return self.series.fail(target.refused, took=_since(began))
        try:
            page = await self.fetch.get(
                target.url,
                headers=target.headers(),
                timeout_s=target.timeout.total_seconds(),
                limit=target.limits.body,
                options=target.options,
            )
        except TocsinError as error:
            return self.series.fail(str(error), took=_since(began))
        return self.series.take(page, took=_since(began))

    def _keep(self, scraped: Scraped, at: datetime) -> None:
        store, source = self.store, self.name
        store.write(scraped.batches, at, source=source)
        store.write_timed(scraped.timed, source=source)
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
    """The machine this process runs on, or the process itself, for one tenant."""

    config: SystemMetricsConfig | SelfMetricsConfig
    store: Store
    host: Host
    name: str = "system"
    interval: timedelta = field(init=False)
    _scope: Labels = field(init=False)
    output: Output = field(init=False)
    _described: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.interval = self.config.interval
        instance = self.config.instance or host_name()
        self._scope = Labels.of({"job": self.config.job, "instance": instance})
        self.output = Output(self.identity)

    @property
    def identity(self) -> str:
        """Return the job and instance of the host."""
        return f"{self.name}/{self._scope}"

    def adopt(self, before: Source) -> None:
        """Go on with the host's series."""
        if isinstance(before, HostSource):
            self.output = before.output

    async def collect(self, slot: datetime, now: datetime) -> None:
        """Read the host once and store its figures."""
        at = scrape_time(slot, now, self.interval)
        figures = await self.host.read()
        families = [*figures, _up(bool(figures))]
        self.store.describe(_undescribed(families, self._described))
        labels, values = flattened(families)
        scoped = tuple(each.merged(self._scope) for each in labels)
        batch = self.output.write(scoped, values)
        self.store.write([batch] if batch else [], at, source=self.name)

    def end(self, now: datetime) -> None:
        """End every series of the host."""
        batch = self.output.end()
        self.store.write([batch] if batch else [], now, source=self.name)


def _up(read: bool) -> Family:  # noqa: FBT001 - the value of the sample
    """Return `up` for a source that has no target to answer for it."""
    labels = Labels.of({METRIC_NAME: "up"})
    return Family("up", Metadata("gauge", "1 if it could be read."), ((labels, float(read)),))


@dataclass(slots=True)
class ProcessSource(Source):
    """What this process counts for one tenant."""

    interval: timedelta
    store: Store
    process: ProcessMetrics
    name: str = "process"
    output: Output = field(init=False)
    _described: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.output = Output(self.identity)

    @property
    def identity(self) -> str:
        """Return the same for every process: a tenant has one."""
        return "process"

    def adopt(self, before: Source) -> None:
        """Go on with the process' series."""
        if isinstance(before, ProcessSource):
            self.output = before.output

    async def collect(self, slot: datetime, now: datetime) -> None:
        """Store the present values."""
        self.flush(scrape_time(slot, now, self.interval))

    def flush(self, at: datetime) -> None:
        """Store the present values at `at`."""
        families = self.process.read(self.store.tenant)
        self.store.describe(_undescribed(families, self._described))
        batch = self.output.write(*flattened(families))
        self.store.write([batch] if batch else [], at, source=self.name)

    def end(self, now: datetime) -> None:
        """Leave the series as they are: the program that counts may go on."""


def _undescribed(families: Iterable[Family], known: set[str]) -> dict[str, Metadata]:
    """Return the metadata of families not yet `known`, and remember them."""
    new = {family.name: family.metadata for family in families if family.name not in known}
    known.update(new)
    return new


def _since(began: float) -> timedelta:
    return timedelta(seconds=time.perf_counter() - began)
