"""What the evaluator needs of the world: series by matchers, over a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tocsin.model.matchers import Matcher
from tocsin.model.ring import Ring
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId


class SeriesSource(Protocol):
    """Reads samples. The metric store fits it by structure."""

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> list[Series]:
        """Return every series of `tenant` that satisfies all matchers.

        Each comes with its samples from `start_ms` to `end_ms`, both inclusive, in time order,
        staleness markers included. A series without a sample in the span may be left out.
        """
        ...


class RingSource(Protocol):
    """Keeps the newest samples of chosen metrics at hand. The metric store fits it by structure."""

    def ring(self, tenant: TenantId, metric: str, *, depth_ms: int) -> Ring | None:
        """Return the ring of `metric`, which reaches back `depth_ms` from its newest row.

        Ask for each evaluation: that keeps the ring alive, and costs a look-up once it exists.
        The same object comes back until the store gives it up. None when the tenant's memory
        for rings is spent; a metric nobody has written yet is a ring without columns.
        """
        ...
