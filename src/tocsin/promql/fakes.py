"""In-memory sources, for tests and for evaluating rules over given samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.matchers import Matcher, all_match
from tocsin.model.ring import ABSENT, Ring
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.promql.ports import RingSource, SeriesSource


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


class MemoryRings(RingSource):
    """Rings over samples that are put in row by row; the same samples answer `select`."""

    def __init__(self, series: MemorySeries) -> None:
        """Put every sample into `series` as well."""
        self._series = series
        self._rings: dict[tuple[TenantId, str], _MemoryRing] = {}

    def row(
        self, tenant: TenantId, clock: str, ts_ms: int, samples: Iterable[tuple[Labels, float]]
    ) -> None:
        """Put in one row of a clock, newer than its rows before."""
        by_metric: dict[str, list[tuple[Labels, float]]] = {}
        for labels, value in samples:
            self._series.add(tenant, labels, [(ts_ms, value)])
            by_metric.setdefault(labels.value(METRIC_NAME), []).append((labels, value))
        for metric, part in by_metric.items():
            self._of(tenant, metric).row(clock, ts_ms, part)

    def ring(self, tenant: TenantId, metric: str, *, depth_ms: int) -> Ring | None:
        """Return the ring of a metric; it holds the last `ROWS` rows of each clock."""
        return self._of(tenant, metric).ring

    def _of(self, tenant: TenantId, metric: str) -> _MemoryRing:
        return self._rings.setdefault((tenant, metric), _MemoryRing())


ROWS = 256
_MOST = 64  # clocks, and columns, of one ring


class _MemoryRing:
    """One ring, and where its clocks and columns stand."""

    def __init__(self) -> None:
        self.ring = Ring(
            labels=[],
            clocks=0,
            origin=np.zeros(_MOST, dtype=np.int32),
            written=np.zeros(_MOST, dtype=np.int64),
            times=np.zeros((ROWS, _MOST), dtype=np.int64),
            values=np.full((ROWS, _MOST), ABSENT),
            filled=np.full(_MOST, -1, dtype=np.int64),
        )
        self._clocks: dict[str, int] = {}
        self._columns: dict[Labels, int] = {}

    def row(self, name: str, ts_ms: int, samples: Sequence[tuple[Labels, float]]) -> None:
        ring = self.ring
        clock = self._clocks.setdefault(name, len(self._clocks))
        ring.clocks = len(self._clocks)
        spot = int(ring.written[clock]) % ROWS
        ring.values[spot, ring.origin == clock] = ABSENT
        for labels, value in samples:
            column = self._columns.setdefault(labels, len(self._columns))
            if column == len(ring.labels):
                ring.labels.append(labels)
                ring.origin[column] = clock
                ring.values[:, column] = ABSENT
            ring.values[spot, column] = value
        ring.times[spot, clock] = ts_ms
        ring.written[clock] += 1
        ring.version += 1
