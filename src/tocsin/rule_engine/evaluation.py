"""One rule from round to round: its alerts or results, what it wrote, and how it went."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.model.alert import Alert
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.output import Batch, Output
from tocsin.rule_engine.active import ActiveAlerts
from tocsin.rule_engine.alert_series import AlertSeries
from tocsin.rule_engine.alerting import ActiveAlert, State, Timing, check_limit, resolve_all
from tocsin.rule_engine.definition import RuleDef, RuleKind
from tocsin.rule_engine.recording import Recorded, check_series_limit
from tocsin.rule_engine.rendering import Renderer
from tocsin.rule_engine.restore import Remembered
from tocsin.rule_engine.rounds import Round
from tocsin.rule_engine.rows import Row
from tocsin.rule_engine.sending import Outgoing, Sender
from tocsin.rule_engine.views import AlertView, Health, RuleView


@dataclass(frozen=True, slots=True)
class Given:
    """What a rule gave in one round: series to store, if any, and what the query warned of.

    `samples` counts the series it has now, without those that the batch ends.
    """

    batch: Batch | None
    samples: int
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Status:
    """How the last evaluation of a rule went, and what its expression warned of last."""

    health: Health = Health.UNKNOWN
    last_error: str = ""
    warnings: tuple[str, ...] = ()
    took: timedelta = timedelta(0)
    last_evaluation: datetime | None = None
    samples: int = 0


class RuleRun(ABC):
    """A rule that is being evaluated. Owned by its group; not for concurrent use."""

    def __init__(self, rule: RuleDef) -> None:
        self.rule = rule
        self.output = Output(f"rules/{rule.key}")
        self.status = Status()
        self.remembered: Remembered | None = None
        """What was active before a restart, while that still matters."""

    @abstractmethod
    async def evaluate(self, asked: Round) -> Given:
        """Return what the rule gives now. A TocsinError leaves the alerts as they were."""

    def adopt(self, before: RuleRun) -> None:
        """Take over the alerts and series of the same rule as it was before a reload."""
        self.output = before.output
        if self.rule == before.rule:
            self.status = before.status

    def alerts(self) -> list[ActiveAlert]:
        """Return every alert of the rule as of its last evaluation, resolved ones too."""
        return []

    def view(self) -> RuleView:
        """Return the rule as the API shows it. O(alerts)."""
        alerts = tuple(_alert_view(a) for a in self.alerts() if a.resolved_at is None)
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
            warnings=self.status.warnings,
        )


class RecordingRun(RuleRun):
    """A recording rule."""

    def __init__(self, rule: RuleDef) -> None:
        super().__init__(rule)
        self._recorded = Recorded(rule.name, rule.labels)

    async def evaluate(self, asked: Round) -> Given:
        """Return the results under the rule's name."""
        answer = await asked.queries.instant(asked.tenant, self.rule.expr, at_ms=asked.query_ms)
        check_series_limit(len(answer.labels), asked.limit)
        batch = self.output.write(*self._recorded.render(answer))
        return Given(batch, len(answer.labels), answer.warnings)


class AlertingRun(RuleRun):
    """An alerting rule."""

    def __init__(self, rule: RuleDef, renderer: Renderer, sender: Sender) -> None:
        super().__init__(rule)
        self._renderer = renderer
        self._sender = sender
        self._take([])

    async def evaluate(self, asked: Round) -> Given:
        """Move every alert on and return `ALERTS` and `ALERTS_FOR_STATE`.

        Past the group's limit all alerts of the rule are dropped and it fails, as upstream; a
        vector that is too long is not rendered first.
        """
        answer = await asked.queries.instant(asked.tenant, self.rule.expr, at_ms=asked.query_ms)
        self._check_length(len(answer.labels), asked.limit)
        new = self._active.compare(answer)
        places = self._renderer.wanted(new, self._active)
        found = await self._renderer.found(new, places, asked) if places else ()
        known = self.remembered
        self._active.step(
            new,
            found,
            now=asked.at,
            limit=asked.limit,
            since=lambda labels: known.since(labels, now=asked.at) if known else None,
        )
        changed = self._active.take_changed()
        self._outgoing.note(changed)
        batch = self._series.batch(self._active, changed, self.output)
        return Given(batch, self._series.count, answer.warnings)

    def adopt(self, before: RuleRun) -> None:
        """Take over the alerts and series of the same rule as it was before a reload."""
        super().adopt(before)
        self._take(before.alerts())

    def end(self, *, now: datetime) -> None:
        """Resolve whatever fires: the rule is gone."""
        self._take(resolve_all(self.alerts(), now=now))

    def alerts(self) -> list[ActiveAlert]:
        """Return every alert of the rule as of its last evaluation, resolved ones too."""
        return self._active.all()

    def due(self, *, now: datetime) -> Sequence[Row]:
        """Return the alerts to be sent at `now`; they are due again until they are marked."""
        return self._outgoing.due(self._active, now=now)

    def outgoing(self, rows: Sequence[Row], *, now: datetime) -> list[Alert]:
        """Return what the next stage is told of alerts that are due."""
        return self._outgoing.alerts(self._active, rows, now=now)

    def mark_sent(self, rows: Sequence[Row], *, now: datetime) -> None:
        """Remember that these alerts were told at `now`."""
        self._outgoing.mark(rows, now=now)

    def _take(self, alerts: Sequence[ActiveAlert]) -> None:
        """Go on from these alerts."""
        timing = Timing(self.rule.hold, self.rule.keep_firing_for)
        self._active = ActiveAlerts(timing, words=self._renderer.words, before=alerts)
        self._series = AlertSeries()
        self._outgoing = Outgoing(self._sender, self.rule.expr)
        self._outgoing.note(list(self._active.rows()))

    def _check_length(self, count: int, limit: int) -> None:
        try:
            check_limit(count, limit)
        except InvalidInput:
            self._active.clear()
            raise


def make_run(rule: RuleDef, renderer: Renderer, sender: Sender) -> RuleRun:
    """Return a run of `rule` that has not been evaluated yet."""
    if rule.kind is RuleKind.ALERTING:
        return AlertingRun(rule, renderer, sender)
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
