"""Answers PromQL queries over a SeriesSource, all steps of a query at once.

Semantics are those of Prometheus 3 (or 2.42, by option). Native histograms are not supported:
functions that read nothing else return nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tocsin.model.errors import InvalidInput
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.promql.ast import Expr, MatrixSelector, StringLiteral, Subquery, unwrapped
from tocsin.promql.durations import QueryTimes
from tocsin.promql.evaluation import Evaluation, Query
from tocsin.promql.grid import Grid, Ints
from tocsin.promql.options import Options
from tocsin.promql.parser import Grammar, parse
from tocsin.promql.ports import SeriesSource
from tocsin.promql.resolve import resolved
from tocsin.promql.result import Answer, Matrix, Result, Scalar, String, Vector
from tocsin.promql.scope import Steps, regular
from tocsin.promql.selectors import Windows


def never() -> bool:
    """Tell that there is no deadline."""
    return False


class Engine:
    """Evaluates expressions. Holds no state between queries, so threads may share it."""

    def __init__(self, source: SeriesSource, *, options: Options | None = None) -> None:
        self._source = source
        self._options = options or Options()

    @property
    def options(self) -> Options:
        """Return the semantics and budgets."""
        return self._options

    def parse(self, text: str) -> Expr:
        """Return the tree of `text` in the engine's dialect. Raises ParseError."""
        grammar = Grammar(self._options.mode, self._options.experimental)
        return parse(text, grammar)

    def instant(
        self,
        tenant: TenantId,
        expr: str | Expr,
        *,
        at_ms: int,
        expired: Callable[[], bool] = never,
    ) -> Result:
        """Return the value of `expr` at one time. `expired` tells whether the deadline has passed.

        Raises InvalidInput (ParseError), ExecutionError, TooManySamples, QueryTimeout.
        """
        steps = Steps(np.array([at_ms], dtype=np.int64), 0, at_ms, at_ms)
        run = self._evaluation(tenant, steps, expired)
        tree = self._tree(expr, QueryTimes())
        with np.errstate(all="ignore"):
            return run.result(_instant_answer(run, tree, at_ms))

    def range(
        self,
        tenant: TenantId,
        expr: str | Expr,
        *,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        expired: Callable[[], bool] = never,
    ) -> Result:
        """Return the values of `expr` from start to end (inclusive), as a Matrix.

        Raises InvalidInput for steps that make no sense or are too many, and what `instant` raises.
        """
        steps = Steps(self._times(start_ms, end_ms, step_ms), step_ms, start_ms, end_ms)
        run = self._evaluation(tenant, steps, expired)
        tree = self._tree(expr, QueryTimes(step_ms, end_ms - start_ms))
        with np.errstate(all="ignore"):
            return run.result(_range_answer(run, tree))

    def _tree(self, expr: str | Expr, times: QueryTimes) -> Expr:
        return resolved(self.parse(expr) if isinstance(expr, str) else expr, times)

    def _times(self, start_ms: int, end_ms: int, step_ms: int) -> Ints:
        if step_ms <= 0:
            raise InvalidInput(
                'invalid parameter "step": zero or negative query resolution step widths are not '
                "accepted. Try a positive integer"
            )
        if end_ms < start_ms:
            raise InvalidInput('invalid parameter "end": end timestamp must not be before start')
        if (end_ms - start_ms) // step_ms >= self._options.max_points:
            raise InvalidInput(
                f"exceeded maximum resolution of {self._options.max_points:,} points per "
                "timeseries. Try decreasing the query resolution (?step=XX)"
            )
        return regular(start_ms, end_ms, step_ms)

    def _evaluation(
        self, tenant: TenantId, steps: Steps, expired: Callable[[], bool]
    ) -> Evaluation:
        return Evaluation(Query(self._source, tenant, self._options, expired), steps)


def _instant_answer(run: Evaluation, tree: Expr, at_ms: int) -> Answer:
    plain = unwrapped(tree)
    if isinstance(plain, StringLiteral):
        return String(at_ms, plain.value)
    if isinstance(plain, MatrixSelector | Subquery):
        return Matrix(_window_series(run.windows(plain)))
    value = run.value(tree)
    if isinstance(value, Grid):
        return _vector(value, at_ms)
    return Scalar(at_ms, float(np.asarray(value, dtype=np.float64)[0]))


def _vector(grid: Grid, at_ms: int) -> Vector:
    settled = grid.settled().compact()
    return Vector(at_ms, settled.labels, settled.values[:, 0], settled.ordered)


def _window_series(windows: Windows) -> tuple[Series, ...]:
    samples = windows.samples
    found = [
        Series(labels, samples.times[lo:hi], samples.values[lo:hi])
        for labels, lo, hi in zip(
            samples.labels, windows.lo[:, 0].tolist(), windows.hi[:, 0].tolist(), strict=True
        )
        if hi > lo
    ]
    return tuple(sorted(found, key=lambda series: series.labels))


def _range_answer(run: Evaluation, tree: Expr) -> Matrix:
    plain = unwrapped(tree)
    if isinstance(plain, MatrixSelector | Subquery | StringLiteral):
        kind = "string" if isinstance(plain, StringLiteral) else "range vector"
        raise InvalidInput(
            f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector'
        )
    value = run.value(tree)
    grid = value if isinstance(value, Grid) else Grid.single(np.asarray(value, dtype=np.float64))
    return Matrix(_grid_series(grid.settled().compact(), run.steps.times))


def _grid_series(grid: Grid, times: Ints) -> tuple[Series, ...]:
    found = [
        Series(labels, times[mask], values[mask])
        for labels, values, mask in zip(grid.labels, grid.values, grid.present, strict=True)
    ]
    return tuple(sorted(found, key=lambda series: series.labels))
