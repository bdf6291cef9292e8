"""The tree of an expression in the JSON of `/parse_query`, as the UI of Prometheus 3 reads it."""

from __future__ import annotations

from typing import Any, assert_never

from tocsin.model.matchers import Matcher
from tocsin.promql import ast
from tocsin.promql.durations import Duration, DurationCall, DurationLiteral, DurationOperation
from tocsin.promql.format import format_plain
from tocsin.promql.signatures import SIGNATURES, Type
from tocsin.promql.typecheck import type_of


def tree_json(expr: ast.Expr) -> dict[str, Any]:  # noqa: PLR0911  # one return per node
    """Return a node with its operands."""
    match expr:
        case ast.VectorSelector():
            return {"type": "vectorSelector", **_selector(expr)}
        case ast.MatrixSelector(selector=selector):
            span = _duration("range", expr.range_ms, expr.range_expr)
            return {"type": "matrixSelector", **_selector(selector), **span}
        case ast.Subquery():
            return _subquery(expr)
        case ast.Aggregate():
            return _aggregation(expr)
        case ast.Binary():
            return _binary(expr)
        case ast.Call():
            return _call(expr)
        case _:
            return _small(expr)


def _small(
    expr: ast.NumberLiteral | ast.StringLiteral | ast.Negation | ast.Paren,
) -> dict[str, Any]:
    match expr:
        case ast.NumberLiteral(value=value):
            return {"type": "numberLiteral", "val": format_plain(value)}
        case ast.StringLiteral(value=value):
            return {"type": "stringLiteral", "val": value}
        case ast.Negation(expr=inner):
            return {"type": "unaryExpr", "op": "-", "expr": tree_json(inner)}
        case ast.Paren(expr=inner, plus=True):
            return {"type": "unaryExpr", "op": "+", "expr": tree_json(inner)}
        case ast.Paren(expr=inner):
            return {"type": "parenExpr", "expr": tree_json(inner)}
        case _:
            assert_never(expr)


def _selector(expr: ast.VectorSelector) -> dict[str, Any]:
    own = expr.matchers[1:] + expr.matchers[:1] if expr.name else expr.matchers
    return {
        "name": expr.name,
        **_duration("offset", expr.offset_ms, expr.offset_expr),
        "matchers": [_matcher(each) for each in own],
        **_at(expr.at),
        "anchored": False,
        "smoothed": False,
    }


def _duration(name: str, ms: int, expr: Duration | None) -> dict[str, Any]:
    """Return a duration in milliseconds; one that is an expression as such, and no number."""
    if expr is None:
        return {name: ms}
    return {name: 0, f"{name}Expr": _arithmetic(expr)}


def _arithmetic(expr: Duration) -> dict[str, Any]:
    match expr:
        case DurationLiteral(seconds=seconds, unit=unit):
            return {"type": "numberLiteral", "val": format_plain(seconds), "duration": unit}
        case DurationCall(function=function, wrapped=wrapped):
            return _operation(str(function), None, None, wrapped=wrapped)
        case DurationOperation(op=op, left=left, right=right, wrapped=wrapped):
            first = None if left is None else _arithmetic(left)
            return _operation(str(op), first, _arithmetic(right), wrapped=wrapped)
        case _:
            assert_never(expr)


def _operation(op: str, left: Any, right: Any, *, wrapped: bool) -> dict[str, Any]:
    return {"type": "durationExpr", "op": op, "lhs": left, "rhs": right, "wrapped": wrapped}


def _matcher(each: Matcher) -> dict[str, str]:
    return {"name": each.name, "value": each.value, "type": str(each.op)}


def _at(at: ast.At | None) -> dict[str, Any]:
    timed = at is not None and at.kind is ast.AtKind.TIME
    bound = at is not None and not timed
    return {
        "timestamp": at.ms if at is not None and timed else None,
        "startOrEnd": str(at.kind) if at is not None and bound else None,
    }


def _subquery(expr: ast.Subquery) -> dict[str, Any]:
    return {
        "type": "subquery",
        "expr": tree_json(expr.expr),
        **_duration("range", expr.range_ms, expr.range_expr),
        **_duration("offset", expr.offset_ms, expr.offset_expr),
        **_duration("step", expr.step_ms, expr.step_expr),
        **_at(expr.at),
    }


def _aggregation(expr: ast.Aggregate) -> dict[str, Any]:
    return {
        "type": "aggregation",
        "op": expr.op,
        "expr": tree_json(expr.expr),
        "param": None if expr.param is None else tree_json(expr.param),
        "grouping": list(expr.labels),
        "without": expr.without,
    }


def _binary(expr: ast.Binary) -> dict[str, Any]:
    vectors = type_of(expr.left) is type_of(expr.right) is Type.VECTOR
    return {
        "type": "binaryExpr",
        "op": str(expr.op),
        "lhs": tree_json(expr.left),
        "rhs": tree_json(expr.right),
        "matching": _matching(expr.matching) if vectors else None,
        "bool": expr.return_bool,
    }


def _matching(matching: ast.Matching) -> dict[str, Any]:
    return {
        "card": str(matching.cardinality),
        "labels": list(matching.labels),
        "on": matching.on,
        "include": list(matching.include),
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
    }


def _call(expr: ast.Call) -> dict[str, Any]:
    signature = SIGNATURES[expr.func]
    return {
        "type": "call",
        "func": {
            "name": expr.func,
            "argTypes": [kind.short for kind in signature.takes],
            "variadic": signature.more,
            "returnType": signature.gives.short,
        },
        "args": [tree_json(arg) for arg in expr.args],
    }
