"""Runs one unit test of rules: the real groups, round after round, from the epoch on.

Time is a counter. Before each round come the samples up to its time and no later ones; alerts
are compared with the round at or before their `eval_time`, expressions after the last round.
Source: prometheus `cmd/promtool`, whose verdicts these are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tocsin.model.errors import InvalidInput, TocsinError
from tocsin.model.sample import Sample
from tocsin.model.settings import Duration
from tocsin.model.slots import from_ms
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.alerting import State
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.rule_engine.definition import GroupDef, groups_of
from tocsin.rule_engine.evaluation import RuleRun
from tocsin.rule_engine.group import GroupRun, GroupSpec, Neighbours
from tocsin.rule_engine.ports import TestData
from tocsin.rule_engine.unittest_file import AlertTest, ExprTest, RuleTest, input_samples
from tocsin.rule_engine.unittest_verdict import Fired, alert_failure, expr_error, expr_failure

_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a test runs on: an empty tenant of a store, and the neighbours of its groups."""

    tenant: TenantId
    data: TestData
    near: Neighbours


@dataclass(frozen=True, slots=True)
class Plan:
    """What the tests of one file share.

    `interval` lies between two values of a series where a test does not say; `rhythm` between
    two rounds. Groups named in `order` come first, in that order.
    """

    rules: Mapping[str, RuleFile]
    interval: timedelta
    rhythm: timedelta
    order: Sequence[str] = ()
    fuzzy: bool = False


async def run_rule_test(test: RuleTest, plan: Plan, bench: Bench) -> tuple[str, ...]:
    """Return what does not hold, in the order found; nothing when the test passes."""
    nameless = [case for case in test.alert_rule_test if not case.alertname]
    if nameless:
        where = f" (in test {test.name})" if test.name else ""
        return (f"alert_rule_test at eval_time {nameless[0].eval_time}{where} has no alertname",)
    try:
        samples = input_samples(test, interval=test.interval or plan.interval)
    except InvalidInput as error:
        return (str(error),)
    run = _Run(test, plan, bench, samples)
    if not await run.rounds():
        return tuple(run.failures)
    for case in test.promql_expr_test:
        await run.ask(case)
    return tuple(run.failures)


@dataclass(slots=True)
class _Run:
    """One test under way."""

    test: RuleTest
    plan: Plan
    bench: Bench
    samples: Sequence[Sample]
    failures: list[str] = field(default_factory=list)
    _groups: list[GroupRun] = field(init=False)
    _annotations: dict[str, tuple[str, ...]] = field(init=False)
    _loaded: int = 0

    def __post_init__(self) -> None:
        interval = self.test.interval or self.plan.interval
        settings = RuleSettings(
            evaluation_interval=Duration(seconds=interval.total_seconds()),
            external_labels=self.test.external_labels,
        )
        groups = groups_of(self.plan.rules, settings)
        self._annotations = _annotation_names(self.plan.rules, groups)
        self._groups = [
            GroupRun(
                GroupSpec(self.bench.tenant, group, settings, self.test.external_url),
                self.bench.near,
            )
            for group in _ordered(groups, self.plan.order)
        ]

    async def rounds(self) -> bool:
        """Hold every round and compare alerts; tell whether the rounds themselves went well."""
        at = timedelta(0)
        while at <= self.test.lasts:
            broken = [*self._load(at), *await self._evaluate(at)]
            self.failures += broken
            if broken:
                return False
            self._compare(at)
            at += self.plan.rhythm
        return True

    async def ask(self, case: ExprTest) -> None:
        """Compare the answer to one expression."""
        near, at_ms = self.bench.near, case.eval_time // _MS
        try:
            answer = await near.queries.instant(self.bench.tenant, case.expr, at_ms=at_ms)
        except TocsinError as error:
            self.failures.append(expr_error(case, str(error)))
            return
        self._note(expr_failure(case, answer.elements(), fuzzy=self.plan.fuzzy))

    def _load(self, at: timedelta) -> Iterator[str]:
        """Store the samples up to `at`; yield what was refused."""
        first = self._loaded
        until = at // _MS
        while self._loaded < len(self.samples) and self.samples[self._loaded].ts_ms <= until:
            self._loaded += 1
        if self._loaded == first:
            return
        batch = self.samples[first : self._loaded]
        appended = self.bench.data.append_samples(self.bench.tenant, batch)
        for reason, count in appended.refused.items():
            yield f"    input_series, time: {_shown(at)}, err: {count} samples refused: {reason}"

    async def _evaluate(self, at: timedelta) -> list[str]:
        """Hold one round of every group; return what failed."""
        broken = []
        for group in self._groups:
            await group.evaluate(from_ms(at // _MS))
            broken += [
                f"    rule: {run.rule.name}, time: {_shown(at)}, err: {run.status.last_error}"
                for run in group.runs
                if run.status.last_error
            ]
        return broken

    def _compare(self, at: timedelta) -> None:
        """Compare the alerts asked for from `at` until the next round."""
        due = [c for c in self.test.alert_rule_test if at <= c.eval_time < at + self.plan.rhythm]
        for case in sorted(due, key=_when):
            self._note(alert_failure(case, self._firing(case.alertname)))

    def _firing(self, name: str) -> Iterator[Fired]:
        for group in self._groups:
            for run in group.runs:
                if run.rule.name == name:
                    yield from self._fired(run)

    def _fired(self, run: RuleRun) -> Iterator[Fired]:
        """Yield the firing alerts of a rule; an annotation that came out empty counts."""
        empty = dict.fromkeys(self._annotations[run.rule.key], "")
        for alert in run.view().alerts:
            if alert.state is State.FIRING:
                yield Fired.of(alert.labels, {**empty, **alert.annotations})

    def _note(self, failure: str | None) -> None:
        if failure is not None:
            named = f"    name: {self.test.name},\n" if self.test.name else ""
            self.failures.append(named + failure)


def _ordered(groups: Sequence[GroupDef], order: Sequence[str]) -> list[GroupDef]:
    """Return the groups named in `order` first, the others as they come."""
    places = {name: place for place, name in enumerate(order)}
    return sorted(groups, key=lambda group: places.get(group.name, len(places)))


def _annotation_names(
    rules: Mapping[str, RuleFile], groups: Sequence[GroupDef]
) -> dict[str, tuple[str, ...]]:
    """Return the annotations of every rule by its key, those without text included."""
    written = [r for file in sorted(rules) for group in rules[file].groups for r in group.rules]
    known = [rule for group in groups for rule in group.rules]
    pairs = zip(known, written, strict=True)
    return {rule.key: tuple(source.annotations) for rule, source in pairs}


def _when(case: AlertTest) -> timedelta:
    return case.eval_time


def _shown(at: timedelta) -> str:
    return str(Duration(seconds=at.total_seconds()))
