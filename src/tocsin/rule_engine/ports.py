"""What the rule stage needs of the world: answers, a sink, and the alert stage's door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tocsin.model.alert import Alert
from tocsin.model.sample import Sample
from tocsin.model.series import Appended, Layout, Values
from tocsin.model.tenant import TenantId


@dataclass(frozen=True, slots=True)
class Answer:
    """The instant vector an expression gave; a scalar is one sample without labels."""

    samples: tuple[Sample, ...]
    warnings: tuple[str, ...] = ()


class Queries(Protocol):
    """Evaluates PromQL, in this process or at a Prometheus-compatible API."""

    async def instant(self, tenant: TenantId, expr: str, *, at_ms: int) -> Answer:
        """Return the value of `expr` at `at_ms`.

        Raises InvalidInput when the expression cannot be evaluated, LimitExceeded when it
        costs more than the tenant may spend, Unreachable when the answer did not come.
        """
        ...


class RuleSink(Protocol):
    """Takes the series that rules write: recorded results, ALERTS, ALERTS_FOR_STATE."""

    def append(self, tenant: TenantId, layout: Layout, ts_ms: int, values: Values) -> Appended:
        """Store one value per series of `layout`, all at `ts_ms`; staleness markers end series.

        Raises NotDurable; nothing was stored then.
        """
        ...


Firing = Callable[[TenantId, Sequence[Alert]], Awaitable[None]]
"""The next stage's door: alerts are durable when it returns. Raises NotDurable."""


class TestData(Protocol):
    """Takes the data of a unit test of rules; the metric store fits it by structure."""

    def append_samples(self, tenant: TenantId, samples: Sequence[Sample]) -> Appended:
        """Store samples, several of one series oldest first. Raises NotDurable."""
        ...
