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
    times, values, sizes = _cells(view, window, chosen)
    held = _held(values, stale=stale)
    ends = np.cumsum(sizes)
    low, high = ends - sizes, ends
    if not held.all():
        before = np.concatenate([[0], np.cumsum(held)])
        low, high = before[low], before[high]
        times, values = times[held], values[held]
    some = np.flatnonzero(high > low)
    low, high = low[some], high[some]
    samples = Samples(
        (EMPTY,) * len(some),
        np.zeros(len(some), dtype=np.bool_),
        times,
        values,
        np.concatenate([low, high[-1:]]) if len(some) else np.zeros(1, dtype=np.int64),
    )
    span = Span(
        np.array([window.end_ms], dtype=np.int64),
        window.end_ms - window.start_ms,
        closed=window.closed,
    )
    return Windows(samples, span, low[:, None], high[:, None]), chosen[some]


def _cells(view: View, window: Window, chosen: Ints) -> tuple[Ints, Floats, Ints]:
    """Return times and values of every row in the window, element by element; how many each."""
    ring, clock, column = view.ring, view.clock[chosen], view.columns[chosen]
    if window.first.spot is not None and window.last.spot is not None:
        numbers = window.first.numbers[:1] + np.arange(max(0, int(window.count[0])))
        block = (numbers & (ring.depth - 1))[None, :]
        sizes = np.full(len(chosen), block.shape[1])
        times = ring.times[block, clock[:, None]].ravel()
        return times, ring.values[block, column[:, None]].ravel(), sizes
    first, sizes = window.first.numbers[clock], np.maximum(window.count[clock], 0)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    spots = (np.repeat(first, sizes) + within) & (ring.depth - 1)
    times = ring.times[spots, np.repeat(clock, sizes)]
    return times, ring.values[spots, np.repeat(column, sizes)], sizes


def _held(values: Floats, *, stale: bool) -> Bools:
    bits: Ints = values.view(np.int64)
    held: Bools = np.not_equal(bits, ABSENT_BITS)
    return held if stale else held & np.not_equal(bits, STALE_BITS)
