"""What the evaluator needs of the world: series by matchers, over a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tocsin.model.matchers import Matcher
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
