"""deriv, predict_linear and double exponential smoothing: where a series is heading."""

from __future__ import annotations

import numpy as np

from tocsin.promql.compensated import add
from tocsin.promql.folding import Folding
from tocsin.promql.grid import Floats, Ints
from tocsin.promql.selectors import Windows
from tocsin.promql.windowed import Kernel, Windowed


def deriv(windows: Windows) -> Windowed:
    """Return the slope per second of the least-squares line."""
    fold = Folding(windows)
    start = windows.samples.times[_safe(fold)].astype(np.float64)
    slope, _ = _regression(fold, windows, start)
    return fold.restored(slope), windows.count >= 2


def predict_at(at_ms: Ints, ahead_s: Floats) -> Kernel:
    """Return predict_linear to `ahead_s` after `at_ms` (steps,), windows with a column per step."""

    def kernel(windows: Windows) -> Windowed:
        fold = Folding(windows)
        steps = windows.lo.shape[1]
        now = fold.windowed(at_ms.astype(np.float64), steps)
        slope, intercept = _regression(fold, windows, now)
        value = slope * fold.windowed(ahead_s, steps) + intercept
        return fold.restored(value), windows.count >= 2

    return kernel


def _safe(fold: Folding) -> Ints:
    return np.where(fold.counts > 0, fold.first(), 0)


def _regression(fold: Folding, windows: Windows, origin_ms: Floats) -> tuple[Floats, Floats]:
    """Return slope (per second) and the value at `origin_ms`, as state arrays of `fold`."""
    times, values = windows.samples.times, windows.samples.values
    sums = [(fold.zeros(), fold.zeros()) for _ in range(4)]
    first = values[_safe(fold)]
    constant = np.ones(fold.size, dtype=np.bool_)
    for _, active, index in fold.positions():
        x, y = (times[index] - origin_ms[:active]) / 1e3, values[index]
        constant[:active] &= y == first[:active]
        for (total, carry), term in zip(sums, (x, y, x * y, x * x), strict=True):
            add(total[:active], carry[:active], term)
    n = np.maximum(fold.counts, 1)
    sum_x, sum_y, sum_xy, sum_x2 = (total + carry for total, carry in sums)
    slope = (sum_xy - sum_x * sum_y / n) / (sum_x2 - sum_x * sum_x / n)
    intercept = sum_y / n - slope * sum_x / n
    flat = np.where(np.isinf(first), np.nan, first)
    slope = np.where(constant, np.where(np.isinf(first), np.nan, 0.0), slope)
    return slope, np.where(constant, flat, intercept)


def smooth(factor: Floats, trend_factor: Floats) -> Kernel:
    """Return double exponential smoothing, its factors (steps,); windows with a column per step."""

    def kernel(windows: Windows) -> Windowed:
        fold = Folding(windows)
        steps = windows.lo.shape[1]
        value = _smoothed(
            fold,
            windows.samples.values,
            fold.windowed(factor, steps),
            fold.windowed(trend_factor, steps),
        )
        return fold.restored(value), windows.count >= 2

    return kernel


def _smoothed(fold: Folding, values: Floats, factor: Floats, trend_factor: Floats) -> Floats:
    previous = fold.zeros()
    level = values[_safe(fold)]
    trend = fold.zeros()
    for k, active, index in fold.positions(1):
        part = slice(active)
        value, share = values[index], trend_factor[part]
        if k == 1:
            trend[part] = value - level[part]
        else:
            trend[part] = share * (level[part] - previous[part]) + (1 - share) * trend[part]
        new = factor[part] * value + (1 - factor[part]) * (level[part] + trend[part])
        previous[part], level[part] = level[part].copy(), new
    return level
