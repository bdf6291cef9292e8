"""Duration expressions: arithmetic in ranges, steps and offsets, with `step()` and `range()`.

Experimental in Prometheus 3. A value is seconds; `step()` is the step of the query, 0 in an
instant query, and `range()` its end minus its start, so such an expression has no value until
a query is at hand. Source: Prometheus, feature flag `promql-duration-expr`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from tocsin.model.duration import format_duration
from tocsin.model.errors import InvalidInput
from tocsin.promql.format import format_plain


class DurationFunction(StrEnum):
    """A function without arguments that stands for a duration of the query."""

    STEP = "step"
    RANGE = "range"


class DurationOp(StrEnum):
    """What two durations are combined by; a sum or difference may have one operand alone."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MOD = "%"
    POW = "^"
    MIN = "min_of"
    MAX = "max_of"


@dataclass(frozen=True, slots=True)
class DurationLiteral:
    """Seconds; `unit` tells that they were written as `5m`, not as a number."""

    seconds: float
    unit: bool = field(default=False, compare=False)
    span: tuple[int, int] = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class DurationCall:
    """`step()` or `range()`. `span` is where it stands, in characters from 0."""

    function: DurationFunction
    wrapped: bool = field(default=False, compare=False)
    span: tuple[int, int] = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class DurationOperation:
    """An operation; `left` is None for a sign. `wrapped` tells that parentheses stand around it."""

    op: DurationOp
    left: Duration | None
    right: Duration
    wrapped: bool = field(default=False, compare=False)
    span: tuple[int, int] = field(default=(0, 0), compare=False)


Duration: TypeAlias = DurationLiteral | DurationCall | DurationOperation


@dataclass(frozen=True, slots=True)
class QueryTimes:
    """What `step()` and `range()` stand for in one query, in milliseconds."""

    step_ms: int = 0
    range_ms: int = 0


def depends_on_query(expr: Duration) -> bool:
    """Tell whether the value of `expr` differs from query to query."""
    match expr:
        case DurationLiteral():
            return False
        case DurationCall():
            return True
        case DurationOperation(left=left, right=right):
            return depends_on_query(right) or (left is not None and depends_on_query(left))


def milliseconds(expr: Duration, times: QueryTimes, *, positive: bool) -> int:
    """Return the value of `expr`, cut to milliseconds. Raises InvalidInput.

    `positive` asks for more than nothing, as a range and a step do; an offset may be negative.
    """
    seconds = _seconds(expr, times)
    if positive and not seconds > 0:
        raise _fault(expr, "duration must be greater than 0")
    if not abs(seconds) < 2**63:
        raise _fault(expr, "duration is out of range")
    return math.trunc(seconds * 1000)


def text_of(expr: Duration) -> str:
    """Return `expr` as Prometheus prints it."""
    if isinstance(expr, DurationLiteral):
        seconds = expr.seconds
        return format_duration(timedelta(seconds=seconds)) if expr.unit else format_plain(seconds)
    shown = f"{expr.function}()" if isinstance(expr, DurationCall) else _operation_text(expr)
    return f"({shown})" if expr.wrapped else shown


def _operation_text(expr: DurationOperation) -> str:
    right = text_of(expr.right)
    if expr.left is None:
        return f"{expr.op}{right}"
    if expr.op in (DurationOp.MIN, DurationOp.MAX):
        return f"{expr.op}({text_of(expr.left)}, {right})"
    return f"{text_of(expr.left)} {expr.op} {right}"


def _seconds(expr: Duration, times: QueryTimes) -> float:
    match expr:
        case DurationLiteral(seconds=seconds):
            return seconds
        case DurationCall(function=DurationFunction.STEP):
            return times.step_ms / 1000
        case DurationCall():
            return times.range_ms / 1000
        case DurationOperation(left=left):
            first = 0.0 if left is None else _seconds(left, times)
            return _combined(expr, first, _seconds(expr.right, times))


def _combined(expr: DurationOperation, left: float, right: float) -> float:
    if right == 0 and expr.op in _BY_ZERO:
        raise _fault(expr, _BY_ZERO[expr.op])
    try:
        value = _OPERATORS[expr.op](left, right)
    except (OverflowError, ValueError):  # beyond a float; a remainder of infinity
        return math.nan
    return value if isinstance(value, float) else math.nan  # a root of a negative is complex


def _fault(expr: Duration, reason: str) -> InvalidInput:
    start, end = expr.span
    return InvalidInput(f"{start}:{end}: {reason}")


def _power(left: float, right: float) -> float | complex:
    if left == 0 and right < 0:
        return math.inf
    result: float | complex = left**right
    return result


_BY_ZERO = {DurationOp.DIV: "division by zero", DurationOp.MOD: "modulo by zero"}
_OPERATORS: dict[DurationOp, Callable[[float, float], float | complex]] = {
    DurationOp.ADD: lambda left, right: left + right,
    DurationOp.SUB: lambda left, right: left - right,
    DurationOp.MUL: lambda left, right: left * right,
    DurationOp.DIV: lambda left, right: left / right,
    DurationOp.MOD: math.fmod,
    DurationOp.POW: _power,
    DurationOp.MIN: min,
    DurationOp.MAX: max,
}
