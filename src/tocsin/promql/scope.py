"""What a function, an aggregation or an operator sees of the evaluation around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from tocsin.promql.ast import Expr, StringLiteral, unwrapped
from tocsin.promql.grid import Floats, Grid, Ints
from tocsin.promql.notes import Notes
from tocsin.promql.parser import Mode
from tocsin.promql.selectors import Windows
from tocsin.promql.shaping import Shaping

Value: TypeAlias = Grid | Floats | str  # vector, scalar per step (steps,), string


@dataclass(frozen=True, slots=True)
class Steps:
    """When an expression is evaluated, and the bounds of the whole query.

    `times` are Unix milliseconds, ascending; `interval_ms` is 0 for an instant query. A subquery
    has its own times and the bounds of the query around it.
    """

    times: Ints
    interval_ms: int
    start_ms: int
    end_ms: int

    @property
    def count(self) -> int:
        """Return how many steps there are."""
        return self.times.size


def regular(start_ms: int, end_ms: int, step_ms: int) -> Ints:
    """Return the times from start to end, both inclusive, one step apart."""
    count = max(0, (end_ms - start_ms) // step_ms + 1)
    return np.arange(count, dtype=np.int64) * step_ms + start_ms


class Scope(Protocol):
    """One evaluation: its steps, its switches, and the value of an operand."""

    steps: Steps
    mode: Mode
    shaping: Shaping
    notes: Notes

    def vector(self, expr: Expr) -> Grid:
        """Return an operand that is an instant vector."""
        ...

    def scalar(self, expr: Expr) -> Floats:
        """Return an operand that is a scalar, one value per step."""
        ...

    def windows(self, expr: Expr) -> Windows:
        """Return an operand that is a range vector."""
        ...

    def sampled(self, expr: Expr) -> tuple[Grid, Ints]:
        """Return an instant vector and when its samples were taken (ms, same shape)."""
        ...


def text(expr: Expr) -> str:
    """Return the value of an operand that is a string literal."""
    plain = unwrapped(expr)
    return plain.value if isinstance(plain, StringLiteral) else ""
