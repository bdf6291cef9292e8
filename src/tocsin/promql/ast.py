"""The syntax tree of PromQL as frozen values; durations and times are milliseconds.

Nodes compare by meaning: the places kept for annotations do not take part in equality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias, cast

from tocsin.model.matchers import Matchers
from tocsin.promql.durations import Duration


class BinaryOp(StrEnum):
    """An infix operator."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MOD = "%"
    POW = "^"
    ATAN2 = "atan2"
    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    AND = "and"
    OR = "or"
    UNLESS = "unless"

    @property
    def is_set(self) -> bool:
        """Tell whether the operator is and, or, unless."""
        return self in (BinaryOp.AND, BinaryOp.OR, BinaryOp.UNLESS)

    @property
    def is_comparison(self) -> bool:
        """Tell whether the operator compares."""
        return self in _COMPARISONS


_COMPARISONS = frozenset(
    (BinaryOp.EQ, BinaryOp.NE, BinaryOp.LT, BinaryOp.LE, BinaryOp.GT, BinaryOp.GE)
)


class AtKind(StrEnum):
    """What an `@` modifier refers to."""

    TIME = "time"
    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True)
class At:
    """An `@` modifier; `ms` counts only for AtKind.TIME."""

    kind: AtKind
    ms: int = 0


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    """A number literal; a duration literal (`5m`, so `duration`) is its seconds."""

    value: float
    duration: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class StringLiteral:
    """A string literal; a byte that is not UTF-8 is a lone surrogate (surrogateescape)."""

    value: str


@dataclass(frozen=True, slots=True)
class VectorSelector:
    """An instant vector selector; a metric name is the first of `matchers`.

    `name` is the metric's name where it stands before the braces. A duration that depends on
    the query stands in `offset_expr` until `resolve.resolved` has put its value into `offset_ms`.
    """

    matchers: Matchers
    offset_ms: int = 0
    at: At | None = None
    offset_expr: Duration | None = None
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class MatrixSelector:
    """A range vector selector, `x[5m]`."""

    selector: VectorSelector
    range_ms: int
    range_expr: Duration | None = None


@dataclass(frozen=True, slots=True)
class Subquery:
    """`expr[range:step]`; `step_ms` 0 means the default evaluation interval."""

    expr: Expr
    range_ms: int
    step_ms: int = 0
    offset_ms: int = 0
    at: At | None = None
    range_expr: Duration | None = None
    step_expr: Duration | None = None
    offset_expr: Duration | None = None


@dataclass(frozen=True, slots=True)
class Negation:
    """Unary minus. Unary plus changes nothing: it is kept as parentheses are."""

    expr: Expr


@dataclass(frozen=True, slots=True)
class Paren:
    """An expression in parentheses, or with a plus before it."""

    expr: Expr
    plus: bool = field(default=False, compare=False)


class Cardinality(StrEnum):
    """How many elements of each side may match; the group_x side is the "many" side."""

    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"


@dataclass(frozen=True, slots=True)
class Matching:
    """How two vectors find each other. `on` false means ignoring; no labels with it: all labels."""

    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    on: bool = False
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    fill_left: float | None = None
    fill_right: float | None = None


@dataclass(frozen=True, slots=True)
class Binary:
    """An infix operation."""

    op: BinaryOp
    left: Expr
    right: Expr
    matching: Matching = Matching()
    return_bool: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregation over the elements of a vector. `place` is the parameter's `line:column`."""

    op: str
    expr: Expr
    param: Expr | None = None
    labels: tuple[str, ...] = ()
    without: bool = False
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function call. `places` holds the `line:column` of each argument, as far as known."""

    func: str
    args: tuple[Expr, ...] = ()
    places: tuple[str, ...] = field(default=(), compare=False)

    def place(self, argument: int) -> str:
        """Return the `line:column` of one argument, `1:1` when it is not known."""
        return self.places[argument] if argument < len(self.places) else "1:1"


Expr: TypeAlias = (
    NumberLiteral
    | StringLiteral
    | VectorSelector
    | MatrixSelector
    | Subquery
    | Negation
    | Paren
    | Binary
    | Aggregate
    | Call
)


def unwrapped(expr: Expr) -> Expr:
    """Return `expr` without the parentheses around it."""
    while isinstance(expr, Paren):
        expr = expr.expr
    return expr


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the direct operands of a node, in the order they are written."""
    match expr:
        case NumberLiteral() | StringLiteral() | VectorSelector():
            return ()
        case MatrixSelector():
            return (expr.selector,)
        case Subquery() | Negation() | Paren():
            return (expr.expr,)
        case Binary():
            return (expr.left, expr.right)
        case Aggregate():
            return (expr.expr,) if expr.param is None else (expr.param, expr.expr)
        case Call():
            return expr.args


def with_operands(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """Return `expr` with `change` applied to each of its direct operands.

    What `change` makes of the selector of a range must be a selector.
    """
    match expr:
        case NumberLiteral() | StringLiteral() | VectorSelector():
            return expr
        case MatrixSelector(selector=selector):
            changed = change(selector)
            return replace(expr, selector=cast("VectorSelector", changed))
        case Subquery() | Negation() | Paren():
            return replace(expr, expr=change(expr.expr))
        case Binary():
            return replace(expr, left=change(expr.left), right=change(expr.right))
        case Aggregate():
            param = None if expr.param is None else change(expr.param)
            return replace(expr, expr=change(expr.expr), param=param)
        case Call():
            return replace(expr, args=tuple(change(arg) for arg in expr.args))


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield every node, parents before children."""
    yield expr
    for child in children(expr):
        yield from walk(child)
