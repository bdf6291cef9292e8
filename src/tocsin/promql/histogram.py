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
from tocsin.promql.errors import ExecutionError
from tocsin.promql.format import format_bound
from tocsin.promql.grid import Bools, Floats, Grid, Ints, first_rows, numbered, stacked
from tocsin.promql.grouping import Groups, blocks, group_but
from tocsin.promql.literals import is_utf8, number, printable
from tocsin.promql.scope import Scope, text

_LE = "le"
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
        safe = np.clip(index, 0, values.shape[1] - 1)
        taken: Floats = np.take_along_axis(values, safe[:, None, :], axis=1)[:, 0]
        return taken


@dataclass(frozen=True, slots=True)
class Histograms:
    """The classic histograms of a vector: their metric names, buckets, and groups of buckets."""

    names: tuple[str, ...]
    grid: Grid
    groups: Groups
    bounds: Floats

    def batches(self) -> Iterator[Buckets]:
        """Yield the buckets of equally large histograms."""
        for numbers, rows, part, block, held in blocks(self.grid, self.groups):
            counts = block.copy()
            bounds = np.broadcast_to(self.bounds[rows][:, :, None], block.shape)
            if not held.all():
                order = np.argsort(~held, axis=1, kind="stable")
                bounds = np.take_along_axis(bounds, order, axis=1)
                counts = np.take_along_axis(block, order, axis=1)
            yield Buckets(numbers, part, bounds, counts, held.sum(axis=1))


def histograms(scope: Scope, call: Call, argument: int) -> Histograms:
    """Return the histograms of a vector operand; elements with a bad `le` warn and count not."""
    grid = scope.vector(call.args[argument]).compact()
    bounds = [_bound(labels.value(_LE)) for labels in grid.labels]
    for labels, bound in zip(grid.labels, bounds, strict=True):
        if bound is None:
            scope.notes.warn(
                f'bucket label "le" is missing or has a malformed value of "{labels.value(_LE)}"'
                + _for_metric(labels.value(METRIC_NAME)),
                place=call.place(argument),
            )
    good = np.array([bound is not None for bound in bounds], dtype=np.bool_)
    return _collected(grid.rows(good), [b for b in bounds if b is not None])


def _for_metric(name: str) -> str:
    return f' for metric name "{name}"' if name else ""


def _bound(text_: str) -> float | None:
    word = text_.lower().lstrip("+-")
    try:
        sign = -1.0 if text_.startswith("-") else 1.0
        return sign * (float(word) if word in ("inf", "infinity", "nan") else number(word))
    except ValueError:
        return None


def _collected(grid: Grid, bounds: list[float]) -> Histograms:
    """Sort the rows by bound, join equal bounds by adding, and group by the other labels."""
    by = group_but(grid, _LE)
    order = np.lexsort((np.array(bounds), by.ids)) if bounds else np.zeros(0, dtype=np.int64)
    sorted_bounds = np.array(bounds)[order]
    keys = zip(by.ids[order].tolist(), sorted_bounds.tolist(), strict=True)
    ids, count = numbered(keys)
    first = first_rows(ids, count)
    values = np.zeros((count, grid.values.shape[1]))
    present = np.zeros(values.shape, dtype=np.bool_)
    held = grid.present[order]
    np.add.at(values, ids, np.where(held, grid.values[order], 0.0))
    np.logical_or.at(present, ids, held)
    rows = order[first]
    joined = grid.rows(rows).with_values(values, present)
    any_row = first_rows(by.ids, by.count)
    names = tuple(grid.labels[i].value(METRIC_NAME) for i in any_row.tolist())
    groups = Groups(by.ids[rows], by.labels, by.drop_name)
    return Histograms(names, joined, groups, sorted_bounds[first])


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
    shape = (found.groups.count, q.size)
    values, present = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    for buckets in found.batches():
        fixed = _make_monotonic(buckets, strict=scope.mode == "3")
        for number_ in buckets.histograms[fixed.any(axis=1)].tolist():
            scope.notes.inform(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://"
                "prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
                + _for_metric(found.names[number_]),
                place=place,
            )
        part = buckets.steps
        values[buckets.histograms, part] = _quantile(buckets, q[None, part])
        present[buckets.histograms, part] = buckets.held > 0
    grid = Grid(found.groups.labels, values, present, found.groups.drop_name)
    return grid.nameless(delayed=scope.delayed)


def _make_monotonic(buckets: Buckets, *, strict: bool) -> Bools:
    """Raise counts, in place, that fall below an earlier one; return where that was no rounding."""
    counts = buckets.counts
    forced = np.zeros(buckets.held.shape, dtype=np.bool_)
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
    shape = (found.groups.count, lower.size)
    values, present = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    for buckets in found.batches():
        part = buckets.steps
        values[buckets.histograms, part] = _fraction(buckets, lower[None, part], upper[None, part])
        present[buckets.histograms, part] = buckets.held > 0
    grid = Grid(found.groups.labels, values, present, found.groups.drop_name)
    return grid.nameless(delayed=scope.delayed)


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
