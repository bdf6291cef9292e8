"""One query being evaluated: the walk over its tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from tocsin.model.matchers import Matchers
from tocsin.model.tenant import TenantId
from tocsin.promql.aggregate import aggregate
from tocsin.promql.ast import (
    Aggregate,
    At,
    AtKind,
    Binary,
    Call,
    Expr,
    MatrixSelector,
    Negation,
    NumberLiteral,
    Paren,
    StringLiteral,
    Subquery,
    VectorSelector,
    unwrapped,
)
from tocsin.promql.binary import binary
from tocsin.promql.errors import ExecutionError, QueryTimeout, TooManySamples
from tocsin.promql.functions import call
from tocsin.promql.grid import Floats, Grid, Ints
from tocsin.promql.invariant import is_step_invariant
from tocsin.promql.notes import Notes
from tocsin.promql.options import Options
from tocsin.promql.parser import Mode
from tocsin.promql.ports import SeriesSource
from tocsin.promql.result import Answer, Result
from tocsin.promql.scope import Scope, Steps, Value, regular
from tocsin.promql.selectors import Samples, Span, Windows, instant
from tocsin.promql.shaping import Shaping


@dataclass(slots=True)
class Query:
    """What all parts of one query share: source, tenant, budgets and annotations."""

    source: SeriesSource
    tenant: TenantId
    options: Options
    expired: Callable[[], bool]
    notes: Notes = field(default_factory=Notes)
    read: int = 0
    series: int = 0

    def select(self, matchers: Matchers, span: Span) -> Samples:
        """Return the samples a span of windows needs. Raises TooManySamples, QueryTimeout."""
        self.check_deadline()
        start, end = span.bounds()
        found = self.source.select(self.tenant, matchers, start_ms=start, end_ms=end)
        self.count(len(found), sum(series.times.size for series in found))
        return Samples.of(found)

    def count(self, series: int, samples: int) -> None:
        """Note what was read. Raises TooManySamples when it is more than the query may read."""
        self.series += series
        self.read += samples
        if self.read > self.options.max_samples:
            raise TooManySamples(
                "query processing would load too many samples into memory in query execution: "
                f"more than {self.options.max_samples:,}"
            )
        if self.series > self.options.max_series:
            raise TooManySamples(
                f"query would read {self.series:,} series, more than {self.options.max_series:,}"
            )

    def check_deadline(self) -> None:
        """Raise QueryTimeout when the deadline has passed."""
        if self.expired():
            raise QueryTimeout("query timed out in expression evaluation")

    def check_cells(self, series: int, steps: int) -> None:
        """Raise TooManySamples when one operand would be too large a matrix."""
        if series * steps > self.options.max_cells:
            raise TooManySamples(
                f"query processing would hold too many values: {series:,} series at {steps:,} "
                f"steps, at most {self.options.max_cells:,} values are allowed"
            )


class Evaluation(Scope):
    """Evaluates expressions at some steps. A subquery gets an evaluation of its own."""

    def __init__(self, query: Query, steps: Steps) -> None:
        self._query = query
        self.steps = steps
        self.mode: Mode = query.options.mode
        self.shaping = Shaping(delayed=query.options.delayed_name_removal)
        self.notes = query.notes

    def result(self, value: Answer) -> Result:
        """Return the answer with the annotations collected."""
        return Result(value, self.notes.warnings, self.notes.infos, self._query.read)

    def value(self, expr: Expr) -> Value:
        """Return the value of an expression that is no range vector."""
        self._query.check_deadline()
        if self.steps.count > 1 and is_step_invariant(expr):
            return self._once(expr)
        return self._node(expr)

    def _node(self, expr: Expr) -> Value:
        match expr:
            case NumberLiteral() | StringLiteral():
                return self._literal(expr)
            case Paren():
                return self.value(expr.expr)
            case VectorSelector():
                return self.shaping.trim(self.sampled(expr)[0])
            case Negation() | Binary():
                return self._operator(expr)
            case Aggregate():
                return aggregate(self, expr)
            case Call():
                return call(self, expr)
        raise ExecutionError("a range vector stands where it cannot be evaluated")

    def _literal(self, expr: NumberLiteral | StringLiteral) -> Value:
        return (
            expr.value if isinstance(expr, StringLiteral) else np.full(self.steps.count, expr.value)
        )

    def _operator(self, expr: Negation | Binary) -> Value:
        if isinstance(expr, Negation):
            return self._negated(expr)
        return binary(self, expr, self.value(expr.left), self.value(expr.right))

    def vector(self, expr: Expr) -> Grid:
        """Return an operand that is an instant vector."""
        value = self.value(expr)
        if isinstance(value, Grid):
            return value
        raise ExecutionError("expected an instant vector")

    def scalar(self, expr: Expr) -> Floats:
        """Return an operand that is a scalar."""
        value = self.value(expr)
        if isinstance(value, np.ndarray):
            return value
        raise ExecutionError("expected a scalar")

    def windows(self, expr: Expr) -> Windows:
        """Return an operand that is a range vector."""
        plain = unwrapped(expr)
        if isinstance(plain, MatrixSelector):
            selector = plain.selector
            span = self._span(plain.range_ms, selector.offset_ms, selector.at)
            samples = self._query.select(selector.matchers, span).without_stale()
        elif isinstance(plain, Subquery):
            span = self._span(plain.range_ms, plain.offset_ms, plain.at)
            samples = self._subquery(plain, span)
        else:
            raise ExecutionError("expected a range vector")
        self._query.check_cells(len(samples.labels), span.end.size)
        return Windows.of(samples, span)

    def sampled(self, expr: Expr) -> tuple[Grid, Ints]:
        """Return the value of a bare selector, and when each sample was taken."""
        selector = unwrapped(expr)
        if not isinstance(selector, VectorSelector):
            raise ExecutionError("expected a selector")
        span = self._span(self._query.options.lookback_ms, selector.offset_ms, selector.at)
        samples = self._query.select(selector.matchers, span)
        self._query.check_cells(len(samples.labels), self.steps.count)
        grid, times = instant(samples, span)
        shape = (len(grid.labels), self.steps.count)
        spread = grid.with_values(
            np.broadcast_to(grid.values, shape), np.broadcast_to(grid.present, shape)
        )
        return spread, np.broadcast_to(times, shape)

    def _span(self, range_ms: int, offset_ms: int, at: At | None) -> Span:
        end = self.steps.times if at is None else np.array([self._fixed(at)], dtype=np.int64)
        return Span(end - offset_ms, range_ms, closed=self.mode == "2.42")

    def _fixed(self, at: At) -> int:
        match at.kind:
            case AtKind.TIME:
                return at.ms
            case AtKind.START:
                return self.steps.start_ms
            case AtKind.END:
                return self.steps.end_ms

    def _subquery(self, node: Subquery, span: Span) -> Samples:
        step = node.step_ms or self._query.options.default_step_ms
        first = -(-span.bounds()[0] // step) * step
        times = regular(first, int(span.end.max()), step)
        if not times.size:
            return Samples.of(())
        inner = Evaluation(self._query, replace(self.steps, times=times, interval_ms=step))
        return Samples.of_grid(inner.vector(node.expr), times)

    def _once(self, expr: Expr) -> Value:
        """Evaluate at the first step and repeat the value at all others."""
        first = Evaluation(self._query, replace(self.steps, times=self.steps.times[:1]))
        value = first.value(expr)
        if isinstance(value, Grid):
            shape = (len(value.labels), self.steps.count)
            return value.with_values(
                np.broadcast_to(value.values, shape), np.broadcast_to(value.present, shape)
            )
        return value if isinstance(value, str) else np.repeat(value, self.steps.count)

    def _negated(self, node: Negation) -> Value:
        value = self.value(node.expr)
        if isinstance(value, Grid):
            return self.shaping.nameless(value.with_values(-value.values))
        return -np.asarray(value)
