"""Takes samples out of a ring one by one, for what has no quicker way: gaps, stale series, medians.

The result is what an ad-hoc query would have read, so that the ordinary functions apply.
"""

from __future__ import annotations

import numpy as np

from tocsin.model.labels import EMPTY
from tocsin.model.ring import ABSENT_BITS
from tocsin.model.sample import STALE_BITS
from tocsin.promql.grid import Bools, Floats, Ints
from tocsin.promql.plans.view import View
from tocsin.promql.plans.window import Window
from tocsin.promql.selectors import Samples, Span, Windows


def extract(
    view: View, window: Window, chosen: Ints, *, stale: bool = False
) -> tuple[Windows, Ints]:
    """Return the samples of some elements of a view in a window, and whose they are.

    Elements without a sample are left out: row i is element `kept[i]`. Staleness markers come
    only if `stale`. The rows bear no labels.
    """
    ring, clock, column = view.ring, view.clock[chosen], view.columns[chosen]
    first, sizes = window.first.numbers[clock], np.maximum(window.count[clock], 0)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    spots = (np.repeat(first, sizes) + within) & (ring.depth - 1)
    values = ring.values[spots, np.repeat(column, sizes)]
    times = ring.times[spots, np.repeat(clock, sizes)]
    held = _held(values, stale=stale)
    before = np.concatenate([[0], np.cumsum(held)])
    ends = np.cumsum(sizes)
    low, high = before[ends - sizes], before[ends]
    some = np.flatnonzero(high > low)
    kept = chosen[some]
    low, high = low[some], high[some]
    samples = Samples(
        (EMPTY,) * len(kept),
        np.zeros(len(kept), dtype=np.bool_),
        times[held],
        values[held],
        np.concatenate([low, high[-1:]]) if len(kept) else np.zeros(1, dtype=np.int64),
    )
    span = Span(
        np.array([window.end_ms], dtype=np.int64),
        window.end_ms - window.start_ms,
        closed=window.closed,
    )
    return Windows(samples, span, low[:, None], high[:, None]), kept


def _held(values: Floats, *, stale: bool) -> Bools:
    bits: Ints = values.view(np.int64)
    held: Bools = np.not_equal(bits, ABSENT_BITS)
    return held if stale else held & np.not_equal(bits, STALE_BITS)
