"""Aggregations of one value for each row, by group number: a few passes over all rows.

Sums are plain sums in row order, as Prometheus 2 adds them; where that may have lost digits
(terms that cancel out, infinities) they are left to the compensated form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from tocsin.promql.aggregate import REDUCTIONS, reduced
from tocsin.promql.grid import Bools, Floats, Grid, Ints
from tocsin.promql.grouping import Groups

_CANCELS = 2.0**20

Reduce: TypeAlias = Callable[[Grid, Groups], Grid]


def _sum(grid: Grid, groups: Groups) -> Grid:
    total, number, safe = _totals(grid, groups)
    return _answer(groups, total, number) if safe else reduced(grid, groups, REDUCTIONS["sum"])


def _avg(grid: Grid, groups: Groups) -> Grid:
    total, number, safe = _totals(grid, groups)
    if not safe:
        return reduced(grid, groups, REDUCTIONS["avg"])
    return _answer(groups, total / np.maximum(number, 1), number)


def _count(grid: Grid, groups: Groups) -> Grid:
    number = _numbers(grid, groups)
    return _answer(groups, number.astype(np.float64), number)


def _group(grid: Grid, groups: Groups) -> Grid:
    return _answer(groups, np.ones(groups.count), _numbers(grid, groups))


def _numbers(grid: Grid, groups: Groups) -> Ints:
    present = grid.present[:, 0]
    ids = groups.ids if present.all() else groups.ids[present]
    return np.bincount(ids, minlength=groups.count)


def _totals(grid: Grid, groups: Groups) -> tuple[Floats, Ints, bool]:
    """Return sums, how many terms they have, and whether they can be trusted."""
    values, present = grid.values[:, 0], grid.present[:, 0]
    terms = values if present.all() else np.where(present, values, 0.0)
    total = _added(groups, terms)
    number = _numbers(grid, groups)
    if not len(terms) or terms.min() >= 0:
        return total, number, bool(np.isfinite(total).all())
    size = _added(groups, np.abs(terms))
    return total, number, bool((np.isfinite(size) & (size <= _CANCELS * np.abs(total))).all())


def _added(groups: Groups, terms: Floats) -> Floats:
    """Return the plain sums of the groups; no rows at all give whole numbers."""
    total = np.bincount(groups.ids, weights=terms, minlength=groups.count)
    return np.asarray(total, dtype=np.float64)


def _answer(groups: Groups, values: Floats, number: Ints) -> Grid:
    present: Bools = number > 0
    return Grid(groups.labels, values[:, None], present[:, None], groups.drop_name)


QUICK: dict[str, Reduce] = {"sum": _sum, "avg": _avg, "count": _count, "group": _group}
"""By name; the other aggregations have no quicker form than the ordinary one."""
