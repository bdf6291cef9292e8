"""Pending periods go on after a restart, by what the store remembers."""

from datetime import UTC, datetime, timedelta

import pytest

from tocsin.model.errors import Unreachable
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import Sample
from tocsin.model.settings import Duration
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.rule_engine.alerting import State
from tocsin.rule_engine.config import Rule, RuleFile, RuleGroup, RuleSettings
from tocsin.rule_engine.definition import groups_of
from tocsin.rule_engine.fakes import FakeDoor, FakeQueries, FakeSink
from tocsin.rule_engine.group import GroupRun, GroupSpec, Neighbours
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.restore import HEARTBEAT, Remembered
from tocsin.telemetry.metrics import Registry

ACME = tenant_id("acme")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
MIN = timedelta(minutes=1)
A = Labels.of({"alertname": "Down", "host": "a"})
LAST = f'last_over_time({HEARTBEAT}{{rule_group="f;g"}}[1h])'
SINCE = 'ALERTS_FOR_STATE{alertname="Down"}'


@pytest.mark.parametrize(
    ("hold", "active_for", "down_for", "expected_ago"),
    [
        pytest.param(5, 5, 30, 35, id="it fired: it goes on firing, whatever its for"),
        pytest.param(5, 4, 1, None, id="a short for starts anew"),
        pytest.param(60, 20, 15, 20, id="the outage does not count as holding"),
        pytest.param(60, 55, 15, 50, id="near its end it still waits for the grace period"),
        pytest.param(60, 60, 15, 75, id="exactly held: it fired"),
        pytest.param(10, 1, 5, 0, id="nine minutes left is within the grace period"),
    ],
)
def test_since_when_an_alert_counts_as_active(
    hold: int, active_for: int, down_for: int, expected_ago: int | None
) -> None:
    down_at = T0 - down_for * MIN
    memory = Remembered(down_at, hold * MIN, 10 * MIN, {A: down_at - active_for * MIN})
    expected = None if expected_ago is None else T0 - expected_ago * MIN
    assert memory.since(A, now=T0) == expected


def test_an_alert_nobody_remembers_starts_anew() -> None:
    assert Remembered(T0, MIN, MIN, {}).since(A, now=T0) is None


class Life:
    """One life of a process over a store that outlives it."""

    def __init__(self, sink: FakeSink, *, hold: int, failing: int = 0) -> None:
        self.sink, self._failing = sink, failing
        queries = FakeQueries()
        queries.answers[LAST] = self._last
        queries.answers[SINCE] = self._since
        queries.answers["down"] = [Sample(Labels.of({"host": "a"}), 0, 1.0)]
        rule = Rule(alert="Down", expr="down", hold=Duration(minutes=hold))
        record = Rule(record="r", expr="x")
        files = {"f": RuleFile(groups=[RuleGroup(name="g", rules=[record, rule])])}
        [group] = groups_of(files, RuleSettings())
        self.queries, self.door = queries, FakeDoor()
        near = Neighbours(queries, sink, self.door, RuleInstruments(Registry(version="0")))
        self.run = GroupRun(GroupSpec(ACME, group, RuleSettings(), ""), near)
        self.run.restore()

    async def at(self, minutes: float) -> State:
        await self.run.evaluate(T0 + minutes * MIN)
        return self.run.view().rules[1].state

    def _last(self, tenant: TenantId, expr: str, at_ms: int) -> list[Sample]:
        if self._failing:
            self._failing -= 1
            raise Unreachable("not yet")
        beats = self.sink.current(tenant, HEARTBEAT, at_ms=at_ms)
        return [b for b in beats if at_ms - b.value * 1000 <= 3_600_000]

    def _since(self, tenant: TenantId, expr: str, at_ms: int) -> list[Sample]:
        found = self.sink.current(tenant, "ALERTS_FOR_STATE", at_ms=at_ms)
        name = {METRIC_NAME: "ALERTS_FOR_STATE"}
        return [Sample(s.labels.merged(name), s.ts_ms, s.value) for s in found]


async def test_an_alert_that_fired_before_the_restart_fires_at_once_after_it() -> None:
    sink = FakeSink()
    before = Life(sink, hold=5)
    for minute in range(7):
        await before.at(minute)
    after = Life(sink, hold=5)
    assert await after.at(20) is State.FIRING
    assert after.run.view().rules[1].alerts[0].active_at == T0
    assert after.door.received[0][1].starts_at == T0 + 20 * MIN


async def test_a_long_pending_period_goes_on_after_the_restart() -> None:
    sink = FakeSink()
    before = Life(sink, hold=30)
    await before.at(0)
    await before.at(10)
    after = Life(sink, hold=30)
    assert await after.at(15) is State.PENDING
    assert await after.at(34) is State.PENDING
    assert await after.at(35) is State.FIRING


async def test_an_alert_that_comes_in_the_second_round_is_restored_but_not_in_the_third() -> None:
    sink = FakeSink()
    before = Life(sink, hold=5)
    for minute in range(7):
        await before.at(minute)
    second, third = Life(sink, hold=5), Life(sink, hold=5)
    up = dict(second.queries.answers)
    for life, rounds in ((second, 1), (third, 2)):
        life.queries.answers["down"] = ()
        for minute in range(rounds):
            await life.at(10 + minute)
        life.queries.answers["down"] = up["down"]
    assert await second.at(11) is State.FIRING
    assert await third.at(12) is State.PENDING


async def test_an_alert_that_had_ended_before_the_restart_is_not_restored() -> None:
    sink = FakeSink()
    before = Life(sink, hold=5)
    for minute in range(7):
        await before.at(minute)
    before.queries.answers["down"] = ()
    await before.at(7)
    assert await Life(sink, hold=5).at(8) is State.PENDING


async def test_an_outage_beyond_the_tolerance_restores_nothing() -> None:
    sink = FakeSink()
    before = Life(sink, hold=5)
    for minute in range(7):
        await before.at(minute)
    assert await Life(sink, hold=5).at(70) is State.PENDING


async def test_a_store_that_is_not_ready_is_asked_again_in_the_second_round() -> None:
    sink = FakeSink()
    before = Life(sink, hold=5)
    for minute in range(7):
        await before.at(minute)
    after = Life(sink, hold=5, failing=1)
    after.queries.answers["down"], found = (), after.queries.answers["down"]
    await after.at(8)
    after.queries.answers["down"] = found
    assert await after.at(9) is State.FIRING


async def test_a_store_that_never_answers_does_not_stop_evaluation() -> None:
    after = Life(FakeSink(), hold=0, failing=9)
    for minute in range(4):
        assert await after.at(minute) is State.FIRING
    assert [expr for _, expr, _ in after.queries.asked].count(LAST) == 2


async def test_a_clock_that_was_put_back_restores_nothing() -> None:
    sink = FakeSink()
    life = Life(sink, hold=5)
    life.queries.answers[LAST] = [Sample(Labels(), 0, (T0 + MIN).timestamp())]
    assert await life.at(0) is State.PENDING
