"""A rule group: its rules evaluated one after the other, at one time, and their alerts sent.

A rule sees what the rules before it recorded in the same round. A rule that fails keeps its
alerts, which go on being sent: no answer is not a good answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from tocsin.model.errors import TocsinError
from tocsin.model.labels import Labels
from tocsin.model.output import Batch
from tocsin.model.series import Layout
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.config import RuleSettings
from tocsin.rule_engine.definition import GroupDef, RuleKind
from tocsin.rule_engine.evaluation import Round, RuleRun, make_run
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.ports import Firing, Queries, RuleSink
from tocsin.rule_engine.rendering import Renderer
from tocsin.rule_engine.restore import heartbeat_labels, last_round, remembered
from tocsin.rule_engine.sending import Sender, mark_sent
from tocsin.rule_engine.views import GroupView, Health
from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger

_LOG = get_logger("rule_engine")
_RESTORE_ROUNDS = 2  # as upstream: by the second round fresh samples are in


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Whom every group talks to.

    `memory` answers what the sink was given before a restart; None: `queries` does.
    """

    queries: Queries
    sink: RuleSink
    firing: Firing
    instruments: RuleInstruments
    memory: Queries | None = None


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """Everything that decides how a group of a tenant behaves; equal specs behave alike."""

    tenant: TenantId
    group: GroupDef
    settings: RuleSettings
    external_url: str


@dataclass(slots=True)
class Restoring:
    """What is still to be learnt of the time before a restart."""

    rounds_left: int = 0
    begun_at: datetime | None = None
    learnt: bool = False


@dataclass(slots=True)
class GroupRun:
    """A group that is being evaluated. One task at a time."""

    spec: GroupSpec
    near: Neighbours
    runs: list[RuleRun] = field(init=False)
    took: timedelta = timedelta(0)
    last_evaluation: datetime | None = None
    _sender: Sender = field(init=False)
    _beat: Layout = field(init=False)
    _restoring: Restoring = field(default_factory=Restoring)

    def __post_init__(self) -> None:
        group, settings = self.spec.group, self.spec.settings
        external = Labels.of(settings.external_labels)
        count_failure = self.near.instruments.template_failures.labels(self.spec.tenant).inc
        self.runs = [
            make_run(rule, Renderer(rule, external, self.spec.external_url, failed=count_failure))
            for rule in group.rules
        ]
        self._sender = Sender(
            group.interval, settings.resend_delay, external, self.spec.external_url
        )
        self._beat = Layout(f"rules/{group.key}", (heartbeat_labels(group),))

    def restore(self) -> None:
        """Go on, from the next round, where an earlier process stopped."""
        self._restoring = Restoring(rounds_left=_RESTORE_ROUNDS)

    def adopt(self, before: GroupRun) -> list[RuleRun]:
        """Take over the state of the group as it was before a reload; return the rules gone."""
        old = {run.rule.key: run for run in before.runs}
        for run in self.runs:
            same = old.pop(run.rule.key, None)
            if same is not None:
                run.adopt(same)
        self._restoring = before._restoring
        return list(old.values())

    async def evaluate(self, at: datetime) -> None:
        """Evaluate every rule at `at`, write their series, send what is due."""
        began = time.perf_counter()
        await self._restore(at)
        for run in self.runs:
            await self._evaluate_rule(run, at)
        await self._send(self.runs, at)
        self._write(Batch(self._beat, np.array([at.timestamp()])), at)
        self.last_evaluation = at
        self.took = timedelta(seconds=time.perf_counter() - began)
        self.near.instruments.group_duration.labels(self.spec.tenant).observe(
            self.took.total_seconds()
        )

    async def retire(self, runs: list[RuleRun], *, now: datetime) -> None:
        """End the series and resolve the alerts of rules that are gone."""
        for run in runs:
            run.end(now=now)
            batch = run.output.end()
            if batch is not None:
                self._write(batch, now)
        await self._send(runs, now)

    async def retire_all(self, *, now: datetime) -> None:
        """End everything: the group is gone."""
        await self.retire(self.runs, now=now)

    def view(self) -> GroupView:
        """Return the group as the API shows it."""
        group = self.spec.group
        return GroupView(
            name=group.name,
            file=group.file,
            interval=group.interval,
            limit=group.limit,
            rules=tuple(run.view() for run in self.runs),
            evaluation_time=self.took,
            last_evaluation=self.last_evaluation,
        )

    async def _evaluate_rule(self, run: RuleRun, at: datetime) -> None:
        began = time.perf_counter()
        error = ""
        fields = {"tenant": self.spec.tenant, "rule": run.rule.name}
        with Edge(_LOG, "Evaluating rule failed", **fields) as caught:
            error = await self._outcome(run, at)
        if caught.error is not None:
            error = f"internal error: {type(caught.error).__name__}"
        self._note(run, at=at, took_s=time.perf_counter() - began, error=error)

    async def _outcome(self, run: RuleRun, at: datetime) -> str:
        """Evaluate a rule and store what it gave; return what went wrong, "" when nothing did."""
        try:
            labels, values = await run.evaluate(self._round(at))
        except TocsinError as failure:
            return str(failure)
        batch = run.output.write(labels, values)
        return self._write(batch, self._written_at(at)) if batch else ""

    def _note(self, run: RuleRun, *, at: datetime, took_s: float, error: str) -> None:
        """Keep how an evaluation went; an empty `error` means well."""
        tenant, instruments = self.spec.tenant, self.near.instruments
        instruments.evaluations.labels(tenant).inc()
        instruments.duration.labels(tenant).observe(took_s)
        status = run.status
        if error:
            instruments.failures.labels(tenant).inc()
            if error != status.last_error:
                group = self.spec.group.key
                _LOG.warn("Rule failed", tenant=tenant, group=group, rule=run.rule.name, err=error)
        status.health = Health.ERR if error else Health.OK
        status.last_error = error
        status.took = timedelta(seconds=took_s)
        status.last_evaluation = at

    def _round(self, at: datetime) -> Round:
        query_ms = to_ms(self._written_at(at))
        return Round(self.spec.tenant, self.near.queries, at, query_ms, self.spec.group.limit)

    def _written_at(self, at: datetime) -> datetime:
        return at - self.spec.group.query_offset

    def _write(self, batch: Batch, at: datetime) -> str:
        """Store a batch; return what went wrong, "" when all was stored."""
        tenant = self.spec.tenant
        try:
            appended = self.near.sink.append(tenant, batch.layout, to_ms(at), batch.values)
        except TocsinError as failure:
            self.near.instruments.refused.labels(tenant, "failed").inc(len(batch.values))
            return f"samples not stored: {failure}"
        for reason, count in appended.refused.items():
            self.near.instruments.refused.labels(tenant, reason).inc(count)
        refused = ", ".join(f"{count} {reason}" for reason, count in appended.refused.items())
        return f"samples refused: {refused}" if refused else ""

    async def _send(self, runs: list[RuleRun], now: datetime) -> None:
        due = [(run, alert) for run in runs for alert in self._sender.due(run.active, now=now)]
        if not due:
            return
        outgoing = [self._sender.outgoing(alert, run.rule.expr, now=now) for run, alert in due]
        tenant, instruments = self.spec.tenant, self.near.instruments
        try:
            await self.near.firing(tenant, outgoing)
        except TocsinError as failure:
            instruments.send_failures.labels(tenant).inc(len(outgoing))
            _LOG.error("Alerts not accepted", tenant=tenant, count=len(outgoing), err=str(failure))
            return
        instruments.sent.labels(tenant).inc(len(outgoing))
        for run in runs:
            sent = [alert for sender, alert in due if sender is run]
            run.active = mark_sent(run.active, sent, now=now)

    async def _restore(self, at: datetime) -> None:
        """Learn in the first round what was active before; forget it after the second."""
        state = self._restoring
        if state.begun_at is None:
            state.begun_at = at
        if state.rounds_left and not state.learnt:
            try:
                await self._learn(state.begun_at)
                state.learnt = True
            except TocsinError as failure:
                _LOG.warn("Restoring alerts failed", tenant=self.spec.tenant, err=str(failure))
        elif not state.rounds_left and state.learnt:
            state.learnt = False
            for run in self.runs:
                run.remembered = None
        state.rounds_left = max(0, state.rounds_left - 1)

    async def _learn(self, before: datetime) -> None:
        tenant, settings = self.spec.tenant, self.spec.settings
        queries = self.near.memory or self.near.queries
        down_at = await last_round(
            queries,
            tenant,
            self.spec.group,
            before=before,
            tolerance=settings.for_outage_tolerance,
        )
        if down_at is None:
            return
        for run in self.runs:
            if run.rule.kind is RuleKind.ALERTING:
                grace = settings.for_grace_period
                known = await remembered(queries, tenant, run.rule, down_at=down_at, grace=grace)
                run.remembered = known
                self.near.instruments.restored.labels(tenant).inc(len(known.active))
