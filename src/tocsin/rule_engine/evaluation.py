"""One rule from round to round: its alerts or results, what it wrote, and how it went."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.output import Output
from tocsin.model.series import Values
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.alerting import (
    ActiveAlert,
    AlertSeries,
    State,
    Timing,
    check_limit,
    promote,
    resolve_all,
    transition,
)
from tocsin.rule_engine.definition import RuleDef, RuleKind
from tocsin.rule_engine.ports import Queries
from tocsin.rule_engine.recording import Recorded, check_series_limit
from tocsin.rule_engine.rendering import Renderer
from tocsin.rule_engine.restore import Remembered
from tocsin.rule_engine.views import AlertView, Health, RuleView

Rendered = tuple[tuple[Labels, ...], Values]


@dataclass(frozen=True, slots=True)
class Round:
    """One evaluation of a rule group: at which time, and what it may ask.

    Queries look at `query_ms`, which lies the group's `query_offset` before `at`.
    """

    tenant: TenantId
    queries: Queries
    at: datetime
    query_ms: int
    limit: int


@dataclass(slots=True)
class Status:
    """How the last evaluation of a rule went."""

    health: Health = Health.UNKNOWN
    last_error: str = ""
    took: timedelta = timedelta(0)
    last_evaluation: datetime | None = None


@dataclass(slots=True)
class RuleRun(ABC):
    """A rule that is being evaluated. Owned by its group; not for concurrent use.

    `remembered` is what was active before a restart, while that still matters.
    """

    rule: RuleDef
    output: Output = field(init=False)
    status: Status = field(default_factory=Status)
    active: dict[Labels, ActiveAlert] = field(default_factory=dict)
    remembered: Remembered | None = None

    def __post_init__(self) -> None:
        self.output = Output(f"rules/{self.rule.key}")

    @abstractmethod
    async def evaluate(self, asked: Round) -> Rendered:
        """Return the series the rule gives now. A TocsinError leaves the alerts as they were."""

    def adopt(self, before: RuleRun) -> None:
        """Take over the alerts and series of the same rule as it was before a reload."""
        self.active = before.active
        self.output = before.output
        if self.rule == before.rule:
            self.status = before.status

    def end(self, *, now: datetime) -> None:
        """Resolve whatever fires: the rule is gone."""
        self.active = resolve_all(self.active, now=now)

    def view(self) -> RuleView:
        """Return the rule as the API shows it."""
        alerts = tuple(_alert_view(a) for a in self.active.values() if a.resolved_at is None)
        states = {a.state for a in alerts}
        worst = next((s for s in (State.FIRING, State.PENDING) if s in states), State.INACTIVE)
        return RuleView(
            kind=self.rule.kind,
            name=self.rule.name,
            query=self.rule.expr,
            labels=Labels(self.rule.labels),
            annotations=self.rule.annotations,
            hold=self.rule.hold,
            keep_firing_for=self.rule.keep_firing_for,
            state=worst,
            health=self.status.health,
            last_error=self.status.last_error,
            evaluation_time=self.status.took,
            last_evaluation=self.status.last_evaluation,
            alerts=alerts,
        )


class RecordingRun(RuleRun):
    """A recording rule."""

    def __init__(self, rule: RuleDef) -> None:
        super().__init__(rule)
        self._recorded = Recorded(rule.name, rule.labels)

    async def evaluate(self, asked: Round) -> Rendered:
        """Return the results under the rule's name."""
        answer = await asked.queries.instant(asked.tenant, self.rule.expr, at_ms=asked.query_ms)
        check_series_limit(len(answer.labels), asked.limit)
        return self._recorded.render(answer)


class AlertingRun(RuleRun):
    """An alerting rule; `active` holds its pending, firing and lately resolved alerts."""

    def __init__(self, rule: RuleDef, renderer: Renderer) -> None:
        super().__init__(rule)
        self._renderer = renderer
        self._series = AlertSeries()
        self._timing = Timing(rule.hold, rule.keep_firing_for)

    async def evaluate(self, asked: Round) -> Rendered:
        """Move every alert on and return `ALERTS` and `ALERTS_FOR_STATE`.

        Past the group's limit all alerts of the rule are dropped and it fails, as upstream.
        """
        answer = await asked.queries.instant(asked.tenant, self.rule.expr, at_ms=asked.query_ms)
        seen = await self._renderer.alerts(
            asked.tenant, answer, queries=asked.queries, at_ms=asked.query_ms
        )
        active = transition(self.active, seen, now=asked.at, timing=self._timing)
        active = self._continued(active, now=asked.at)
        try:
            check_limit(active, asked.limit)
        except InvalidInput:
            self.active = {}
            raise
        self.active = active
        return self._series.render(active)

    def _continued(
        self, active: Mapping[Labels, ActiveAlert], *, now: datetime
    ) -> dict[Labels, ActiveAlert]:
        """Let alerts that are new to this process go on where they were before it started."""
        after = dict(active)
        if self.remembered is None:
            return after
        for labels, alert in active.items():
            since = self.remembered.since(labels, now=now) if labels not in self.active else None
            if since is not None:
                older = msgspec.structs.replace(alert, active_at=since)
                after[labels] = promote(older, now=now, hold=self.rule.hold)
        return after


def make_run(rule: RuleDef, renderer: Renderer) -> RuleRun:
    """Return a run of `rule` that has not been evaluated yet."""
    if rule.kind is RuleKind.ALERTING:
        return AlertingRun(rule, renderer)
    return RecordingRun(rule)


def _alert_view(alert: ActiveAlert) -> AlertView:
    return AlertView(
        labels=alert.labels,
        annotations=alert.annotations or EMPTY,
        state=alert.state,
        active_at=alert.active_at,
        value=alert.value,
        keep_firing_since=alert.keep_firing_since,
    )
