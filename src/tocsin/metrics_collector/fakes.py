"""In-memory neighbours of the metric stage, for tests here and in other rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatch

import numpy as np

from tocsin.metrics_collector.ports import (
    PLAIN,
    Family,
    Fetch,
    FetchOptions,
    Host,
    Page,
    ProcessSink,
    ReadFamilies,
    Resolver,
    SampleSink,
    Stamp,
    TargetFiles,
)
from tocsin.model.errors import LimitExceeded, NotDurable, TocsinError, Unreachable
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import Metadata, Sample
from tocsin.model.series import Appended, Columns, Layout, Resolved, Series, Values
from tocsin.model.tenant import TenantId

Points = list[tuple[int, float]]


@dataclass(slots=True)
class FakeSampleSink(SampleSink):
    """Keeps every sample per tenant and series, in the order in which they came.

    While `broken` every method raises NotDurable. `barred` are label sets that `resolve`
    refuses, and why; `asked` is how many label sets it was asked for in all. Refs hold until a
    test raises `epoch`; they have gaps, so that nobody takes them for places in a list.
    """

    series: dict[TenantId, dict[Labels, Points]] = field(default_factory=dict)
    metadata: dict[tuple[TenantId, str], Metadata] = field(default_factory=dict)
    layouts: list[Layout] = field(default_factory=list)
    windows: list[timedelta | None] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)
    broken: bool = False
    barred: dict[Labels, str] = field(default_factory=dict)
    asked: int = 0
    epoch: int = 1
    _numbers: dict[TenantId, dict[Labels, int]] = field(default_factory=dict)

    def append(self, tenant: TenantId, layout: Layout, ts_ms: int, values: Values) -> Appended:
        """Keep one value per series."""
        self._check()
        self.layouts.append(layout)
        kept = self.series.setdefault(tenant, {})
        for labels, value in zip(layout.labels, values.tolist(), strict=True):
            kept.setdefault(labels, []).append((ts_ms, value))
        return Appended(len(layout.labels), dict(self.refuse))

    def append_samples(self, tenant: TenantId, samples: Sequence[Sample]) -> Appended:
        """Keep samples with their own times."""
        self._check()
        kept = self.series.setdefault(tenant, {})
        for sample in samples:
            kept.setdefault(sample.labels, []).append((sample.ts_ms, sample.value))
        return Appended(len(samples))

    def append_series(
        self,
        tenant: TenantId,
        series: Sequence[Series],
        *,
        out_of_order_window: timedelta | None = None,
    ) -> Appended:
        """Keep samples series by series; `refuse` is told with every batch."""
        self._check()
        self.windows.append(out_of_order_window)
        kept, stored = self.series.setdefault(tenant, {}), 0
        for each in series:
            points = zip(each.times.tolist(), each.values.tolist(), strict=True)
            kept.setdefault(each.labels, []).extend(points)
            stored += len(each.times)
        return Appended(stored, dict(self.refuse))

    def resolve(self, tenant: TenantId, labels: Sequence[Labels]) -> Resolved:
        """Number label sets; each epoch numbers them anew."""
        self._check()
        numbers = self._numbers.setdefault(tenant, {})
        refs, refused = np.full(len(labels), -1, np.int32), dict[str, int]()
        for at, each in enumerate(labels):
            reason = self.barred.get(each)
            if reason is not None:
                refused[reason] = refused.get(reason, 0) + 1
                continue
            refs[at] = self.epoch + 3 * numbers.setdefault(each, len(numbers))
        self.asked += len(labels)
        return Resolved(self.epoch, refs, refused)

    def append_refs(
        self,
        tenant: TenantId,
        epoch: int,
        columns: Columns,
        *,
        out_of_order_window: timedelta | None = None,
    ) -> Appended | None:
        """Keep samples by the refs of this epoch; `refuse` is told with every batch."""
        self._check()
        if epoch != self.epoch:
            return None
        self.windows.append(out_of_order_window)
        known, kept = list(self._numbers[tenant]), self.series.setdefault(tenant, {})
        samples = zip(columns.refs.tolist(), columns.times.tolist(), columns.values, strict=True)
        for ref, ts_ms, value in samples:
            labels = known[(ref - self.epoch) // 3]
            kept.setdefault(labels, []).append((ts_ms, float(value)))
        return Appended(len(columns.refs), dict(self.refuse))

    def set_metadata(self, tenant: TenantId, metric: str, metadata: Metadata) -> None:
        """Keep the metadata of a family."""
        self._check()
        self.metadata[tenant, metric] = metadata

    def _check(self) -> None:
        if self.broken:
            raise NotDurable("the fake sink is broken")

    def points(self, tenant: TenantId, name: str, **labels: str) -> Points:
        """Return the samples of one series, oldest first."""
        wanted = Labels.of({METRIC_NAME: name, **labels})
        return self.series.get(tenant, {}).get(wanted, [])

    def values(self, tenant: TenantId, name: str, **labels: str) -> list[float]:
        """Return the values of one series, oldest first."""
        return [value for _, value in self.points(tenant, name, **labels)]

    def names(self, tenant: TenantId) -> set[str]:
        """Return the metric names a tenant has."""
        return {labels.value(METRIC_NAME) for labels in self.series.get(tenant, {})}


@dataclass(slots=True)
class FakeFetch(Fetch):
    """Answers from a table of URLs; `asked` keeps (URL, headers, options) in order."""

    pages: dict[str, Page | TocsinError] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str], FetchOptions]] = field(default_factory=list)
    takes_s: float = 0.0

    def serve(self, url: str, text: str, *, content_type: str = "text/plain") -> None:
        """Answer `url` with a page."""
        self.pages[url] = Page(200, {"content-type": content_type}, text.encode())

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        limit: int,
        options: FetchOptions = PLAIN,
    ) -> Page:
        """Return the page, after `takes_s`."""
        self.asked.append((url, headers, options))
        await asyncio.sleep(min(self.takes_s, timeout_s))
        if self.takes_s > timeout_s:
            raise Unreachable("timed out")
        page = self.pages.get(url, Unreachable("connection refused"))
        if isinstance(page, TocsinError):
            raise page
        if len(page.body) > limit:
            raise LimitExceeded(f"page is longer than {limit} bytes")
        return page


@dataclass(slots=True)
class FakeTargetFiles(TargetFiles):
    """Files of a test: content by path, None for one that cannot be read."""

    contents: dict[str, bytes | None] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    _stamps: dict[str, Stamp] = field(default_factory=dict)

    def write(self, path: str, text: str | None) -> None:
        """Put a file there, or replace it."""
        self.contents[path] = None if text is None else text.encode()
        self._stamps[path] = (self._stamps.get(path, (0, 0, 0))[0] + 1, 0, 0)

    async def stamps(self, patterns: Sequence[str]) -> dict[str, Stamp]:
        """Return the stamps of files that match."""
        await asyncio.sleep(0)
        matching = (path for path in sorted(self.contents) if _any_matches(path, patterns))
        return {path: self._stamps[path] for path in matching}

    async def read(self, path: str) -> bytes:
        """Return the content."""
        await asyncio.sleep(0)
        self.reads.append(path)
        content = self.contents[path]
        if content is None:
            raise Unreachable("cannot read")
        return content


@dataclass(slots=True)
class FakeResolver(Resolver):
    """Knows the addresses of names as a test says; `asked` keeps (name, whether IPv6)."""

    known: dict[str, tuple[str, ...] | TocsinError] = field(default_factory=dict)
    asked: list[tuple[str, bool]] = field(default_factory=list)

    async def addresses(self, name: str, *, v6: bool) -> Sequence[str]:
        """Return the addresses, or raise the error."""
        self.asked.append((name, v6))
        await asyncio.sleep(0)
        found = self.known.get(name, ())
        if isinstance(found, TocsinError):
            raise found
        return found


def _any_matches(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


@dataclass(slots=True)
class FakeHost(Host):
    """A host whose figures are what a test says."""

    figures: dict[str, float] = field(default_factory=dict)

    async def read(self) -> Sequence[Family]:
        """Return one family of one series for each figure."""
        await asyncio.sleep(0)
        return [
            Family(name, Metadata("gauge"), ((Labels.of({METRIC_NAME: name}), value),))
            for name, value in self.figures.items()
        ]


@dataclass(slots=True)
class FakeProcessSink(ProcessSink):
    """Keeps who handed in."""

    attached: list[tuple[TenantId, ReadFamilies]] = field(default_factory=list)

    def attach(self, tenant: TenantId, read: ReadFamilies) -> None:
        """Remember a reader."""
        self.attached.append((tenant, read))

    def samples(self) -> dict[Labels, float]:
        """Return every series with its present value."""
        return {
            labels: value
            for _, read in self.attached
            for family in read()
            for labels, value in family.samples
        }
