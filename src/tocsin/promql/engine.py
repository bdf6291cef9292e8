"""Answers PromQL queries over a SeriesSource, all steps of a query at once.

Semantics are those of Prometheus 3 (or 2.42, by option). Native histograms are not supported:
functions that read nothing else return nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tocsin.model.errors import InvalidInput
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.promql.ast import Expr, MatrixSelector, StringLiteral, Subquery, unwrapped
from tocsin.promql.durations import QueryTimes
from tocsin.promql.evaluation import Evaluation, Query
from tocsin.promql.grid import Grid, Ints
from tocsin.promql.options import Options
from tocsin.promql.parser import parse
from tocsin.promql.ports import SeriesSource
from tocsin.promql.resolve import resolved
from tocsin.promql.result import Answer, Matrix, Result, Scalar, String, Vector
from tocsin.promql.scope import Steps, regular
from tocsin.promql.selectors import Windows


def never() -> bool:
    """Tell that there is no deadline."""
    return False


OptionsOf: TypeAlias = Callable[[TenantId], Options]


class Engine:
    """Evaluates expressions. Holds no state between queries, so threads may share it."""

    def __init__(
        self,
        source: SeriesSource,
        *,
        options: Options | None = None,
        options_of: OptionsOf | None = None,
    ) -> None:
        """Read `source`. `options_of` gives a tenant's options where they are not for all alike."""
        self._source = source
        self._options = options or Options()
        self._options_of = options_of or self._for_all

    @property
    def options(self) -> Options:
        """Return the semantics and budgets of those who have none of their own."""
        return self._options

    def options_of(self, tenant: TenantId) -> Options:
        """Return the semantics and budgets of a tenant's queries."""
        return self._options_of(tenant)

    def parse(self, text: str) -> Expr:
        """Return the tree of `text` in the engine's dialect. Raises ParseError."""
        return parse(text, self._options.grammar)

    def rule_tree(self, tenant: TenantId, text: str) -> Expr:
        """Return the tree of a tenant's rule, its durations known. Raises InvalidInput."""
        return self._tree(text, self.options_of(tenant), QueryTimes())

    def _for_all(self, _tenant: TenantId) -> Options:
        return self._options

    def instant(
        self,
        tenant: TenantId,
        expr: str | Expr,
        *,
        at_ms: int,
        expired: Callable[[], bool] = never,
        lookback_ms: int = 0,
    ) -> Result:
        """Return the value of `expr` at one time. `expired` tells whether the deadline has passed.

        `lookback_ms` stands for that of the options where it is above 0. Raises InvalidInput
        (ParseError), ExecutionError, TooManySamples, QueryTimeout.
        """
        steps = Steps(np.array([at_ms], dtype=np.int64), 0, at_ms, at_ms)
        options = self._looking_back(tenant, lookback_ms)
        tree = self._tree(expr, options, QueryTimes())
        run = Evaluation(Query(self._source, tenant, options, expired), steps)
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
        lookback_ms: int = 0,
    ) -> Result:
        """Return the values of `expr` from start to end (inclusive), as a Matrix.

        Raises InvalidInput for steps that make no sense or are too many, and what `instant` raises.
        """
        options = self._looking_back(tenant, lookback_ms)
        times = _times(start_ms, end_ms, step_ms, most=options.max_points)
        steps = Steps(times, step_ms, start_ms, end_ms)
        tree = self._tree(expr, options, QueryTimes(step_ms, end_ms - start_ms))
        run = Evaluation(Query(self._source, tenant, options, expired), steps)
        with np.errstate(all="ignore"):
            return run.result(_range_answer(run, tree))

    def _tree(self, expr: str | Expr, options: Options, times: QueryTimes) -> Expr:
        return resolved(parse(expr, options.grammar) if isinstance(expr, str) else expr, times)

    def _looking_back(self, tenant: TenantId, lookback_ms: int) -> Options:
        options = self.options_of(tenant)
        return replace(options, lookback_ms=lookback_ms) if lookback_ms > 0 else options


def _times(start_ms: int, end_ms: int, step_ms: int, *, most: int) -> Ints:
    if step_ms <= 0:
        raise InvalidInput(
            'invalid parameter "step": zero or negative query resolution step widths are not '
            "accepted. Try a positive integer"
        )
    if end_ms < start_ms:
        raise InvalidInput('invalid parameter "end": end timestamp must not be before start time')
    if (end_ms - start_ms) // step_ms > most:
        raise InvalidInput(
            f"exceeded maximum resolution of {most:,} points per timeseries. Try decreasing the "
            "query resolution (?step=XX)"
        )
    return regular(start_ms, end_ms, step_ms)


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
