"""Puts the values of duration expressions into a tree, once a query's step and range are known."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tocsin.promql import ast
from tocsin.promql.durations import Duration, QueryTimes, milliseconds


def resolved(tree: ast.Expr, times: QueryTimes) -> ast.Expr:
    """Return `tree` with every duration a number of milliseconds.

    Raises InvalidInput (`start:end: reason`, characters of the text) for one that is none, such
    as `x[step()]` in an instant query, which has no step.
    """
    if not any(_has_expression(node) for node in ast.walk(tree)):
        return tree
    return _resolved(tree, times)


def _has_expression(node: ast.Expr) -> bool:
    match node:
        case ast.VectorSelector():
            return node.offset_expr is not None
        case ast.MatrixSelector():
            return node.range_expr is not None
        case ast.Subquery():
            return bool(node.range_expr or node.step_expr or node.offset_expr)
    return False


def _resolved(tree: ast.Expr, times: QueryTimes) -> ast.Expr:
    node = ast.with_operands(tree, partial(_resolved, times=times))
    match node:
        case ast.VectorSelector(offset_expr=offset) if offset:
            return replace(node, offset_ms=milliseconds(offset, times, positive=False))
        case ast.MatrixSelector(range_expr=span) if span:
            return replace(node, range_ms=milliseconds(span, times, positive=True))
        case ast.Subquery():
            return replace(
                node,
                range_ms=_value(node.range_expr, node.range_ms, times, positive=True),
                step_ms=_value(node.step_expr, node.step_ms, times, positive=True),
                offset_ms=_value(node.offset_expr, node.offset_ms, times, positive=False),
            )
    return node


def _value(expr: Duration | None, ms: int, times: QueryTimes, *, positive: bool) -> int:
    return ms if expr is None else milliseconds(expr, times, positive=positive)
