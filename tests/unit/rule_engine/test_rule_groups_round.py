"""One round of a rule group: rules in order, series written, alerts sent, failures survived."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tocsin.model.errors import LimitExceeded, Unreachable
from tocsin.model.labels import Labels
from tocsin.model.sample import Sample, is_stale
from tocsin.model.settings import from_scalar
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.rule_engine.alerting import State
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.rule_engine.definition import RuleKind, groups_of
from tocsin.rule_engine.fakes import FakeDoor, FakeQueries, FakeSink, answer_of
from tocsin.rule_engine.group import GroupRun, GroupSpec, Neighbours
from tocsin.rule_engine.group_series import NAMES
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.restore import HEARTBEAT
from tocsin.rule_engine.views import Health
from tocsin.telemetry.metrics import Registry

ACME = tenant_id("acme")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
T0_MS = int(T0.timestamp() * 1000)
MIN = timedelta(minutes=1)
HOST_A = Labels.of({"host": "a"})
DOWN_A = Labels.of({"alertname": "Down", "host": "a"})
DOWN = {"alert": "Down", "expr": "down", "for": "2m"}


class House:
    """A rule group between a fake store and a fake door."""

    def __init__(self, *rules: dict[str, Any], **keys: Any) -> None:
        self.queries = FakeQueries()
        self.sink = FakeSink()
        self.door = FakeDoor()
        self.registry = Registry(version="0")
        self._near = Neighbours(self.queries, self.sink, self.door, RuleInstruments(self.registry))
        self.run = self.make(*rules, **keys)

    def make(self, *rules: dict[str, Any], **keys: Any) -> GroupRun:
        raw = {"groups": [{"name": "g", "rules": list(rules), **keys}]}
        file = msgspec.convert(raw, RuleFile, dec_hook=from_scalar)
        [group] = groups_of({"f": file}, RuleSettings())
        return GroupRun(GroupSpec(ACME, group, RuleSettings(), "http://x"), self._near)

    def says(self, expr: str, **hosts: float) -> None:
        self.queries.answers[expr] = [
            Sample(Labels.of({"host": host}), 0, value) for host, value in hosts.items()
        ]

    async def at(self, minutes: float) -> None:
        await self.run.evaluate(T0 + minutes * MIN)

    def count(self, name: str, **labels: str) -> float:
        value = self.registry.collectors.get_sample_value(name, {"tenant": ACME, **labels})
        return value or 0.0

    def written(self, name: str, **labels: str) -> list[tuple[float, float | str]]:
        """Return (minute, value) of one series; an end is "stale"."""
        points = self.sink.named(ACME, name).get(Labels.of(labels), [])
        return [((ts - T0_MS) / 60_000, "stale" if is_stale(v) else v) for ts, v in points]


async def test_an_alert_is_pending_then_firing_then_resolved_and_each_is_written() -> None:
    house = House(DOWN)
    house.says("down", a=1)
    for minute in range(3):
        await house.at(minute)
    house.says("down")
    await house.at(3)
    pending = {"alertname": "Down", "host": "a", "alertstate": "pending"}
    assert house.written("ALERTS", **pending) == [(0, 1), (1, 1), (2, "stale")]
    firing = {**pending, "alertstate": "firing"}
    assert house.written("ALERTS", **firing) == [(2, 1), (3, "stale")]
    since = house.written("ALERTS_FOR_STATE", alertname="Down", host="a")
    assert since == [*((m, T0.timestamp()) for m in range(3)), (3, "stale")]


async def test_firing_and_resolution_go_through_the_door() -> None:
    house = House(DOWN)
    house.says("down", a=1)
    for minute in range(3):
        await house.at(minute)
    house.says("down")
    await house.at(3)
    (who, firing), (_, resolved) = house.door.received
    assert who == ACME
    assert firing.labels == DOWN_A
    assert (firing.starts_at, firing.ends_at) == (T0 + 2 * MIN, T0 + 6 * MIN)
    assert firing.generator_url == "http://x/graph?g0.expr=down&g0.tab=1"
    assert (resolved.starts_at, resolved.ends_at) == (T0 + 2 * MIN, T0 + 3 * MIN)
    assert house.count("tocsin_rule_alerts_sent_total") == 2


async def test_a_firing_alert_is_sent_each_minute_and_a_resolved_one_for_fifteen() -> None:
    house = House({**DOWN, "for": "0s"})
    house.says("down", a=1)
    for half in range(5):
        await house.at(half / 2)
    assert len(house.door.received) == 3
    house.says("down")
    for minute in range(3, 22):
        await house.at(minute)
    ends = [alert.ends_at for _, alert in house.door.received[3:]]
    assert ends == [T0 + 3 * MIN] * 16


async def test_a_failed_query_keeps_the_alerts_and_they_go_on_being_sent() -> None:
    house = House({**DOWN, "for": "0s"})
    house.says("down", a=1)
    await house.at(0)
    house.queries.answers["down"] = Unreachable("no answer")
    await house.at(1)
    [rule] = house.run.view().rules
    assert (rule.health, rule.last_error, rule.state) == (Health.ERR, "no answer", State.FIRING)
    assert [alert.ends_at for _, alert in house.door.received] == [T0 + 4 * MIN, T0 + 5 * MIN]
    assert house.written("ALERTS", alertname="Down", host="a", alertstate="firing") == [(0, 1)]
    assert house.count("tocsin_rule_evaluation_failures_total") == 1


async def test_a_rule_that_recovers_is_well_again() -> None:
    house = House(DOWN)
    house.queries.answers["down"] = LimitExceeded("too much")
    await house.at(0)
    await house.at(1)
    house.says("down")
    await house.at(2)
    [rule] = house.run.view().rules
    assert (rule.health, rule.last_error) == (Health.OK, "")
    assert rule.last_evaluation == T0 + 2 * MIN


async def test_alerts_the_door_refused_are_sent_at_the_next_evaluation() -> None:
    house = House({**DOWN, "for": "0s"})
    house.says("down", a=1)
    house.door.broken = True
    await house.at(0)
    assert house.count("tocsin_rule_alert_send_failures_total") == 1
    house.door.broken = False
    await house.at(0.25)
    assert [alert.labels for _, alert in house.door.received] == [DOWN_A]


async def test_what_a_rule_records_is_seen_by_the_rules_after_it() -> None:
    house = House(
        {"record": "r", "expr": "source", "labels": {"team": "db"}},
        {"alert": "High", "expr": "r"},
    )
    house.says("source", a=5)
    house.queries.answers["r"] = lambda tenant, _, at_ms: house.sink.current(
        tenant, "r", at_ms=at_ms
    )
    await house.at(0)
    [(_, alert)] = house.door.received
    assert dict(alert.labels) == {"alertname": "High", "host": "a", "team": "db"}
    assert house.written("r", host="a", team="db") == [(0, 5)]


async def test_a_recorded_series_that_is_gone_is_ended_but_not_by_a_failure() -> None:
    house = House({"record": "r", "expr": "source"})
    house.says("source", a=1, b=2)
    await house.at(0)
    house.queries.answers["source"] = Unreachable("gone fishing")
    await house.at(1)
    house.says("source", b=3)
    await house.at(2)
    assert house.written("r", host="a") == [(0, 1), (2, "stale")]
    assert house.written("r", host="b") == [(0, 2), (2, 3)]


async def test_past_the_limit_a_rule_fails_and_its_alerts_are_dropped() -> None:
    house = House({**DOWN, "for": "0s"}, {"record": "r", "expr": "down"}, limit=1)
    house.says("down", a=1, b=1)
    await house.at(0)
    alerting, recording = house.run.view().rules
    assert alerting.last_error == "exceeded limit of 1 with 2 alerts"
    assert recording.last_error == "exceeded limit of 1 with 2 series"
    assert alerting.alerts == ()
    assert house.door.received == []


async def test_the_query_offset_looks_back_and_writes_back() -> None:
    house = House({"record": "r", "expr": "source"}, DOWN, query_offset="1m")
    house.says("source", a=1)
    house.says("down", a=1)
    await house.at(5)
    assert {at_ms for *_, at_ms in house.queries.asked} == {T0_MS + 240_000}
    assert house.written("r", host="a") == [(4, 1)]
    [alert] = house.run.view().rules[1].alerts
    assert alert.active_at == T0 + 5 * MIN


async def test_refused_samples_are_an_error_but_the_alert_is_still_sent() -> None:
    house = House({**DOWN, "for": "0s"})
    house.says("down", a=1)
    house.sink.refuse = {"out_of_order": 2}
    await house.at(0)
    [rule] = house.run.view().rules
    assert rule.last_error == "samples refused: 2 out_of_order"
    assert len(house.door.received) == 1
    assert house.count("tocsin_rule_samples_refused_total", reason="out_of_order") == 4


async def test_a_store_that_fails_keeps_neither_alerts_nor_reloads_from_working() -> None:
    house = House({**DOWN, "for": "0s"})
    house.says("down", a=1)
    house.sink.broken = True
    await house.at(0)
    [rule] = house.run.view().rules
    assert rule.last_error == "samples not stored: the fake sink is broken"
    assert house.run.view().last_evaluation == T0
    await house.run.retire_all(now=T0 + MIN)
    assert len(house.door.received) == 2


async def test_a_bug_in_one_rule_does_not_stop_the_next() -> None:
    def broken(tenant: TenantId, expr: str, at_ms: int) -> list[Sample]:
        raise ZeroDivisionError(expr)

    house = House({"record": "r", "expr": "broken"}, {**DOWN, "for": "0s"})
    house.queries.answers["broken"] = broken
    house.says("down", a=1)
    await house.at(0)
    assert house.run.view().rules[0].last_error == "internal error: ZeroDivisionError"
    assert len(house.door.received) == 1


async def test_each_round_leaves_a_heartbeat() -> None:
    house = House(DOWN)
    await house.at(0)
    await house.at(1)
    beats = house.written(HEARTBEAT, rule_group="f;g")
    assert beats == [(0, T0.timestamp()), (1, T0.timestamp() + 60)]


async def test_a_group_tells_of_its_rounds_in_its_own_series() -> None:
    house = House(DOWN, {"record": "r", "expr": "source"}, interval="30s", query_offset="1m")
    house.says("down", a=1, b=1)
    house.queries.answers["source"] = Unreachable("gone fishing")
    await house.at(0)
    house.says("source", a=5)
    house.run.miss(2)
    await house.at(1)
    group = "f;g"
    told = {
        name.removeprefix("tocsin_rule_group_"): [
            v for _, v in house.written(name, rule_group=group)
        ]
        for name in NAMES
    }
    assert all(float(took) > 0 for took in told.pop("last_duration_seconds"))
    assert told == {
        "last_evaluation_samples": [4, 5],
        "interval_seconds": [30, 30],
        "rules": [2, 2],
        "rounds_total": [1, 4],
        "rounds_missed_total": [0, 2],
        "evaluations_total": [2, 4],
        "evaluation_failures_total": [1, 1],
    }
    assert house.written(HEARTBEAT, rule_group=group)[0] == (0, T0.timestamp())


async def test_the_counts_of_a_group_go_on_over_a_reload_and_end_with_it() -> None:
    house = House(DOWN)
    await house.at(0)
    before, house.run = house.run, house.make({**DOWN, "for": "9m"})
    house.run.adopt(before)
    assert house.run.view().last_evaluation == T0
    await house.at(1)
    await house.run.retire_all(now=T0 + 2 * MIN)
    name = "tocsin_rule_group_rounds_total"
    assert house.written(name, rule_group="f;g") == [(0, 1), (1, 2), (2, "stale")]


async def test_what_a_query_warns_of_is_shown_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House({"record": "r", "expr": "odd"})
    house.queries.answers["odd"] = answer_of([Sample(HOST_A, 0, 1.0)], warnings=("PromQL warning",))
    await house.at(0)
    await house.at(1)
    assert house.run.view().rules[0].warnings == ("PromQL warning",)
    assert house.run.view().rules[0].health is Health.OK
    assert house.count("tocsin_rule_evaluation_warnings_total") == 2
    assert [r.getMessage() for r in caplog.records] == ["Evaluating rule produced warnings"]
    house.says("odd", a=1)
    await house.at(2)
    assert house.run.view().rules[0].warnings == ()


async def test_a_vector_beyond_the_limit_is_not_rendered() -> None:
    house = House({**DOWN, "annotations": {"a": "{{ $value.nope }}"}}, limit=1)
    house.says("down", a=1, b=1)
    await house.at(0)
    assert house.count("tocsin_rule_template_failures_total") == 0
    house.says("down", a=1)
    await house.at(1)
    assert house.count("tocsin_rule_template_failures_total") == 1


async def test_an_alert_is_sent_with_the_value_of_the_newest_round() -> None:
    house = House({**DOWN, "for": "0s", "annotations": {"a": "{{ $value }}"}})
    for quarter in range(5):
        house.says("down", a=quarter)
        await house.at(quarter / 4)
    assert [dict(a.annotations) for _, a in house.door.received] == [{"a": "0"}, {"a": "4"}]


async def test_a_resolved_alert_keeps_the_value_it_had_last() -> None:
    house = House({**DOWN, "for": "0s", "annotations": {"a": "{{ $value }}"}})
    for quarter in range(3):
        house.says("down", a=quarter)
        await house.at(quarter / 4)
    house.says("down")
    await house.at(1)
    assert dict(house.door.received[-1][1].annotations) == {"a": "2"}


async def test_alerts_adopted_over_a_reload_are_sent_though_the_rule_fails() -> None:
    house = House({**DOWN, "for": "0s"})
    house.says("down", a=1)
    await house.at(0)
    before, house.run = house.run, house.make({**DOWN, "for": "0s", "expr": "broken"})
    house.run.adopt(before)
    house.queries.answers["broken"] = Unreachable("gone fishing")
    await house.at(1)
    assert len(house.door.received) == 2


async def test_the_view_shows_group_rules_and_alerts() -> None:
    house = House(
        {**DOWN, "labels": {"severity": "page"}, "annotations": {"a": "{{ $value }}"}},
        {"record": "r", "expr": "x"},
        interval="30s",
        limit=9,
    )
    house.says("down", a=3)
    before = house.run.view()
    assert before.last_evaluation is None
    assert before.rules[0].health is Health.UNKNOWN
    await house.at(0)
    view = house.run.view()
    assert (view.name, view.file, view.limit) == ("g", "f", 9)
    assert view.interval == timedelta(seconds=30)
    assert view.last_evaluation == T0
    alerting, recording = view.rules
    assert (alerting.kind, alerting.name, alerting.query) == (RuleKind.ALERTING, "Down", "down")
    assert (alerting.state, recording.state) == (State.PENDING, State.INACTIVE)
    assert dict(alerting.labels) == {"severity": "page"}
    [alert] = alerting.alerts
    assert dict(alert.annotations) == {"a": "3"}
    assert (alert.value, alert.active_at, alert.state) == (3, T0, State.PENDING)


async def test_a_reload_keeps_the_alerts_of_a_rule_whose_expression_changed() -> None:
    house = House(DOWN)
    house.says("down", a=1)
    await house.at(0)
    before, house.run = house.run, house.make({**DOWN, "expr": "down2", "for": "1m"})
    assert house.run.adopt(before) == []
    house.says("down2", a=1)
    await house.at(1)
    [alert] = house.run.view().rules[0].alerts
    assert (alert.active_at, alert.state) == (T0, State.FIRING)


async def test_an_edited_rule_that_no_longer_holds_sends_the_resolution() -> None:
    house = House({**DOWN, "for": "0s"})
    house.says("down", a=1)
    await house.at(0)
    before, house.run = house.run, house.make({**DOWN, "for": "0s", "expr": "never"})
    house.run.adopt(before)
    await house.at(1)
    assert house.door.received[-1][1].ends_at == T0 + MIN


async def test_a_rule_that_is_gone_ends_its_series_and_resolves_its_alerts() -> None:
    quiet = {"record": "quiet", "expr": "nothing"}
    house = House({**DOWN, "for": "0s"}, {"record": "r", "expr": "down"}, quiet)
    house.says("down", a=1)
    await house.at(0)
    before, house.run = house.run, house.make({"record": "other", "expr": "x"})
    gone = house.run.adopt(before)
    assert len(gone) == 3
    await house.run.retire(gone, now=T0 + MIN)
    assert house.door.received[-1][1].ends_at == T0 + MIN
    assert house.written("r", host="a") == [(0, 1), (1, "stale")]
    assert house.written("ALERTS_FOR_STATE", alertname="Down", host="a")[-1] == (1, "stale")


async def test_an_unchanged_rule_keeps_how_it_went_over_a_reload() -> None:
    house = House(DOWN)
    await house.at(0)
    after = house.make(DOWN, {"record": "r", "expr": "x"})
    after.adopt(house.run)
    kept, new = after.view().rules
    assert (kept.health, kept.last_evaluation) == (Health.OK, T0)
    assert new.health is Health.UNKNOWN
