"""The `*_over_time` functions: one value per window from the values in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tocsin.promql.compensated import Means, add
from tocsin.promql.folding import Folding
from tocsin.promql.grid import Bools, Floats, Ints
from tocsin.promql.quantiles import quantile
from tocsin.promql.selectors import Windows
from tocsin.promql.windowed import Kernel, Windowed

_PADDED_CELLS = 1 << 20  # cells of one padded block while sorting windows


def count(windows: Windows) -> Windowed:
    """Return how many samples a window holds."""
    return windows.count.astype(np.float64), windows.count > 0


def present_(windows: Windows) -> Windowed:
    """Return 1 where a window holds a sample."""
    return np.ones(windows.lo.shape), windows.count > 0


def last(windows: Windows) -> Windowed:
    """Return the newest value."""
    return windows.samples.values[_last(windows)], windows.count > 0


def first(windows: Windows) -> Windowed:
    """Return the oldest value."""
    return windows.samples.values[_first(windows)], windows.count > 0


def ts_of_last(windows: Windows) -> Windowed:
    """Return the time of the newest sample, in seconds."""
    return windows.samples.times[_last(windows)] / 1000, windows.count > 0


def ts_of_first(windows: Windows) -> Windowed:
    """Return the time of the oldest sample, in seconds."""
    return windows.samples.times[_first(windows)] / 1000, windows.count > 0


def _first(windows: Windows) -> Ints:
    return np.where(windows.count > 0, windows.lo, 0)


def _last(windows: Windows) -> Ints:
    return np.where(windows.count > 0, windows.hi - 1, 0)


def sum_(windows: Windows) -> Windowed:
    """Return the compensated sum."""
    fold = Folding(windows)
    total, carry = _sums(fold, windows.samples.values)
    return fold.restored(total + carry), windows.count > 0


def _sums(fold: Folding, values: Floats) -> tuple[Floats, Floats]:
    total, carry = fold.zeros(), fold.zeros()
    for _, active, index in fold.positions():
        add(total[:active], carry[:active], values[index])
    return total, carry


def avg(windows: Windows) -> Windowed:
    """Return the mean; where the sum overflows, by way of a running mean."""
    fold = Folding(windows)
    total, carry = _sums(fold, windows.samples.values)
    number = np.maximum(fold.counts, 1)
    mean = fold.restored(total / number + carry / number)
    overflown = fold.restored(np.isinf(total))
    if overflown.any():
        only = replace(windows, hi=np.where(overflown, windows.hi, windows.lo))
        mean = np.where(overflown, _running_mean(only), mean)
    return mean, windows.count > 0


def _running_mean(windows: Windows) -> Floats:
    fold = Folding(windows)
    means = Means(fold.size)
    for _, _, index in fold.positions():
        means.push(windows.samples.values[index])
    return fold.restored(means.result())


def stdvar(windows: Windows) -> Windowed:
    """Return the population variance (Welford, compensated)."""
    fold = Folding(windows)
    mean, mean_carry, aux, aux_carry = (fold.zeros() for _ in range(4))
    for k, active, index in fold.positions():
        value = windows.samples.values[index]
        part = slice(active)
        away = value - (mean[part] + mean_carry[part])
        add(mean[part], mean_carry[part], away / (k + 1))
        add(aux[part], aux_carry[part], away * (value - (mean[part] + mean_carry[part])))
    return fold.restored((aux + aux_carry) / np.maximum(fold.counts, 1)), windows.count > 0


def stddev(windows: Windows) -> Windowed:
    """Return the population standard deviation."""
    variance, present = stdvar(windows)
    return np.sqrt(variance), present


def min_(windows: Windows) -> Windowed:
    """Return the smallest value; NaN only when all are."""
    return _extreme(windows, np.less)[0], windows.count > 0


def max_(windows: Windows) -> Windowed:
    """Return the largest value; NaN only when all are."""
    return _extreme(windows, np.greater)[0], windows.count > 0


def ts_of_min(windows: Windows) -> Windowed:
    """Return the time of the newest smallest value, in seconds."""
    at = _extreme(windows, np.less_equal)[1]
    return windows.samples.times[at] / 1000, windows.count > 0


def ts_of_max(windows: Windows) -> Windowed:
    """Return the time of the newest largest value, in seconds."""
    at = _extreme(windows, np.greater_equal)[1]
    return windows.samples.times[at] / 1000, windows.count > 0


def _extreme(windows: Windows, better: Callable[[Floats, Floats], Bools]) -> tuple[Floats, Ints]:
    """Return the best value of each window and the index of its sample."""
    fold = Folding(windows)
    best = np.full(fold.size, np.nan)
    at: Ints = np.zeros(fold.size, dtype=np.int64)
    for _, active, index in fold.positions():
        value = windows.samples.values[index]
        take = better(value, best[:active]) | np.isnan(best[:active])
        best[:active] = np.where(take, value, best[:active])
        at[:active] = np.where(take, index, at[:active])
    return fold.restored(best), fold.restored(at)


def quantile_at(q: Floats) -> Kernel:
    """Return quantile_over_time for `q` (steps,); the windows must have a column per step."""

    def kernel(windows: Windows) -> Windowed:
        return _sorted(windows, q, _quantile)

    return kernel


def _quantile(q: Floats, block: Floats, held: Ints) -> Floats:
    return quantile(q, block, held, _nans(block, held))


def mad(windows: Windows) -> Windowed:
    """Return the median absolute deviation from the median; NaN when any value is."""
    half = np.full(windows.lo.shape[1], 0.5)
    return _sorted(windows, half, _mad)


def _mad(half: Floats, block: Floats, held: Ints) -> Floats:
    nans = _nans(block, held)
    median = quantile(half, block, held, nans)
    away = quantile(half, np.abs(block - median[:, None]), held, nans)
    return np.where(nans > 0, np.nan, away)


def _nans(block: Floats, held: Ints) -> Ints:
    """Return how many of the held items are NaN, the padding not counted."""
    nans: Ints = np.isnan(block).sum(axis=-1) - (block.shape[-1] - held)
    return nans


def _sorted(
    windows: Windows, q: Floats, statistic: Callable[[Floats, Floats, Ints], Floats]
) -> Windowed:
    """Apply a statistic to padded blocks of windows of like length."""
    fold = Folding(windows)
    each_q = fold.windowed(q, windows.lo.shape[1])
    out = np.full(fold.size, np.nan)
    at = 0
    while at < fold.size and fold.counts[at]:
        longest = int(fold.counts[at])
        part = slice(at, at + max(1, _PADDED_CELLS // longest))
        held = fold.counts[part]
        held = held[held > 0]
        part = slice(at, at + held.size)
        inside = np.arange(longest)[None, :] < held[:, None]
        index = np.where(inside, fold.first()[part][:, None] + np.arange(longest), 0)
        block = np.where(inside, windows.samples.values[index], np.nan)
        out[part] = statistic(each_q[part], block, held)
        at = part.stop
    return fold.restored(out), windows.count > 0
