"""The expressions of a tenant's rules, each equal subexpression once.

Equal nodes become one object, so that identity finds what was kept for it, and what one rule
has evaluated serves the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.model.labels import METRIC_NAME
from tocsin.model.matchers import MatchOp
from tocsin.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Expr,
    MatrixSelector,
    Negation,
    Paren,
    Subquery,
    VectorSelector,
    children,
    unwrapped,
)

_LABEL_FUNCTIONS = frozenset(
    ("label_replace", "label_join", "info", "sort_by_label", "sort_by_label_desc")
)
_ORDERED = frozenset(("topk", "bottomk", "limitk", "limit_ratio", "sort", "sort_desc"))
_BY_NAME = frozenset(("limit_ratio", "count_values"))


@dataclass(frozen=True, slots=True)
class Reach:
    """A metric that an expression reads from its ring, and how far back from the evaluation."""

    metric: str
    back_ms: int


def metric_of(selector: VectorSelector) -> str | None:
    """Return the one metric a selector reads, None when that is open or its time is fixed."""
    names = [m for m in selector.matchers if m.name == METRIC_NAME]
    if selector.at is not None or len(names) != 1 or names[0].op is not MatchOp.EQUAL:
        return None
    return names[0].value or None


class Expressions:
    """Interns syntax trees. Forgets nothing: make another one when the rules change."""

    def __init__(self, lookback_ms: int) -> None:
        self._lookback_ms = lookback_ms
        self._known: dict[Expr, Expr] = {}
        self._reaches: dict[int, tuple[Reach, ...] | None] = {}
        self.shared: set[int] = set()
        """ids of what stands in more than one place."""
        self.strict: set[int] = set()
        """ids of operands whose labels are looked at, so that dropped names must be gone."""
        self.ordered: set[int] = set()
        """ids of operands whose order counts."""

    def intern(self, expr: Expr) -> Expr:
        """Return the one object that stands for every expression equal to `expr`."""
        known = self._known.get(expr)
        if known is not None:
            self.shared.add(id(known))
            return known
        made = self._with_children(expr)
        self._known[made] = made
        self._reaches[id(made)] = self._reach(made)
        self._note(made)
        return made

    def reaches(self, expr: Expr) -> tuple[Reach, ...] | None:
        """Return what an interned expression reads from rings; None when it reads anything else."""
        return self._reaches.get(id(expr))

    def rings_of(self, expr: Expr) -> tuple[Reach, ...]:
        """Return what the selectors of an expression read from rings; subqueries read none."""
        if isinstance(expr, Subquery):
            return ()
        own = self._reaches[id(expr)] if isinstance(expr, VectorSelector | MatrixSelector) else ()
        if isinstance(expr, MatrixSelector):
            return own or ()
        below = (reach for child in children(expr) for reach in self.rings_of(child))
        return tuple(dict.fromkeys((*(own or ()), *below)))

    def _with_children(self, expr: Expr) -> Expr:
        match expr:
            case Negation() | Paren() | Subquery():
                return replace(expr, expr=self.intern(expr.expr))
            case Binary():
                return replace(expr, left=self.intern(expr.left), right=self.intern(expr.right))
            case Aggregate():
                param = None if expr.param is None else self.intern(expr.param)
                return replace(expr, expr=self.intern(expr.expr), param=param)
            case Call():
                return replace(expr, args=tuple(self.intern(arg) for arg in expr.args))
            case _:
                return expr

    def _reach(self, expr: Expr) -> tuple[Reach, ...] | None:
        match expr:
            case Subquery():
                return None
            case VectorSelector():
                return self._selected(expr, self._lookback_ms)
            case MatrixSelector():
                return self._selected(expr.selector, expr.range_ms)
        found: dict[Reach, None] = {}
        for child in children(expr):
            reach = self._reaches[id(child)]
            if reach is None:
                return None
            found.update(dict.fromkeys(reach))
        return tuple(found)

    def _selected(self, selector: VectorSelector, range_ms: int) -> tuple[Reach, ...] | None:
        metric = metric_of(selector)
        if metric is None:
            return None
        return (Reach(metric, range_ms + max(0, selector.offset_ms)),)

    def _note(self, expr: Expr) -> None:
        """Note what the operators of a node ask of its operands."""
        match expr:
            case Call(func=name, args=args):
                strict, ordered = name in _LABEL_FUNCTIONS, name in _ORDERED
                operands = args
            case Aggregate(op=name, expr=operand, labels=labels):
                strict = name in _BY_NAME or METRIC_NAME in labels
                ordered, operands = name in _ORDERED, (operand,)
            case Binary(matching=matching, left=left, right=right):
                strict = METRIC_NAME in (*matching.labels, *matching.include)
                ordered, operands = False, (left, right)
            case _:
                return
        self.strict |= {id(unwrapped(each)) for each in operands if strict}
        self.ordered |= {id(unwrapped(each)) for each in operands if ordered}
