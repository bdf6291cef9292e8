"""min_over_time and max_over_time: all rows of a window, clock by clock."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tocsin.promql import over_time
from tocsin.promql.grid import Floats
from tocsin.promql.plans.kernels import Asked, Column, Quick, patched
from tocsin.promql.windowed import Kernel

_Better = Callable[..., Floats]


def min_(asked: Asked) -> Column:
    """Return the smallest value; NaN only when all are."""
    return _extreme(asked, np.fmin, over_time.min_)


def max_(asked: Asked) -> Column:
    """Return the largest value; NaN only when all are."""
    return _extreme(asked, np.fmax, over_time.max_)


def _extreme(asked: Asked, better: _Better, slow: Kernel) -> Column:
    """Fold the rows of the window; a clock with fewer rows reads its last one again."""
    window, view = asked.window, asked.view
    if not view.labels:
        return np.zeros(0), np.zeros(0, dtype=np.bool_)
    best = np.array(view.values(window.first))
    for ahead in range(1, int(window.count.max())):
        better(best, view.values(np.minimum(window.first + ahead, window.last)), out=best)
    present = (window.count >= 1).take(view.clock)
    unsure = np.flatnonzero(np.isnan(best) & present)
    return patched(asked, (best, present), unsure, slow) if unsure.size else (best, present)


QUICK: dict[str, Quick] = {"min_over_time": min_, "max_over_time": max_}
"""By name."""
