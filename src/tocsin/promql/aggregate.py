"""Aggregations over the elements of a vector, for all steps at once.

Groups of equal size are stacked to a block [groups, size, steps] with a mask, and one reduction
goes along its size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from tocsin.model.labels import Labels
from tocsin.promql.ast import Aggregate
from tocsin.promql.compensated import Means, add, tree_sum
from tocsin.promql.errors import ExecutionError
from tocsin.promql.format import format_value, general
from tocsin.promql.grid import Bools, Floats, Grid, first_rows, numbered
from tocsin.promql.grouping import Groups, blocks
from tocsin.promql.literals import is_utf8, printable
from tocsin.promql.quantiles import quantile
from tocsin.promql.ranking import limited, limited_ratio, ranked
from tocsin.promql.scope import Scope, text

Reduction: TypeAlias = Callable[[Floats, Bools], Floats]

_SEQUENTIAL = 128  # up to this size elements are added in order, as Prometheus does; then by halves


def aggregate(scope: Scope, node: Aggregate) -> Grid:
    """Return the value of an aggregation."""
    if node.op == "count_values":
        return _count_values(scope, node)
    param = None if node.param is None else scope.scalar(node.param)
    grid = scope.vector(node.expr)
    groups = scope.shaping.groups(grid, node.labels, without=node.without)
    if param is None:
        return reduced(grid, groups, REDUCTIONS[node.op])
    match node.op:
        case "topk" | "bottomk":
            return ranked(grid, groups, param, largest=node.op == "topk")
        case "limitk":
            return limited(grid, groups, param)
        case "limit_ratio":
            return limited_ratio(grid, param, notes=scope.notes, place=node.place)
    warn_quantile(scope, param, place=node.place)
    return _quantiles(grid, groups, param)


def reduced(grid: Grid, groups: Groups, reduction: Reduction) -> Grid:
    """Return one row for each group: `reduction` of its members."""
    shape = (groups.count, grid.values.shape[1])
    values, present = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    for numbers, _, part, block, held in blocks(grid, groups):
        values[numbers, part] = reduction(block, held)
        present[numbers, part] = held.any(axis=1)
    return Grid(groups.labels, values, present, groups.drop_name)


def _sum(block: Floats, held: Bools) -> Floats:
    total, carry = _sums(np.where(held, block, 0.0))
    return total + carry


def _sums(terms: Floats) -> tuple[Floats, Floats]:
    if terms.shape[1] > _SEQUENTIAL:
        return tree_sum(terms, axis=1)
    total, carry = np.zeros_like(terms[:, 0]), np.zeros_like(terms[:, 0])
    for k in range(terms.shape[1]):
        add(total, carry, terms[:, k])
    return total, carry


def _avg(block: Floats, held: Bools) -> Floats:
    terms = np.where(held, block, 0.0)
    total, carry = _sums(terms)
    number = np.maximum(_count(block, held), 1)
    mean: Floats = total / number + carry / number
    overflown = np.isinf(total)
    if not overflown.any():
        return mean
    means = Means(total.shape)
    for k in range(block.shape[1]):
        means.push(terms[:, k], held[:, k])
    return np.where(overflown, means.result(), mean)


def _count(_block: Floats, held: Bools) -> Floats:
    return np.asarray(held.sum(axis=1), dtype=np.float64)


def _one(block: Floats, _held: Bools) -> Floats:
    return np.ones((block.shape[0], block.shape[2]))


def _min(block: Floats, held: Bools) -> Floats:
    least: Floats = np.fmin.reduce(np.where(held, block, np.nan), axis=1)
    return least


def _max(block: Floats, held: Bools) -> Floats:
    greatest: Floats = np.fmax.reduce(np.where(held, block, np.nan), axis=1)
    return greatest


def _stdvar(block: Floats, held: Bools) -> Floats:
    """Return the population variance by merging halves (Chan, Golub, LeVeque 1979)."""
    spoilt = (held & ~np.isfinite(block)).any(axis=1)
    number = np.moveaxis(held.astype(np.float64), 1, 0)
    mean = np.moveaxis(np.where(held & np.isfinite(block), block, 0.0), 1, 0)
    spread = np.zeros_like(mean)
    while len(mean) > 1:
        if len(mean) % 2:
            pad = np.zeros_like(mean[:1])
            number, mean, spread = (np.concatenate([a, pad]) for a in (number, mean, spread))
        both = number[::2] + number[1::2]
        away = mean[1::2] - mean[::2]
        share = number[1::2] / np.maximum(both, 1)
        spread = spread[::2] + spread[1::2] + away * away * number[::2] * share
        mean = mean[::2] + away * share
        number = both
    return np.where(spoilt, np.nan, spread[0] / np.maximum(number[0], 1))


def _stddev(block: Floats, held: Bools) -> Floats:
    return np.sqrt(_stdvar(block, held))


REDUCTIONS: dict[str, Reduction] = {
    "sum": _sum,
    "avg": _avg,
    "count": _count,
    "group": _one,
    "min": _min,
    "max": _max,
    "stddev": _stddev,
    "stdvar": _stdvar,
}


def _quantiles(grid: Grid, groups: Groups, q: Floats) -> Grid:
    def reduction(block: Floats, held: Bools) -> Floats:
        padded = np.moveaxis(np.where(held, block, np.nan), 1, -1)
        number = held.sum(axis=1)
        nans = (held & np.isnan(block)).sum(axis=1)
        return quantile(q[None, :], padded, number, nans)

    return reduced(grid, groups, reduction)


def warn_quantile(scope: Scope, q: Floats, *, place: str) -> None:
    """Warn of each value of `q` that is no number in [0, 1]."""
    for value in np.unique(q[~((q >= 0) & (q <= 1))]).tolist():
        scope.notes.warn(
            f"quantile value should be between 0 and 1, got {general(value)}", place=place
        )


def _count_values(scope: Scope, node: Aggregate) -> Grid:
    name = "" if node.param is None else text(node.param)
    if not name or not is_utf8(name):
        raise ExecutionError(f'invalid label name "{printable(name)}"')
    grid = scope.vector(node.expr)
    by = [label for label in node.labels if label != name]
    names = (*node.labels, name) if node.without else by
    groups = scope.shaping.groups(grid, names, without=node.without)
    shown_label = "" if node.without and name in node.labels else name
    return _counted(grid, groups, shown_label)


def _counted(grid: Grid, groups: Groups, name: str) -> Grid:
    row, step = np.nonzero(grid.present)
    values = grid.values[row, step]
    values[np.isnan(values)] = np.nan
    distinct, which = np.unique(values.view(np.int64), return_inverse=True)
    texts = [format_value(v) for v in distinct.view(np.float64).tolist()]
    keys = groups.ids[row] * max(1, distinct.size) + which
    ids, count = numbered(keys.tolist())
    counts = np.zeros((count, grid.values.shape[1]))
    np.add.at(counts, (ids, step), 1)
    first = first_rows(ids, count)
    labels = [_labelled(groups.labels[groups.ids[row[i]]], name, texts[which[i]]) for i in first]
    return Grid.of(labels, counts, counts > 0)


def _labelled(labels: Labels, name: str, value: str) -> Labels:
    return labels.merged({name: value}) if name else labels
