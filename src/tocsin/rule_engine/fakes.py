"""In-memory neighbours of the rule stage, for tests here and in other rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from tocsin.model.alert import Alert
from tocsin.model.clock import Clock
from tocsin.model.errors import NotDurable, TocsinError
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import Sample, is_stale
from tocsin.model.series import Appended, Layout, Values
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.ports import Answer, Queries, RuleSink

Answers = Callable[[TenantId, str, int], Sequence[Sample]]


def answer_of(samples: Iterable[Sample], *, warnings: tuple[str, ...] = ()) -> Answer:
    """Return samples as an answer; their times are not looked at."""
    pairs = [(sample.labels, sample.value) for sample in samples]
    values = np.array([value for _, value in pairs], dtype=np.float64)
    return Answer(tuple(labels for labels, _ in pairs), values, warnings)


class FakeQueries(Queries):
    """Answers queries from a table by expression; an unknown expression has an empty answer.

    An entry may be a list of samples, an answer, an error to raise, or a function of (tenant,
    expression, time in ms) that returns samples. `asked` keeps every query in order. Elements
    that are those of the last time come in the same tuple, as a compiled plan gives them.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Sequence[Sample] | Answer | TocsinError | Answers] = {}
        self.asked: list[tuple[TenantId, str, int]] = []
        self._last: dict[tuple[TenantId, str], tuple[Labels, ...]] = {}

    async def instant(self, tenant: TenantId, expr: str, *, at_ms: int) -> Answer:
        """Return the canned answer for `expr`."""
        self.asked.append((tenant, expr, at_ms))
        await asyncio.sleep(0)
        found = self.answers.get(expr, ())
        if isinstance(found, TocsinError):
            raise found
        if isinstance(found, Answer):
            return found
        made = answer_of(found(tenant, expr, at_ms) if callable(found) else found)
        before = self._last.setdefault((tenant, expr), made.labels)
        if before == made.labels:
            return Answer(before, made.values)
        self._last[tenant, expr] = made.labels
        return made


@dataclass(slots=True)
class FakeSink(RuleSink):
    """Keeps every sample per tenant and series; `refuse` is answered instead when set.

    While `broken` it raises NotDurable.
    """

    series: dict[TenantId, dict[Labels, list[tuple[int, float]]]] = field(default_factory=dict)
    layouts: list[Layout] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)
    broken: bool = False

    def append(self, tenant: TenantId, layout: Layout, ts_ms: int, values: Values) -> Appended:
        """Keep one value per series."""
        if self.broken:
            raise NotDurable("the fake sink is broken")
        if self.refuse:
            return Appended(0, dict(self.refuse))
        self.layouts.append(layout)
        kept = self.series.setdefault(tenant, {})
        for labels, value in zip(layout.labels, values.tolist(), strict=True):
            kept.setdefault(labels, []).append((ts_ms, value))
        return Appended(len(layout.labels))

    def named(self, tenant: TenantId, name: str) -> dict[Labels, list[tuple[int, float]]]:
        """Return the series of a metric without the name in their label sets."""
        found = self.series.get(tenant, {})
        return {
            labels.drop((METRIC_NAME,)): points
            for labels, points in found.items()
            if labels.value(METRIC_NAME) == name
        }

    def current(self, tenant: TenantId, name: str, *, at_ms: int) -> list[Sample]:
        """Return the newest value at or before `at_ms` of each series that has not ended."""
        live = []
        for labels, points in self.named(tenant, name).items():
            before = [point for point in points if point[0] <= at_ms]
            if before and not is_stale(before[-1][1]):
                live.append(Sample(labels, at_ms, before[-1][1]))
        return live


@dataclass(slots=True)
class FakeDoor:
    """The alert stage's door: keeps what came in; raises NotDurable while `broken`."""

    received: list[tuple[TenantId, Alert]] = field(default_factory=list)
    broken: bool = False

    async def __call__(self, tenant: TenantId, alerts: Sequence[Alert]) -> None:
        """Take alerts in."""
        await asyncio.sleep(0)
        if self.broken:
            raise NotDurable("the fake door is broken")
        self.received += [(tenant, alert) for alert in alerts]


class LoopClock(Clock):
    """The time of the running event loop, `start` at the first look; virtual under looptime."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._began: float | None = None

    def now(self) -> datetime:
        """Return the present."""
        time = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = time
        return self._start + timedelta(seconds=time - self._began)

    async def sleep_until(self, when: datetime) -> None:
        """Wait on the loop's own time."""
        left = (when - self.now()).total_seconds()
        if left > 0:
            await asyncio.sleep(left + 1e-6)  # a timer may be that much early
