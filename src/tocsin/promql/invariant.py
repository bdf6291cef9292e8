"""Which expressions have the same value at every step, so that once is enough."""

from __future__ import annotations

from tocsin.promql.ast import (
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    StringLiteral,
    Subquery,
    VectorSelector,
    children,
)

# Their value depends on the evaluation time even when their operands do not.
_TIMED = frozenset(
    (
        *("time", "timestamp", "predict_linear", "year", "month", "day_of_month", "day_of_year"),
        *("day_of_week", "days_in_month", "hour", "minute"),
    )
)


def is_step_invariant(expr: Expr) -> bool:
    """Tell whether `expr` reads samples, and all of them at times fixed by `@`."""
    return not isinstance(expr, NumberLiteral | StringLiteral) and _fixed(expr)


def _fixed(expr: Expr) -> bool:
    match expr:
        case VectorSelector() | Subquery():
            return expr.at is not None
        case MatrixSelector():
            return expr.selector.at is not None
        case Call(func=name) if name in _TIMED:
            return False
        case _:
            return all(_fixed(child) for child in children(expr))
