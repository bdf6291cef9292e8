"""histogram_quantile, histogram_quantiles and histogram_fraction on classic buckets.

Buckets of one histogram are rows that differ in `le` only. They become blocks
[histograms, buckets, steps], sorted by bound; native histograms are not stored, so the functions
that read nothing else find nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin.model.labels import METRIC_NAME
from tocsin.promql.aggregate import warn_quantile
from tocsin.promql.ast import Call
from tocsin.promql.bucket_layout import LE, BucketLayout
from tocsin.promql.errors import ExecutionError
from tocsin.promql.format import format_bound
from tocsin.promql.grid import Bools, Floats, Grid, Ints, stacked
from tocsin.promql.grouping import blocks
from tocsin.promql.literals import is_utf8, printable
from tocsin.promql.scope import Scope, text

_TOLERANCE = 1e-12  # relative; smaller steps back are rounding and corrected in silence
_SMALLEST_NORMAL = 2.2250738585072014e-308


@dataclass(frozen=True, slots=True)
class Buckets:
    """Histograms with the same number of bucket rows.

    `bounds` and `counts` have shape (histograms, buckets, steps), sorted by bound, the missing ones
    last; `held` (histograms, steps) says how many there are.
    """

    histograms: Ints
    steps: slice
    bounds: Floats
    counts: Floats
    held: Ints

    def at(self, values: Floats, index: Ints) -> Floats:
        """Return the item of `bounds` or `counts` at a bucket index (histograms, steps)."""
        safe = np.minimum(np.maximum(index, 0), values.shape[1] - 1)
        rows, columns = np.arange(values.shape[0])[:, None], np.arange(values.shape[2])
        taken: Floats = values[rows, safe, columns]
        return taken


@dataclass(frozen=True, slots=True)
class Histograms:
    """The classic histograms of a vector, and the counts of their buckets."""

    layout: BucketLayout
    grid: Grid

    def batches(self) -> Iterator[Buckets]:
        """Yield the buckets of equally large histograms."""
        for numbers, rows, part, block, held in blocks(self.grid, self.layout.groups):
            counts = block.copy()
            bounds = np.broadcast_to(self.layout.bounds[rows][:, :, None], block.shape)
            if not held.all():
                order = np.argsort(~held, axis=1, kind="stable")
                bounds = np.take_along_axis(bounds, order, axis=1)
                counts = np.take_along_axis(block, order, axis=1)
            yield Buckets(numbers, part, bounds, counts, held.sum(axis=1))

    def answer(self, scope: Scope, values: Floats, present: Bools) -> Grid:
        """Return a vector with one row for each histogram."""
        groups = self.layout.groups
        return scope.shaping.nameless(Grid(groups.labels, values, present, groups.drop_name))


def histograms(scope: Scope, call: Call, argument: int) -> Histograms:
    """Return the histograms of a vector operand; elements with a bad `le` warn and count not."""
    grid = scope.shaping.trim(scope.vector(call.args[argument]))
    layout = scope.shaping.buckets(grid)
    for row in layout.bad[grid.present[layout.bad].any(axis=1)].tolist():
        labels = grid.labels[row]
        scope.notes.warn(
            f'bucket label "le" is missing or has a malformed value of "{labels.value(LE)}"'
            + _for_metric(labels.value(METRIC_NAME)),
            place=call.place(argument),
        )
    return Histograms(layout, layout.collected(grid))


def _for_metric(name: str) -> str:
    return f' for metric name "{name}"' if name else ""


def histogram_quantile(scope: Scope, call: Call) -> Grid:
    """Return the quantile of each histogram, interpolated within its bucket."""
    q = scope.scalar(call.args[0])
    warn_quantile(scope, q, place=call.place(0))
    found = histograms(scope, call, 1)
    return _quantiles(scope, found, q, place=call.place(1))


def histogram_quantiles(scope: Scope, call: Call) -> Grid:
    """Return several quantiles of each histogram, told apart by a label."""
    name = text(call.args[1])
    if not name or not is_utf8(name):
        raise ExecutionError(f'invalid label name "{printable(name)}" in histogram_quantiles()')
    found = histograms(scope, call, 0)
    grids = []
    for i, arg in enumerate(call.args[2:], start=2):
        q = scope.scalar(arg)
        warn_quantile(scope, q, place=call.place(i))
        grids.append(_labelled(_quantiles(scope, found, q, place=call.place(0)), name, q))
    return stacked(grids).merged()


def _labelled(grid: Grid, name: str, q: Floats) -> Grid:
    """Return a copy of the grid for each distinct value of q, present where q has it."""
    parts = []
    for text_ in dict.fromkeys(format_bound(value) for value in q.tolist()):
        here = np.array([format_bound(value) == text_ for value in q.tolist()])
        labels = [labels.merged({name: text_}) for labels in grid.labels]
        parts.append(grid.relabelled(labels).where(here[None, :]))
    return stacked(parts) if parts else grid


def _quantiles(scope: Scope, found: Histograms, q: Floats, *, place: str) -> Grid:
    shape = (found.layout.groups.count, q.size)
    values, present = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    for buckets in found.batches():
        fixed = _make_monotonic(buckets, strict=scope.mode == "3")
        for number_ in buckets.histograms[fixed.any(axis=1)].tolist():
            scope.notes.inform(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://"
                "prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
                + _for_metric(found.layout.names[number_]),
                place=place,
            )
        part = buckets.steps
        values[buckets.histograms, part] = _quantile(buckets, q[None, part])
        present[buckets.histograms, part] = buckets.held > 0
    return found.answer(scope, values, present)


def _make_monotonic(buckets: Buckets, *, strict: bool) -> Bools:
    """Raise counts, in place, that fall below an earlier one; return where that was no rounding."""
    counts = buckets.counts
    forced = np.zeros(buckets.held.shape, dtype=np.bool_)
    if _rises(counts):
        return forced
    before = counts[:, 0].copy()
    for k in range(1, counts.shape[1]):
        here = counts[:, k]
        held = k < buckets.held
        near = held & (here != before) & strict & _almost_equal(before, here)
        falls = held & ~near & (here < before)
        forced |= falls
        counts[:, k] = np.where(near | falls, before, here)
        before = np.where(held, counts[:, k], before)
    return forced if strict else np.zeros_like(forced)


def _rises(counts: Floats) -> bool:
    """Tell whether no count is below, or a hair above, the one before: nothing to correct."""
    step = counts[:, 1:] - counts[:, :-1]
    return bool(((step == 0) | (step > _TOLERANCE * 2 * counts[:, 1:])).all())


def _almost_equal(a: Floats, b: Floats) -> Bools:
    size, gap = np.abs(a) + np.abs(b), np.abs(a - b)
    tiny = (a == 0) | (b == 0) | (size < _SMALLEST_NORMAL)
    limit = np.where(tiny, _TOLERANCE * _SMALLEST_NORMAL, _TOLERANCE * size)
    return gap < limit


def _quantile(buckets: Buckets, q: Floats) -> Floats:
    held, bounds, counts = buckets.held, buckets.bounds, buckets.counts
    last = held - 1
    total = buckets.at(counts, last)
    rank = q * total
    reached = counts >= rank[:, None, :]
    reached &= np.arange(counts.shape[1])[None, :, None] < last[:, None, :]
    b = np.where(reached.any(axis=1), reached.argmax(axis=1), last)
    inner = _interpolated(buckets, b, rank)
    value = np.where(b == last, buckets.at(bounds, last - 1), inner)
    whole = np.isposinf(buckets.at(bounds, last)) & (held >= 2) & (total != 0)
    value = np.where(whole, value, np.nan)
    outside = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, np.nan))
    return np.where((q >= 0) & (q <= 1), value, outside)


def _interpolated(buckets: Buckets, b: Ints, rank: Floats) -> Floats:
    """Return the value at `rank` within bucket b, which begins at 0 when it is the first."""
    end, count = buckets.at(buckets.bounds, b), buckets.at(buckets.counts, b)
    below = np.where(b > 0, buckets.at(buckets.counts, b - 1), 0.0)
    start = np.where(b > 0, buckets.at(buckets.bounds, b - 1), 0.0)
    value = start + (end - start) * ((rank - below) / (count - below))
    return np.where((b == 0) & (end <= 0), end, value)


def histogram_fraction(scope: Scope, call: Call) -> Grid:
    """Return the share of observations between two bounds, interpolated within buckets."""
    lower, upper = scope.scalar(call.args[0]), scope.scalar(call.args[1])
    found = histograms(scope, call, 2)
    shape = (found.layout.groups.count, lower.size)
    values, present = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    for buckets in found.batches():
        part = buckets.steps
        values[buckets.histograms, part] = _fraction(buckets, lower[None, part], upper[None, part])
        present[buckets.histograms, part] = buckets.held > 0
    return found.answer(scope, values, present)


def _fraction(buckets: Buckets, lower: Floats, upper: Floats) -> Floats:
    last = buckets.held - 1
    total = buckets.at(buckets.counts, last)
    share = (_rank(buckets, upper, total) - _rank(buckets, lower, total)) / total
    share = np.where(lower >= upper, 0.0, share)
    whole = np.isposinf(buckets.at(buckets.bounds, last)) & (total != 0)
    return np.where(whole & ~np.isnan(lower) & ~np.isnan(upper), share, np.nan)


def _rank(buckets: Buckets, value: Floats, total: Floats) -> Floats:
    """Return how many observations are below `value`."""
    bounds, counts = buckets.bounds, buckets.counts
    rank = np.full(total.shape, np.nan)
    before = np.zeros(total.shape)
    first = bounds[:, 0]
    start = np.where(first > 0, 0.0, -np.inf)
    for k in range(bounds.shape[1]):
        end, count = bounds[:, k], counts[:, k]
        unset = np.isnan(rank) & (k < buckets.held)
        rank = np.where(unset & (start >= value), before, rank)
        inside = unset & (start < value) & (end > value)
        rank = np.where(inside, _inside(value, start, end, (before, count)), rank)
        start, before = end, count
    return np.where(np.isnan(rank) | (rank > total), total, rank)


def _inside(value: Floats, start: Floats, end: Floats, counts: tuple[Floats, Floats]) -> Floats:
    """Interpolate; an unbounded bucket counts wholly below, or not at all above."""
    before, count = counts
    share = np.where(np.isinf(start), 1.0, (value - start) / (end - start))
    return before + (count - before) * share
