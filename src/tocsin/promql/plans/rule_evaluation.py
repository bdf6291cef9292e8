"""One evaluation of a rule's expression, over rings where there are any.

It is the ordinary evaluation but for three things: selectors read rings, label work is kept,
and a subexpression that another rule has evaluated at the same time is not evaluated again.
Whatever has no quicker form here is evaluated as in any other query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tocsin.promql.ast import Aggregate, Call, Expr, MatrixSelector, VectorSelector, unwrapped
from tocsin.promql.errors import ExecutionError
from tocsin.promql.evaluation import Evaluation, Query
from tocsin.promql.functions import inform_of_name
from tocsin.promql.grid import Grid, Ints
from tocsin.promql.notes import Noted
from tocsin.promql.plans import extremes, reduce
from tocsin.promql.plans.expressions import Expressions, metric_of
from tocsin.promql.plans.extract import extract
from tocsin.promql.plans.kept import KeptShaping
from tocsin.promql.plans.kernels import QUICK, Asked, Column, instant, served, taken_at
from tocsin.promql.plans.reader import RingReader
from tocsin.promql.scope import Steps, Value
from tocsin.promql.selectors import Windows

_COUNTERS = ("rate", "increase")
_KEEPS_NAME = ("last_over_time", "first_over_time")


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """What an evaluation works with: rings by metric, interned expressions, kept labels."""

    readers: Mapping[str, RingReader]
    expressions: Expressions
    shaping: KeptShaping
    memo: dict[int, Memo]


@dataclass(frozen=True, slots=True, eq=False)
class Memo:
    """The value of a subexpression, for as long as the rings it reads are as they were."""

    value: Value
    versions: tuple[int, ...]
    notes: Noted


class RuleEvaluation(Evaluation):
    """Evaluates interned expressions at one time."""

    def __init__(self, query: Query, at_ms: int, ready: Ready) -> None:
        super().__init__(query, Steps(np.array([at_ms], dtype=np.int64), 0, at_ms, at_ms))
        self._at_ms = at_ms
        self._ready = ready
        self._closed = query.options.mode == "2.42"
        self._lookback_ms = query.options.lookback_ms
        self.shaping = self._kept = ready.shaping

    def value(self, expr: Expr) -> Value:
        """Return the value of an expression, from memory where that is still right."""
        plain = unwrapped(expr)
        shared = id(plain) in self._ready.expressions.shared
        versions = self._versions(plain) if shared else None
        if versions is None:
            return self._placed(plain)
        known = self._ready.memo.get(id(plain))
        if known is not None and known.versions == versions:
            self.notes.replay(known.notes)
            return known.value
        before = self.notes.mark()
        value = self._placed(plain)
        self._ready.memo[id(plain)] = Memo(value, versions, self.notes.since(before))
        return value

    def vector(self, expr: Expr) -> Grid:
        """Return an operand that is an instant vector, fit for the operator that reads it."""
        grid = super().vector(expr)
        place = id(unwrapped(expr))
        if place in self._ready.expressions.strict:
            grid = grid.settled()
        if place in self._ready.expressions.ordered:
            grid = grid.compact()
            order = sorted(range(len(grid.labels)), key=grid.labels.__getitem__)
            grid = grid.rows(np.array(order, dtype=np.int64))
        return grid

    def _versions(self, expr: Expr) -> tuple[int, ...] | None:
        reaches = self._ready.expressions.reaches(expr)
        if not reaches:
            return None
        readers = self._ready.readers
        if not all(reach.metric in readers for reach in reaches):
            return None
        return tuple([readers[reach.metric].ring.version for reach in reaches])

    def _placed(self, expr: Expr) -> Value:
        """Evaluate a node; what it keeps is kept in its own place."""
        shaping = self._kept
        outer, shaping.place = shaping.place, id(expr)
        try:
            return self._node(expr)
        finally:
            shaping.place = outer

    def _node(self, expr: Expr) -> Value:
        match expr:
            case VectorSelector():
                asked = self._asked(expr, self._lookback_ms)
                if asked is not None:
                    return _grid(asked, instant(asked))
            case Aggregate(op=op, param=None) if op in reduce.QUICK:
                grid = self.vector(expr.expr)
                groups = self.shaping.groups(grid, expr.labels, without=expr.without)
                return reduce.QUICK[op](grid, groups)
            case Call():
                quick = self._call(expr)
                if quick is not None:
                    return quick
        return super()._node(expr)

    # -- selectors -----------------------------------------------------------------------------

    def sampled(self, expr: Expr) -> tuple[Grid, Ints]:
        """Return the value of a bare selector, and when each sample was taken."""
        selector = unwrapped(expr)
        asked = self._asked(selector, self._lookback_ms)
        if asked is None:
            return super().sampled(expr)
        return _grid(asked, instant(asked)), taken_at(asked)[:, None]

    def windows(self, expr: Expr) -> Windows:
        """Return an operand that is a range vector, sample by sample."""
        asked = self._window(expr)
        if asked is None:
            return super().windows(expr)
        labels = asked.view.labels
        windows, kept = extract(asked.view, asked.window, np.arange(len(labels)))
        named = tuple(labels[i] for i in kept.tolist())
        return replace(windows, samples=replace(windows.samples, labels=named))

    def _window(self, expr: Expr) -> Asked | None:
        plain = unwrapped(expr)
        if not isinstance(plain, MatrixSelector):
            return None
        return self._asked(plain.selector, plain.range_ms)

    def _asked(self, selector: Expr, range_ms: int) -> Asked | None:
        """Return a window of a ring; None when the selector reads none."""
        if not isinstance(selector, VectorSelector):
            return None
        metric = metric_of(selector)
        reader = self._ready.readers.get(metric or "")
        if reader is None:
            return None
        self._query.check_deadline()
        offset_ms = selector.offset_ms
        end_ms = self._at_ms - offset_ms
        asked = reader.asked(selector.matchers, end_ms, range_ms, offset_ms, closed=self._closed)
        self._query.check_cells(len(asked.view.labels), 1)
        return asked

    # -- functions of a window -----------------------------------------------------------------

    def _call(self, node: Call) -> Grid | None:
        """Return the value of a function that has a quick form over a ring."""
        if node.func not in _OVER_RINGS or not node.args:
            return None
        asked = self._window(node.args[0])
        if asked is None:
            return None
        grid = _grid(asked, self._column(node, asked))
        if node.func in _COUNTERS and grid.present.any():
            inform_of_name(self, node, grid.labels[0])
        return grid if node.func in _KEEPS_NAME else self.shaping.nameless(grid)

    def _column(self, node: Call, asked: Asked) -> Column:
        quick = QUICK.get(node.func)
        if quick is not None:
            return served(asked, *quick)
        extreme = extremes.QUICK.get(node.func)
        if extreme is not None:
            return extreme(asked)
        return self._moving(node, asked)

    def _moving(self, node: Call, asked: Asked) -> Column:
        window = unwrapped(node.args[0])
        if not isinstance(window, MatrixSelector):
            raise ExecutionError("expected a range vector")
        selector = window.selector
        key = (selector.matchers, window.range_ms, selector.offset_ms)
        reader = self._ready.readers[metric_of(selector) or ""]
        match node.func:
            case "sum_over_time":
                return reader.sums(*key).sum(asked)
            case "avg_over_time":
                return reader.sums(*key).avg(asked)
            case "deriv":
                return reader.trend(*key).deriv(asked)
        ahead_s = float(self.scalar(node.args[1])[0])
        return reader.trend(*key).predict(asked, self._at_ms, ahead_s)


_OVER_RINGS = frozenset(
    (
        *QUICK,
        *extremes.QUICK,
        *("sum_over_time", "avg_over_time", "deriv", "predict_linear"),
    )
)


def _grid(asked: Asked, column: Column) -> Grid:
    values, present = column
    none = np.zeros(len(values), dtype=np.bool_)
    return Grid(asked.view.labels, values[:, None], present[:, None], none)
