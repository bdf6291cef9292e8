"""min_over_time and max_over_time: all rows of a window, clock by clock."""

from __future__ import annotations

import numpy as np

from tocsin.promql import over_time
from tocsin.promql.grid import Floats
from tocsin.promql.plans.kernels import Asked, Column, Quick, patched
from tocsin.promql.windowed import Kernel

_CELLS = 1 << 20  # samples looked at together


def min_(asked: Asked) -> Column:
    """Return the smallest value; NaN only when all are."""
    return _extreme(asked, np.minimum, np.inf, over_time.min_)


def max_(asked: Asked) -> Column:
    """Return the largest value; NaN only when all are."""
    return _extreme(asked, np.maximum, -np.inf, over_time.max_)


def _extreme(asked: Asked, best: np.ufunc, worst: float, slow: Kernel) -> Column:
    """Look at all rows of the window; a clock with fewer rows reads its last one again."""
    window = asked.window
    longest = int(window.count.max(initial=0))
    found = np.full(len(asked.view.labels), worst)
    rows = max(1, _CELLS // max(1, len(found)))
    for start in range(0, longest, rows):
        block = _block(asked, start, min(longest, start + rows))
        found = best(found, best.reduce(np.where(np.isnan(block), worst, block), axis=0))
    present = (window.count >= 1).take(asked.view.clock)
    unsure = np.flatnonzero((found == worst) & present)
    return patched(asked, (found, present), unsure, slow) if unsure.size else (found, present)


def _block(asked: Asked, start: int, end: int) -> Floats:
    """Return rows `start` to `end` of the window of every clock, shape (rows, elements)."""
    view, window, ring = asked.view, asked.window, asked.view.ring
    ahead = np.arange(start, end)
    if window.first.spot is not None and window.last.spot is not None:
        spots = (window.first.numbers[0] + ahead) & (ring.depth - 1)
        block: Floats = ring.values[spots][:, view.part]
        return block
    numbers = np.minimum(window.first.numbers + ahead[:, None], window.last.numbers)
    flat = (numbers & (ring.depth - 1)).take(view.clock, axis=1)
    flat *= ring.values.shape[1]
    flat += view.columns
    taken: Floats = ring.values.reshape(-1).take(flat)
    return taken


QUICK: dict[str, Quick] = {"min_over_time": min_, "max_over_time": max_}
"""By name."""
