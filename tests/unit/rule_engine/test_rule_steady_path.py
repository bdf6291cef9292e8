"""A rule that looks only at what changes does exactly what the definition does to everything.

`Plain` evaluates a rule as it is defined: every element rendered, every alert put through
`transition`, every series and every alert to be sent looked at, in every round. Whatever comes
round after round, the rule group must say, write and send the same.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tocsin.model.alert import Alert
from tocsin.model.errors import InvalidInput, Unreachable
from tocsin.model.labels import Labels
from tocsin.model.sample import Sample, is_stale
from tocsin.model.series import Appended, Layout, Values
from tocsin.model.settings import from_scalar
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.rule_engine.alerting import (
    ActiveAlert,
    Seen,
    State,
    Timing,
    alert_labels,
    promote,
    series_of,
    since_seconds,
    transition,
)
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.rule_engine.definition import GroupDef, groups_of
from tocsin.rule_engine.fakes import FakeDoor, FakeQueries
from tocsin.rule_engine.group import GroupRun, GroupSpec, Neighbours
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.ports import Answer, RuleSink
from tocsin.rule_engine.rendering import Expander
from tocsin.rule_engine.restore import Remembered
from tocsin.rule_engine.sending import Sender, generator_url, needs_sending
from tocsin.telemetry.metrics import Registry
from tocsin.templating.functions_prometheus import QuerySample

ACME = tenant_id("acme")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
MIN = timedelta(minutes=1)
EXTERNAL = Labels.of({"region": "eu", "host": "never"})
QUERY = "asked"

HOSTS = "abcde"
VALUES = (1.0, 2.0, 0.0, -0.0, math.inf, math.nan)
LABEL_TEXTS: Sequence[Mapping[str, str]] = (
    {"severity": "page"},
    {"severity": "{{ if gt $value 1.0 }}page{{ else }}ticket{{ end }}"},
    {"host": "{{ $labels.twin }}"},
    {"team": '{{ with query "asked" }}{{ . | first | value }}{{ end }}'},
)
ANNOTATIONS: Sequence[Mapping[str, str]] = (
    {},
    {"summary": "{{ $labels.host }} in {{ $externalLabels.region }}"},
    {"summary": "{{ $value }} at {{ $labels.host }}", "plain": "text"},
    {"summary": '{{ query "asked" | first | value }} and {{ .Value | humanize }}'},
    {"summary": "{{ template `none` }}{{ $value }}"},
)
PERIODS = ("0s", "1m", "3m")


@dataclass(frozen=True)
class Rule:
    """What may differ between rules."""

    hold: str
    keep: str
    labels: int
    annotations: int

    def group(self, limit: int) -> GroupDef:
        """Return a group of this rule alone."""
        entry: dict[str, Any] = {
            "alert": "Down",
            "expr": "down",
            "for": self.hold,
            "keep_firing_for": self.keep,
            "labels": LABEL_TEXTS[self.labels],
            "annotations": ANNOTATIONS[self.annotations],
        }
        raw = {"groups": [{"name": "g", "interval": "1m", "limit": limit, "rules": [entry]}]}
        file = msgspec.convert(raw, RuleFile, dec_hook=from_scalar)
        [group] = groups_of({"f": file}, RuleSettings())
        return replace(group, rules=(replace(group.rules[0], key="same"),))


@dataclass(frozen=True)
class Moment:
    """One round: when it is, what the query says, and what else happens.

    `hosts` are those of the vector, in order; None stands for those of the round before.
    """

    step_s: int
    answered: bool
    hosts: tuple[str, ...] | None
    values: tuple[float, ...]
    again: bool
    asked: float
    deaf: bool
    looked_at: bool
    reload: Rule | None


RULES = st.builds(
    Rule,
    hold=st.sampled_from(PERIODS),
    keep=st.sampled_from(PERIODS),
    labels=st.integers(0, len(LABEL_TEXTS) - 1),
    annotations=st.integers(0, len(ANNOTATIONS) - 1),
)
PRESENT = st.lists(st.sampled_from(HOSTS), max_size=len(HOSTS), unique=True).map(tuple)
MOMENTS = st.builds(
    Moment,
    step_s=st.sampled_from((30, 30, 60, 60, 180, 960, -90)),
    answered=st.sampled_from((True, True, True, True, False)),
    hosts=st.one_of(st.none(), st.none(), PRESENT),
    values=st.tuples(*[st.sampled_from(VALUES) for _ in HOSTS]),
    again=st.booleans(),
    asked=st.sampled_from((1.0, 2.0)),
    deaf=st.sampled_from((False, False, False, True)),
    looked_at=st.sampled_from((False, False, True)),
    reload=st.one_of(*[st.none()] * 7, RULES),
)


@dataclass
class Outcome:
    """What can be seen of a round."""

    error: str = ""
    written: dict[Labels, str] = field(default_factory=dict)
    sent: list[Alert] = field(default_factory=list)


@dataclass
class Plain:
    """A rule by its definition, without any memory but its alerts and the series it wrote."""

    group: GroupDef
    resend_delay: timedelta
    remembered: Remembered | None
    active: dict[Labels, ActiveAlert] = field(default_factory=dict)
    series: set[Labels] = field(default_factory=set)
    asked: float = 0.0

    def round(self, vector: Sequence[tuple[Labels, float]] | None, at: datetime) -> Outcome:
        """Hold a round."""
        outcome = Outcome()
        try:
            self._evaluate(vector, at, outcome)
        except InvalidInput as error:
            outcome.error = str(error)
        outcome.sent = self._due(at)
        return outcome

    def heard(self, at: datetime) -> None:
        """Mark what was due at `at` as sent."""
        for labels, alert in self.active.items():
            if needs_sending(alert, now=at, delay=self.resend_delay):
                self.active[labels] = msgspec.structs.replace(alert, last_sent_at=at)

    def _evaluate(
        self, vector: Sequence[tuple[Labels, float]] | None, at: datetime, outcome: Outcome
    ) -> None:
        if vector is None:
            raise InvalidInput("no answer")
        rule, limit = self.group.rules[0], self.group.limit
        self._check(len(vector), limit)
        timing = Timing(rule.hold, rule.keep_firing_for)
        active = transition(self.active, self._seen(vector), now=at, timing=timing)
        if self.remembered is not None:
            for labels in active.keys() - self.active.keys():
                since = self.remembered.since(labels, now=at)
                if since is not None:
                    older = msgspec.structs.replace(active[labels], active_at=since)
                    active[labels] = promote(older, now=at, hold=rule.hold)
        self._check(sum(a.state is not State.INACTIVE for a in active.values()), limit)
        self.active = active
        now: dict[Labels, float] = {}
        for alert in active.values():
            now |= dict(zip(series_of(alert), (1.0, since_seconds(alert)), strict=False))
        gone = self.series - now.keys()
        outcome.written = {labels: repr(value) for labels, value in now.items()}
        outcome.written |= dict.fromkeys(gone, "stale")
        self.series = set(now)

    def _check(self, count: int, limit: int) -> None:
        if 0 < limit < count:
            self.active = {}
            raise InvalidInput(f"exceeded limit of {limit} with {count} alerts")

    def _seen(self, vector: Sequence[tuple[Labels, float]]) -> dict[Labels, Seen]:
        rule = self.group.rules[0]
        seen: dict[Labels, Seen] = {}
        for metric, value in vector:
            data = self.expander.data(metric, value)
            own = {name: self._text(text, data) for name, text in rule.labels}
            labels = alert_labels(metric, own, name=rule.name)
            if labels in seen:
                raise InvalidInput("same labelset")
            texts = {name: self._text(text, data) for name, text in rule.annotations.items()}
            seen[labels] = Seen(Labels.of(texts), value)
        return seen

    def _text(self, text: str, data: object) -> str:
        try:
            return self.expander.expand(text, data)
        except InvalidInput as error:
            return f"<error expanding template: {error}>"

    def _due(self, at: datetime) -> list[Alert]:
        rule = self.group.rules[0]
        sender = Sender(self.group.interval, self.resend_delay, EXTERNAL, "http://x")
        url = generator_url("http://x", rule.expr)
        due = [a for a in self.active.values() if needs_sending(a, now=at, delay=self.resend_delay)]
        return [
            Alert(
                labels=EXTERNAL.merged(alert.labels),
                starts_at=alert.fired_at or alert.active_at,
                ends_at=alert.resolved_at or at + sender.valid_for,
                updated_at=at,
                annotations=alert.annotations,
                generator_url=url,
            )
            for alert in due
        ]

    @property
    def expander(self) -> Expander:
        """Return the template functions, as the queries stand now."""
        answer = [QuerySample(Labels(), self.asked)]
        return Expander("Down", EXTERNAL, "http://x", query=lambda _: answer)


class Wrote(RuleSink):
    """Keeps what was written since it was last emptied, but for what groups say of themselves."""

    def __init__(self) -> None:
        self.written: dict[Labels, str] = {}

    def append(self, tenant: TenantId, layout: Layout, ts_ms: int, values: Values) -> Appended:
        for labels, value in zip(layout.labels, values.tolist(), strict=True):
            if labels.value("__name__").startswith("ALERTS"):
                assert labels not in self.written
                self.written[labels] = "stale" if is_stale(value) else repr(value)
        return Appended(len(values))


class Played:
    """The rule group under test."""

    def __init__(self, group: GroupDef, resend_delay: timedelta, memory: Remembered | None) -> None:
        self.queries, self.sink, self.door = FakeQueries(), Wrote(), FakeDoor()
        registry = RuleInstruments(Registry(version="0"))
        self._near = Neighbours(self.queries, self.sink, self.door, registry)
        self._resend_delay = resend_delay
        self.run = self._made(group)
        self.run.runs[0].remembered = memory
        self._kept: tuple[Labels, ...] = ()

    def reload(self, group: GroupDef) -> None:
        """Go on with another form of the rule."""
        before, self.run = self.run, self._made(group)
        memory = before.runs[0].remembered
        assert self.run.adopt(before) == []
        self.run.runs[0].remembered = memory

    async def round(
        self, moment: Moment, vector: Sequence[tuple[Labels, float]] | None, at: datetime
    ) -> Outcome:
        """Hold a round."""
        self.sink.written, self.door.received = {}, []
        self.door.broken = moment.deaf
        self.queries.answers["down"] = self._answer(vector, again=moment.again)
        self.queries.answers[QUERY] = [Sample(Labels(), 0, moment.asked)]
        await self.run.evaluate(at)
        sent = [alert for _, alert in self.door.received]
        return Outcome(self.run.runs[0].status.last_error, dict(self.sink.written), sent)

    def _answer(
        self, vector: Sequence[tuple[Labels, float]] | None, *, again: bool
    ) -> Answer | Unreachable:
        """Return a vector; the tuple of before `again` when it has the same elements."""
        if vector is None:
            return Unreachable("no answer")
        labels = tuple(metric for metric, _ in vector)
        if again and labels == self._kept:
            labels = self._kept
        self._kept = labels
        return Answer(labels, np.array([value for _, value in vector], dtype=np.float64))

    def _made(self, group: GroupDef) -> GroupRun:
        external = dict(EXTERNAL)
        chosen = RuleSettings(external_labels=external, resend_delay=from_delay(self._resend_delay))
        return GroupRun(GroupSpec(ACME, group, chosen, "http://x"), self._near)


def from_delay(delay: timedelta) -> Any:
    """Return a duration as settings hold it."""
    return msgspec.convert(
        {"resend_delay": f"{int(delay.total_seconds())}s"}, RuleSettings, dec_hook=from_scalar
    ).resend_delay


def elements(hosts: Sequence[str], values: Sequence[float]) -> list[tuple[Labels, float]]:
    """Return a vector with new label objects; `twin` is the same for two hosts."""
    return [
        (Labels.of({"__name__": "down", "host": host, "twin": "ab" if host in "ab" else host}), v)
        for host, v in zip(hosts, values, strict=False)
    ]


def shown(alerts: Sequence[Any]) -> list[str]:
    """Return alerts in an order of their own, in a form in which NaN equals NaN."""
    return sorted(repr(alert) for alert in alerts)


async def compare(rule: Rule, limit: int, resend_delay: timedelta, moments: list[Moment]) -> None:
    """Hold the same rounds both ways."""
    fired = Labels.of({"alertname": "Down", "host": "c", "twin": "c", "severity": "page"})
    memory = Remembered(T0 - MIN, 3 * MIN, MIN, {fired: T0 - 2 * MIN})
    plain = Plain(rule.group(limit), resend_delay, memory)
    played = Played(rule.group(limit), resend_delay, memory)
    at, hosts = T0, tuple(HOSTS)
    for moment in moments:
        at += timedelta(seconds=moment.step_s)
        if moment.reload is not None:
            plain.group = moment.reload.group(limit)
            played.reload(moment.reload.group(limit))
        plain.asked = moment.asked
        hosts = hosts if moment.hosts is None else moment.hosts
        vector = elements(hosts, moment.values) if moment.answered else None
        expected, got = plain.round(vector, at), await played.round(moment, vector, at)
        assert bool(got.error) == bool(expected.error)
        assert "labelset" in got.error if "labelset" in expected.error else True
        assert got.error == expected.error if "limit" in expected.error else True
        assert got.written == expected.written
        if not moment.deaf:
            plain.heard(at)
            assert shown(got.sent) == shown(expected.sent)
        if moment.looked_at:
            assert shown(played.run.runs[0].alerts()) == shown(list(plain.active.values()))
    assert shown(played.run.runs[0].alerts()) == shown(list(plain.active.values()))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rule=RULES,
    limit=st.sampled_from((0, 0, 0, 3)),
    resend=st.sampled_from((1, 3)),
    moments=st.lists(MOMENTS, min_size=1, max_size=14),
)
def test_looking_only_at_what_changes_changes_nothing(
    rule: Rule, limit: int, resend: int, moments: list[Moment]
) -> None:
    asyncio.run(compare(rule, limit, resend * MIN, moments))
