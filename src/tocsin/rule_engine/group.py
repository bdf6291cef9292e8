"""A rule group: its rules evaluated one after the other, at one time, and their alerts sent.

A rule sees what the rules before it recorded in the same round. A rule that fails keeps its
alerts, which go on being sent: no answer is not a good answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.model.alert import Alert
from tocsin.model.errors import TocsinError
from tocsin.model.labels import Labels
from tocsin.model.output import Batch, Output
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.config import RuleSettings
from tocsin.rule_engine.definition import GroupDef
from tocsin.rule_engine.evaluation import AlertingRun, RuleRun, make_run
from tocsin.rule_engine.group_series import GroupCounts, group_labels, group_values
from tocsin.rule_engine.instruments import RuleInstruments, TenantInstruments
from tocsin.rule_engine.ports import Firing, Queries, RuleSink
from tocsin.rule_engine.rendering import Renderer
from tocsin.rule_engine.restore import last_round, remembered
from tocsin.rule_engine.rounds import Round, Turn
from tocsin.rule_engine.rows import Row
from tocsin.rule_engine.sending import Sender
from tocsin.rule_engine.views import GroupView, Health
from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger

_LOG = get_logger("rule_engine")
_RESTORE_ROUNDS = 2  # as upstream: by the second round fresh samples are in
_AT_ONCE = 256  # alerts made ready for sending without a pause


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
    counts: GroupCounts = field(default_factory=GroupCounts)
    _told: TenantInstruments = field(init=False)
    _own: Output = field(init=False)
    _series: tuple[Labels, ...] = field(init=False)
    _restoring: Restoring = field(default_factory=Restoring)

    def __post_init__(self) -> None:
        group, settings = self.spec.group, self.spec.settings
        external, url = Labels.of(settings.external_labels), self.spec.external_url
        self._told = self.near.instruments.of(self.spec.tenant)
        failed = self._told.template_failures.inc
        sender = Sender(group.interval, settings.resend_delay, external, url)
        self.runs = [
            make_run(rule, Renderer(rule, external, url, failed=failed), sender)
            for rule in group.rules
        ]
        self._own = Output(f"rules/{group.key}")
        self._series = group_labels(group)

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
        self.counts, self._own = before.counts, before._own
        self.took, self.last_evaluation = before.took, before.last_evaluation
        self._restoring = before._restoring
        return list(old.values())

    async def evaluate(self, at: datetime) -> None:
        """Evaluate every rule at `at`, write their series, send what is due."""
        began = time.perf_counter()
        self.counts.rounds += 1
        await self._restore(at)
        asked = self._round(at)
        for run in self.runs:
            await self._evaluate_rule(run, asked)
            await asked.turn.pause()
        await self._send(self.runs, at)
        self.last_evaluation = at
        self.took = timedelta(seconds=time.perf_counter() - began)
        self._told.group_duration.observe(self.took.total_seconds())
        self._report(at)

    def miss(self, rounds: int) -> None:
        """Count rounds that were left out."""
        self.counts.rounds += rounds
        self.counts.missed += rounds

    async def retire(self, runs: Sequence[RuleRun], *, now: datetime) -> None:
        """End the series and resolve the alerts of rules that are gone."""
        for run in runs:
            if isinstance(run, AlertingRun):
                run.end(now=now)
            self._write(run.output.end(), to_ms(now))
        await self._send(runs, now)

    async def retire_all(self, *, now: datetime) -> None:
        """End everything: the group is gone."""
        await self.retire(self.runs, now=now)
        self._write(self._own.end(), to_ms(now))

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

    # -- rules -------------------------------------------------------------------------------

    async def _evaluate_rule(self, run: RuleRun, asked: Round) -> None:
        began = time.perf_counter()
        error = ""
        with Edge(
            _LOG, "Evaluating rule failed", tenant=asked.tenant, rule=run.rule.name
        ) as caught:
            error = await self._outcome(run, asked)
        if caught.error is not None:
            error = f"internal error: {type(caught.error).__name__}"
        self._note(run, at=asked.at, took_s=time.perf_counter() - began, error=error)

    async def _outcome(self, run: RuleRun, asked: Round) -> str:
        """Evaluate a rule and store what it gave; return what went wrong, "" when nothing did."""
        run.status.samples = 0
        try:
            given = await run.evaluate(asked)
        except TocsinError as failure:
            return str(failure)
        self._warn(run, given.warnings)
        run.status.samples = given.samples
        return self._write(given.batch, asked.query_ms)

    def _warn(self, run: RuleRun, warnings: tuple[str, ...]) -> None:
        """Keep what a query warned of; log it when it is another warning than in the last round."""
        before, run.status.warnings = run.status.warnings, warnings
        if not warnings:
            return
        self._told.warnings.inc()
        if warnings != before:
            self._log("Evaluating rule produced warnings", run, warnings=" | ".join(warnings))

    def _note(self, run: RuleRun, *, at: datetime, took_s: float, error: str) -> None:
        """Keep how an evaluation went; an empty `error` means well."""
        self._told.evaluations.inc()
        self._told.duration.observe(took_s)
        self.counts.evaluations += 1
        status = run.status
        if error:
            self._told.failures.inc()
            self.counts.failures += 1
            if error != status.last_error:
                self._log("Rule failed", run, err=error)
        status.health = Health.ERR if error else Health.OK
        status.last_error = error
        status.took = timedelta(seconds=took_s)
        status.last_evaluation = at

    def _log(self, event: str, run: RuleRun, **fields: object) -> None:
        group = self.spec.group.key
        _LOG.warn(event, tenant=self.spec.tenant, group=group, rule=run.rule.name, **fields)

    def _round(self, at: datetime) -> Round:
        group = self.spec.group
        query_ms = to_ms(at - group.query_offset)
        return Round(self.spec.tenant, self.near.queries, at, query_ms, group.limit)

    # -- series ------------------------------------------------------------------------------

    def _write(self, batch: Batch | None, at_ms: int) -> str:
        """Store a batch if there is one; return what went wrong, "" when nothing did."""
        if batch is None:
            return ""
        try:
            appended = self.near.sink.append(self.spec.tenant, batch.layout, at_ms, batch.values)
        except TocsinError as failure:
            self._told.refuse("failed", len(batch.values))
            return f"samples not stored: {failure}"
        if not appended.refused:
            return ""
        for reason, count in appended.refused.items():
            self._told.refuse(reason, count)
        refused = ", ".join(f"{count} {reason}" for reason, count in appended.refused.items())
        return f"samples refused: {refused}"

    def _report(self, at: datetime) -> None:
        """Write what the group says of itself."""
        values = group_values(
            self.spec.group,
            self.counts,
            at=at,
            took_s=self.took.total_seconds(),
            samples=sum(run.status.samples for run in self.runs),
        )
        self._write(self._own.write(self._series, values), to_ms(at))

    # -- alerts ------------------------------------------------------------------------------

    async def _send(self, runs: Sequence[RuleRun], now: datetime) -> None:
        alerting = [run for run in runs if isinstance(run, AlertingRun)]
        due = [(run, rows) for run in alerting if (rows := run.due(now=now))]
        if not due:
            return
        outgoing = await self._outgoing(due, now)
        told, tenant = self._told, self.spec.tenant
        try:
            await self.near.firing(tenant, outgoing)
        except TocsinError as failure:
            told.send_failures.inc(len(outgoing))
            _LOG.error("Alerts not accepted", tenant=tenant, count=len(outgoing), err=str(failure))
            return
        told.sent.inc(len(outgoing))
        for run, rows in due:
            run.mark_sent(rows, now=now)

    async def _outgoing(
        self, due: Sequence[tuple[AlertingRun, Sequence[Row]]], now: datetime
    ) -> list[Alert]:
        turn = Turn()
        outgoing: list[Alert] = []
        for run, rows in due:
            for first in range(0, len(rows), _AT_ONCE):
                outgoing += run.outgoing(rows[first : first + _AT_ONCE], now=now)
                await turn.pause()
        return outgoing

    # -- before a restart --------------------------------------------------------------------

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
            if isinstance(run, AlertingRun):
                grace = settings.for_grace_period
                known = await remembered(queries, tenant, run.rule, down_at=down_at, grace=grace)
                run.remembered = known
                self._told.restored.inc(len(known.active))
