"""Rules' expressions, compiled once and evaluated round after round.

Semantics are those of `engine.Engine`; what rings cannot serve (an open metric name, a fixed
time, a window they do not cover) is read from the source, as an ad-hoc query reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.tenant import TenantId
from tocsin.promql.ast import Expr, MatrixSelector, StringLiteral, Subquery, unwrapped
from tocsin.promql.engine import Engine, never
from tocsin.promql.evaluation import Query
from tocsin.promql.grid import Bools, Grid
from tocsin.promql.plans.expressions import Expressions, Reach
from tocsin.promql.plans.kept import KeptShaping, Universe
from tocsin.promql.plans.reader import RingReader
from tocsin.promql.plans.rule_evaluation import Memo, Ready, RuleEvaluation
from tocsin.promql.ports import RingSource, SeriesSource
from tocsin.promql.result import Result, Scalar, Vector

_SLACK_MS = 60_000  # how much later than its newest sample a ring may be asked
_LONG_AGO = -(2**62)
_LATE_MS = 600_000  # a rule that looks from farther back is not worth a deeper ring
_IDLE_MS = 600_000  # a reader nobody has used for so long is given up
_MOST_TREES = 20_000  # of one tenant; then everything is compiled anew


@dataclass(frozen=True, slots=True)
class _Tree:
    """A compiled expression, and what of it can be read from rings."""

    expr: Expr
    reaches: tuple[Reach, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The reader of a ring, None without one, and since when the ring holds all samples."""

    reader: RingReader | None
    depth_ms: int
    covered_ms: int = 0


@dataclass(slots=True)
class _Answered:
    """The last answer of an expression: if the same rows come again, so do these labels."""

    universe: Universe
    present: Bools
    labels: tuple[Labels, ...]


@dataclass(slots=True)
class _Tenant:
    """The plans of one tenant. `depths` says how far back each ring must reach (ms)."""

    expressions: Expressions
    shaping: KeptShaping = field(default_factory=KeptShaping)
    trees: dict[str, _Tree] = field(default_factory=dict)
    readers: dict[str, RingReader] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    asked: dict[str, _Asked] = field(default_factory=dict)
    memo: dict[int, Memo] = field(default_factory=dict)
    memo_at_ms: int | None = None
    answered: dict[int, _Answered] = field(default_factory=dict)
    bare: dict[Labels, Labels] = field(default_factory=dict)
    pruned_at_ms: int = 0

    def begin(self, at_ms: int) -> None:
        """Forget what held for another evaluation time, and now and then who is not asked."""
        if self.memo_at_ms == at_ms:
            return
        self.memo.clear()
        self.asked.clear()
        self.memo_at_ms = at_ms
        if not 0 <= at_ms - self.pruned_at_ms <= _IDLE_MS:
            asked = {m: r for m, r in self.readers.items() if r.used_at_ms >= self.pruned_at_ms}
            self.readers, self.pruned_at_ms = asked, at_ms


class Plans:
    """Evaluates rules' expressions, for all tenants. Belongs to the thread of its sources."""

    def __init__(self, engine: Engine, source: SeriesSource, rings: RingSource) -> None:
        """Read `rings`, and `source` where they do not serve; `engine` parses."""
        self._engine = engine
        self._source = source
        self._rings = rings
        self._tenants: dict[TenantId, _Tenant] = {}

    def forget(self, tenant: TenantId) -> None:
        """Drop what is compiled for a tenant: its rules have changed, or it is gone."""
        self._tenants.pop(tenant, None)

    def instant(
        self,
        tenant: TenantId,
        text: str,
        *,
        at_ms: int,
        expired: Callable[[], bool] = never,
    ) -> Result:
        """Return the value of an expression at one time. Raises what `Engine.instant` raises.

        While the same elements come, the labels of the vector are the same tuple object.
        """
        plans = self._of(tenant)
        tree = plans.trees.get(text) or self._compiled(tenant, plans, text)
        if isinstance(unwrapped(tree.expr), StringLiteral | MatrixSelector | Subquery):
            return self._engine.instant(tenant, tree.expr, at_ms=at_ms, expired=expired)
        plans.begin(at_ms)
        readers = self._readers(tenant, plans, tree, at_ms)
        ready = Ready(readers, plans.expressions, plans.shaping, plans.memo)
        query = Query(self._source, tenant, self._engine.options_of(tenant), expired)
        run = RuleEvaluation(query, at_ms, ready)
        with np.errstate(all="ignore"):
            value = run.value(tree.expr)
        if isinstance(value, Grid):
            return run.result(_vector(plans, tree.expr, value, at_ms))
        return run.result(Scalar(at_ms, float(np.asarray(value, dtype=np.float64)[0])))

    def _of(self, tenant: TenantId) -> _Tenant:
        plans = self._tenants.get(tenant)
        if plans is None or len(plans.trees) > _MOST_TREES:
            expressions = Expressions(self._engine.options_of(tenant).lookback_ms)
            plans = self._tenants[tenant] = _Tenant(expressions)
        return plans

    def _compiled(self, tenant: TenantId, plans: _Tenant, text: str) -> _Tree:
        expr = unwrapped(plans.expressions.intern(self._engine.rule_tree(tenant, text)))
        tree = plans.trees[text] = _Tree(expr, plans.expressions.rings_of(expr))
        for reach in tree.reaches:
            depth = max(plans.depths.get(reach.metric, 0), reach.back_ms + _SLACK_MS)
            plans.depths[reach.metric] = depth
        return tree

    def _readers(
        self, tenant: TenantId, plans: _Tenant, tree: _Tree, at_ms: int
    ) -> dict[str, RingReader]:
        """Return readers of the rings that cover what the expression asks for."""
        found: dict[str, RingReader] = {}
        uncovered: set[str] = set()
        for reach in tree.reaches:
            asked = plans.asked.get(reach.metric)
            if asked is None or asked.depth_ms < plans.depths[reach.metric]:
                asked = plans.asked[reach.metric] = self._ask(tenant, plans, reach.metric)
            if asked.reader is None or not _covers(plans, asked, reach, at_ms):
                uncovered.add(reach.metric)
            else:
                found[reach.metric] = asked.reader
        return {m: found[m] for m in found.keys() - uncovered} if uncovered else found

    def _ask(self, tenant: TenantId, plans: _Tenant, metric: str) -> _Asked:
        """Ask for a ring, once for each evaluation time."""
        depth_ms = plans.depths[metric]
        ring = self._rings.ring(tenant, metric, depth_ms=depth_ms)
        if ring is None:
            plans.readers.pop(metric, None)
            return _Asked(None, depth_ms)
        reader = plans.readers.get(metric)
        if reader is None or reader.ring is not ring:
            reader = plans.readers[metric] = RingReader(ring)
        reader.used_at_ms = plans.memo_at_ms or 0
        newest_ms = reader.newest_ms()
        return _Asked(reader, depth_ms, _LONG_AGO if newest_ms is None else newest_ms - depth_ms)


def _covers(plans: _Tenant, asked: _Asked, reach: Reach, at_ms: int) -> bool:
    """Tell whether a ring holds all of a window; if not for long, ask for a deeper one."""
    missing = asked.covered_ms - (at_ms - reach.back_ms)
    if 0 < missing <= _LATE_MS:
        plans.depths[reach.metric] += missing + _SLACK_MS
    return missing <= 0


def _vector(plans: _Tenant, expr: Expr, grid: Grid, at_ms: int) -> Vector:
    """Return the rows that are present, without the names that no longer count."""
    present = grid.present[:, 0]
    known = plans.answered.get(id(expr))
    if known is not None and known.universe is grid.labels and (known.present == present).all():
        return Vector(at_ms, known.labels, grid.values[present, 0], grid.ordered)
    rows = grid.rows(np.flatnonzero(present))
    dropped = zip(rows.labels, rows.drop_name.tolist(), strict=True)
    labels = tuple(_bare(plans.bare, each) if drop else each for each, drop in dropped)
    if len(set(labels)) < len(labels):
        joined = rows.settled()
        return Vector(at_ms, joined.labels, joined.values[:, 0], joined.ordered)
    plans.answered[id(expr)] = _Answered(grid.labels, present, labels)
    return Vector(at_ms, labels, rows.values[:, 0], grid.ordered)


def _bare(known: dict[Labels, Labels], labels: Labels) -> Labels:
    """Return `labels` without the metric name."""
    bare = known.get(labels)
    if bare is None:
        if len(known) > _MOST_TREES:
            known.clear()
        bare = known[labels] = labels.drop((METRIC_NAME,))
    return bare
