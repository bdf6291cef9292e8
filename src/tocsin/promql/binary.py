"""Infix operators: scalars and vectors in every combination."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tocsin.promql.ast import Binary, BinaryOp
from tocsin.promql.grid import Floats, Grid
from tocsin.promql.matching import either, joined
from tocsin.promql.scope import Scope, Value

_ARITHMETIC: dict[BinaryOp, Callable[[Floats, Floats], Floats]] = {
    BinaryOp.ADD: np.add,
    BinaryOp.SUB: np.subtract,
    BinaryOp.MUL: np.multiply,
    BinaryOp.DIV: np.divide,
    BinaryOp.MOD: np.fmod,
    BinaryOp.POW: np.power,
    BinaryOp.ATAN2: np.arctan2,
}
_COMPARISON: dict[BinaryOp, Callable[[Floats, Floats], Floats]] = {
    BinaryOp.EQ: np.equal,
    BinaryOp.NE: np.not_equal,
    BinaryOp.LT: np.less,
    BinaryOp.LE: np.less_equal,
    BinaryOp.GT: np.greater,
    BinaryOp.GE: np.greater_equal,
}
_OPERATORS = _ARITHMETIC | _COMPARISON


def binary(scope: Scope, node: Binary, left: Value, right: Value) -> Value:
    """Return the value of an infix operation on the values of its operands."""
    if isinstance(left, Grid) and isinstance(right, Grid):
        if node.op.is_set:
            return _SETS[node.op](scope, node, left, right)
        return _vectors(scope, node, left, right)
    if isinstance(left, Grid):
        return _with_scalar(scope, node, left, np.asarray(right), scalar_left=False)
    if isinstance(right, Grid):
        return _with_scalar(scope, node, right, np.asarray(left), scalar_left=True)
    return _OPERATORS[node.op](np.asarray(left), np.asarray(right)).astype(np.float64)


def _with_scalar(
    scope: Scope, node: Binary, grid: Grid, scalar: Floats, *, scalar_left: bool
) -> Grid:
    row = scalar[None, :]
    left, right = (row, grid.values) if scalar_left else (grid.values, row)
    outcome = _OPERATORS[node.op](left, right)
    if node.op.is_comparison and not node.return_bool:
        return scope.shaping.trim(grid.where(outcome.astype(np.bool_)))
    return scope.shaping.nameless(grid.with_values(outcome.astype(np.float64)))


def _vectors(scope: Scope, node: Binary, left: Grid, right: Grid) -> Grid:
    pairs = joined(scope.shaping, node, left, right)
    outcome = _OPERATORS[node.op](pairs.left, pairs.right)
    merged = scope.shaping.merged
    if node.op.is_comparison and not node.return_bool:
        kept = pairs.grid.with_values(pairs.left)
        return scope.shaping.trim(merged(kept.where(outcome.astype(np.bool_))))
    grid = pairs.grid.with_values(outcome.astype(np.float64))
    return merged(scope.shaping.nameless(grid) if node.return_bool else grid)


def _and(scope: Scope, node: Binary, left: Grid, right: Grid) -> Grid:
    found = scope.shaping.signatures(node.matching, left, right)
    return scope.shaping.trim(left.where(either(right, found.right, found.count)[found.left]))


def _unless(scope: Scope, node: Binary, left: Grid, right: Grid) -> Grid:
    found = scope.shaping.signatures(node.matching, left, right)
    return scope.shaping.trim(left.where(~either(right, found.right, found.count)[found.left]))


def _or(scope: Scope, node: Binary, left: Grid, right: Grid) -> Grid:
    found = scope.shaping.signatures(node.matching, left, right)
    new = right.where(~either(left, found.left, found.count)[found.right])
    return _under(scope, left, scope.shaping.trim(new))


def _under(scope: Scope, upper: Grid, lower: Grid) -> Grid:
    return Grid(
        scope.shaping.stacked_labels(upper.labels, lower.labels),
        np.concatenate([upper.values, lower.values]),
        np.concatenate([upper.present, lower.present]),
        np.concatenate([upper.drop_name, lower.drop_name]),
    )


_SETS: dict[BinaryOp, Callable[[Scope, Binary, Grid, Grid], Grid]] = {
    BinaryOp.AND: _and,
    BinaryOp.OR: _or,
    BinaryOp.UNLESS: _unless,
}
