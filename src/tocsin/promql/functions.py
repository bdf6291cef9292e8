"""Every PromQL function by name, and how its operands are fetched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tocsin.model.labels import EMPTY, METRIC_NAME, Labels
from tocsin.model.matchers import MatchOp
from tocsin.promql import over_time, rate, trend
from tocsin.promql.aggregate import warn_quantile
from tocsin.promql.ast import Call, Expr, MatrixSelector, NumberLiteral, VectorSelector, unwrapped
from tocsin.promql.errors import ExecutionError
from tocsin.promql.grid import Bools, Floats, Grid
from tocsin.promql.histogram import histogram_fraction, histogram_quantile, histogram_quantiles
from tocsin.promql.info import info
from tocsin.promql.label_functions import (
    label_join,
    label_replace,
    sort_by_label,
    sort_by_label_desc,
)
from tocsin.promql.math_functions import DATES, MATH, Elementwise
from tocsin.promql.scope import Scope
from tocsin.promql.selectors import Windows
from tocsin.promql.windowed import Kernel, by_chunks, per_step

Function: TypeAlias = Callable[[Scope, Call], Grid | Floats]

_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


def call(scope: Scope, node: Call) -> Grid | Floats:
    """Return the value of a function call. Raises ExecutionError."""
    function = FUNCTIONS.get(node.func)
    if function is None:
        raise ExecutionError(f"function {node.func}() is not supported")
    return function(scope, node)


def _elementwise(function: Elementwise) -> Function:
    def run(scope: Scope, node: Call) -> Grid:
        grid = scope.vector(node.args[0])
        return scope.shaping.nameless(grid.with_values(function(grid.values)))

    return run


def _date(function: Elementwise) -> Function:
    def run(scope: Scope, node: Call) -> Grid:
        if not node.args:
            return Grid.single(function(scope.steps.times / 1000))
        grid = scope.vector(node.args[0])
        return scope.shaping.nameless(grid.with_values(function(grid.values)))

    return run


def _range(kernel: Kernel, *, keep_name: bool = False) -> Function:
    def run(scope: Scope, node: Call) -> Grid:
        return _windowed(scope, scope.windows(node.args[0]), kernel, keep_name=keep_name)

    return run


def _windowed(scope: Scope, windows: Windows, kernel: Kernel, *, keep_name: bool = False) -> Grid:
    values, present = by_chunks(windows, kernel)
    shape = (values.shape[0], scope.steps.count)
    samples = windows.samples
    grid = Grid(
        samples.labels,
        np.broadcast_to(values, shape),
        np.broadcast_to(present, shape),
        samples.drop_name,
    )
    grid = scope.shaping.trim(grid)
    return grid if keep_name else scope.shaping.nameless(grid)


def _per_step(scope: Scope, expr: Expr) -> Windows:
    return per_step(scope.windows(expr), scope.steps.count)


def _counter(kernel: Kernel) -> Function:
    """Return a rate function that says so when a metric's name is not that of a counter."""

    def run(scope: Scope, node: Call) -> Grid:
        windows = scope.windows(node.args[0])
        values, present = by_chunks(windows, kernel)
        _inform_of_names(scope, node, windows, present)
        return _windowed(scope, windows, lambda _: (values, present))

    return run


def _inform_of_names(scope: Scope, node: Call, windows: Windows, present: Bools) -> None:
    for row in np.flatnonzero(present.any(axis=1)).tolist():
        inform_of_name(scope, node, windows.samples.labels[row])


def inform_of_name(scope: Scope, node: Call, labels: Labels) -> None:
    """Say so when a metric whose rate is taken is not named like a counter."""
    name = labels.value(METRIC_NAME)
    if name and not name.endswith(_COUNTER_SUFFIXES):
        scope.notes.inform(
            "metric might not be a counter, name does not end in "
            f'_total/_sum/_count/_bucket: "{name}"',
            place=node.place(0),
        )


def _predict_linear(scope: Scope, node: Call) -> Grid:
    kernel = trend.predict_at(scope.steps.times, scope.scalar(node.args[1]))
    return _windowed(scope, _per_step(scope, node.args[0]), kernel)


def _smoothing(scope: Scope, node: Call) -> Grid:
    factor, trend_factor = scope.scalar(node.args[1]), scope.scalar(node.args[2])
    _check_factor(factor, "smoothing factor", "sf")
    _check_factor(trend_factor, "trend factor", "tf")
    kernel = trend.smooth(factor, trend_factor)
    return _windowed(scope, _per_step(scope, node.args[0]), kernel)


def _check_factor(factor: Floats, what: str, short: str) -> None:
    wrong = factor[(factor <= 0) | (factor >= 1)]
    if wrong.size:
        reason = f"invalid {what}. Expected: 0 < {short} < 1, got: {wrong[0]:f}"
        raise ExecutionError(reason)


def _quantile_over_time(scope: Scope, node: Call) -> Grid:
    q = scope.scalar(node.args[0])
    windows = _per_step(scope, node.args[1])
    if windows.samples.labels:
        warn_quantile(scope, q, place=node.place(0))
    return _windowed(scope, windows, over_time.quantile_at(q))


def _round(scope: Scope, node: Call) -> Grid:
    grid = scope.vector(node.args[0])
    inverse = 1.0 / scope.scalar(node.args[1]) if len(node.args) > 1 else np.ones(1)
    values = np.floor(grid.values * inverse + 0.5) / inverse
    return scope.shaping.nameless(grid.with_values(values))


def _clamp(scope: Scope, node: Call) -> Grid:
    low, high = scope.scalar(node.args[1]), scope.scalar(node.args[2])
    grid = scope.vector(node.args[0])
    values = np.maximum(low, np.minimum(high, grid.values))
    kept = np.broadcast_to(~(high < low), grid.present.shape)
    return scope.shaping.nameless(grid.with_values(values).where(kept).compact())


def _clamp_min(scope: Scope, node: Call) -> Grid:
    grid = scope.vector(node.args[0])
    values = np.maximum(scope.scalar(node.args[1]), grid.values)
    return scope.shaping.nameless(grid.with_values(values))


def _clamp_max(scope: Scope, node: Call) -> Grid:
    grid = scope.vector(node.args[0])
    values = np.minimum(scope.scalar(node.args[1]), grid.values)
    return scope.shaping.nameless(grid.with_values(values))


def _vector(scope: Scope, node: Call) -> Grid:
    return Grid.single(scope.scalar(node.args[0]))


def _scalar(scope: Scope, node: Call) -> Floats:
    grid = scope.vector(node.args[0])
    alone = grid.present.sum(axis=0) == 1
    only = np.where(grid.present, grid.values, 0.0).sum(axis=0)
    return np.where(alone, only, np.nan)


def _time(scope: Scope, _node: Call) -> Floats:
    return scope.steps.times / 1000


def _constant(seconds: Callable[[Scope], float]) -> Function:
    return lambda scope, _node: np.full(scope.steps.count, seconds(scope))


def _pair(function: Callable[[Floats, Floats], Floats]) -> Function:
    return lambda scope, node: function(scope.scalar(node.args[0]), scope.scalar(node.args[1]))


def _timestamp(scope: Scope, node: Call) -> Grid:
    operand = unwrapped(node.args[0])
    if isinstance(operand, VectorSelector):
        grid, times = scope.sampled(operand)
        values = times / 1000
    else:
        grid = scope.vector(operand)
        values = np.broadcast_to(scope.steps.times / 1000, grid.values.shape)
    return scope.shaping.nameless(grid.with_values(values))


def _sort(scope: Scope, node: Call) -> Grid:
    return _sorted(scope.vector(node.args[0]), 1.0)


def _sort_desc(scope: Scope, node: Call) -> Grid:
    return _sorted(scope.vector(node.args[0]), -1.0)


def _sorted(grid: Grid, sign: float) -> Grid:
    if grid.values.shape[1] != 1:
        return grid
    order = np.argsort(sign * grid.values[:, 0], kind="stable")
    return replace(grid.rows(order), ordered=True)


def _absent(scope: Scope, node: Call) -> Grid:
    grid = scope.vector(node.args[0])
    return _missing(scope, node.args[0], np.any(grid.present, axis=0))


def _absent_over_time(scope: Scope, node: Call) -> Grid:
    windows = scope.windows(node.args[0])
    found: Bools = np.any(windows.count > 0, axis=0)
    return _missing(scope, node.args[0], np.broadcast_to(found, (scope.steps.count,)))


def _missing(scope: Scope, expr: Expr, found: Bools) -> Grid:
    ones = np.ones((1, scope.steps.count))
    return Grid.of((_absent_labels(expr),), ones, ~found[None, :])


def _absent_labels(expr: Expr) -> Labels:
    """Return the labels that equality matchers fix: a name matched twice fixes nothing."""
    plain = unwrapped(expr)
    selector = plain.selector if isinstance(plain, MatrixSelector) else plain
    if not isinstance(selector, VectorSelector):
        return EMPTY
    fixed: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in selector.matchers:
        if matcher.name == METRIC_NAME:
            continue
        if matcher.op is MatchOp.EQUAL and matcher.name not in seen:
            fixed[matcher.name] = matcher.value
        else:
            fixed.pop(matcher.name, None)
        seen |= {matcher.name} if matcher.op is MatchOp.EQUAL else set()
    return Labels(fixed.items())


def _nothing(scope: Scope, node: Call) -> Grid:
    """Return an empty vector: the function reads native histograms, and floats are none."""
    for arg in node.args:
        if not isinstance(unwrapped(arg), NumberLiteral):
            scope.vector(arg)
    return Grid.empty(scope.steps.count)


FUNCTIONS: dict[str, Function] = {
    **{name: _elementwise(function) for name, function in MATH.items()},
    **{name: _date(function) for name, function in DATES.items()},
    "rate": _counter(rate.rate),
    "increase": _counter(rate.increase),
    "delta": _range(rate.delta),
    "irate": _range(rate.irate),
    "idelta": _range(rate.idelta),
    "changes": _range(rate.changes),
    "resets": _range(rate.resets),
    "deriv": _range(trend.deriv),
    "predict_linear": _predict_linear,
    "double_exponential_smoothing": _smoothing,
    "sum_over_time": _range(over_time.sum_),
    "avg_over_time": _range(over_time.avg),
    "min_over_time": _range(over_time.min_),
    "max_over_time": _range(over_time.max_),
    "count_over_time": _range(over_time.count),
    "stddev_over_time": _range(over_time.stddev),
    "stdvar_over_time": _range(over_time.stdvar),
    "mad_over_time": _range(over_time.mad),
    "present_over_time": _range(over_time.present_),
    "last_over_time": _range(over_time.last, keep_name=True),
    "first_over_time": _range(over_time.first, keep_name=True),
    "ts_of_last_over_time": _range(over_time.ts_of_last),
    "ts_of_first_over_time": _range(over_time.ts_of_first),
    "ts_of_min_over_time": _range(over_time.ts_of_min),
    "ts_of_max_over_time": _range(over_time.ts_of_max),
    "quantile_over_time": _quantile_over_time,
    "round": _round,
    "clamp": _clamp,
    "clamp_min": _clamp_min,
    "clamp_max": _clamp_max,
    "vector": _vector,
    "scalar": _scalar,
    "time": _time,
    "pi": _constant(lambda _: np.pi),
    "start": _constant(lambda scope: scope.steps.start_ms / 1000),
    "end": _constant(lambda scope: scope.steps.end_ms / 1000),
    "step": _constant(lambda scope: scope.steps.interval_ms / 1000),
    "range": _constant(lambda scope: (scope.steps.end_ms - scope.steps.start_ms) / 1000),
    "min_of": _pair(np.minimum),
    "max_of": _pair(np.maximum),
    "timestamp": _timestamp,
    "sort": _sort,
    "sort_desc": _sort_desc,
    "sort_by_label": sort_by_label,
    "sort_by_label_desc": sort_by_label_desc,
    "info": info,
    "label_replace": label_replace,
    "label_join": label_join,
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "histogram_quantile": histogram_quantile,
    "histogram_quantiles": histogram_quantiles,
    "histogram_fraction": histogram_fraction,
    "histogram_avg": _nothing,
    "histogram_count": _nothing,
    "histogram_sum": _nothing,
    "histogram_stddev": _nothing,
    "histogram_stdvar": _nothing,
}
