"""Rules asked tick after tick while their data comes in, over rings in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError
from tocsin.promql.fakes import ROWS, MemoryRings, MemorySeries
from tocsin.promql.options import Options
from tocsin.promql.plans.plans import Plans
from tocsin.promql.result import Result

TENANT = TenantId("warm")
_MOST = 64  # series of one metric in the rings of the fake


def fits(held: Sequence[Series]) -> bool:
    """Tell whether the rings of the fake hold so much."""
    by_metric = Counter(series.labels.value(METRIC_NAME) for series in held)
    times = {at_ms for series in held for at_ms in series.times.tolist()}
    return len(times) <= ROWS and max(by_metric.values(), default=0) <= _MOST


def warm_result(
    expr: str, held: Sequence[Series], ticks: Sequence[int], options: Options
) -> Result:
    """Return the value at the last of `ticks` (ms, ascending), having asked at each of them.

    Raises what the last evaluation raises.
    """
    series = MemorySeries()
    rings = MemoryRings(series)
    plans = Plans(Engine(series, options=options), series, rings)
    rows = _rows(held)
    for at_ms in ticks:
        while rows and rows[-1][0] <= at_ms:
            rings.row(TENANT, "all", *rows.pop())
        if at_ms != ticks[-1]:
            with suppress(ExecutionError):
                plans.instant(TENANT, expr, at_ms=at_ms)
    return plans.instant(TENANT, expr, at_ms=ticks[-1])


def _rows(held: Sequence[Series]) -> list[tuple[int, list[tuple[Labels, float]]]]:
    """Return the samples of each time, the newest first."""
    rows = defaultdict[int, list[tuple[Labels, float]]](list)
    for series in held:
        for at_ms, value in zip(series.times.tolist(), series.values.tolist(), strict=True):
            rows[at_ms].append((series.labels, value))
    return sorted(rows.items(), reverse=True)
