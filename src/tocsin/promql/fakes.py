"""An in-memory SeriesSource, for tests and for evaluating rules over given samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, all_match
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.promql.ports import SeriesSource


class MemorySeries(SeriesSource):
    """Holds samples per tenant in plain dicts; adding a sample at a taken time replaces it."""

    def __init__(self) -> None:
        self._samples: dict[TenantId, dict[Labels, dict[int, float]]] = {}

    def add(self, tenant: TenantId, labels: Labels, samples: Iterable[tuple[int, float]]) -> None:
        """Add (time in ms, value) pairs to one series, in any order."""
        self._samples.setdefault(tenant, {}).setdefault(labels, {}).update(samples)

    def clear(self) -> None:
        """Forget everything, of every tenant."""
        self._samples.clear()

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> list[Series]:
        """Return the matching series, sorted by labels, with their samples in the span."""
        held = self._samples.get(tenant, {})
        wanted = sorted(labels for labels in held if all_match(matchers, labels))
        cut = (_cut(labels, held[labels], start_ms, end_ms) for labels in wanted)
        return [series for series in cut if series.times.size]


def _cut(labels: Labels, samples: dict[int, float], start_ms: int, end_ms: int) -> Series:
    times = np.array(sorted(samples), dtype=np.int64)
    times = times[(times >= start_ms) & (times <= end_ms)]
    values = np.array([samples[int(t)] for t in times], dtype=np.float64)
    return Series(labels, times, values)
