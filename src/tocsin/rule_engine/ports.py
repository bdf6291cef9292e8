"""What the rule stage needs of the world: answers, a sink, and the alert stage's door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.model.sample import Sample
from tocsin.model.series import Appended, Layout, Values
from tocsin.model.tenant import TenantId


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The instant vector an expression gave: `labels[i]` has `values[i]`.

    A scalar is one element without labels. When the same elements come again in a later
    round, `labels` may be the very same tuple object: identity means nothing appeared and
    nothing vanished, and the order is the same. Nobody changes `values` afterwards.
    """

    labels: tuple[Labels, ...]
    values: Values
    warnings: tuple[str, ...] = ()

    def elements(self) -> Iterator[tuple[Labels, float]]:
        """Iterate over the elements one by one."""
        return zip(self.labels, self.values.tolist(), strict=True)


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
