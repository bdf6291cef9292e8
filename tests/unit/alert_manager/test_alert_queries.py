"""Views of a tenant's state, computed at query time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tocsin.alert_manager.apply import apply
from tocsin.alert_manager.config import (
    InhibitRuleConfig,
    IntervalConfig,
    RouteConfig,
    TimeIntervalConfig,
    compile_config,
)
from tocsin.alert_manager.grouping import alert_order, label_order
from tocsin.alert_manager.matcher_syntax import MatcherMode, parse_matcher
from tocsin.alert_manager.queries import alert_views, group_views, silence_views, status_of
from tocsin.alert_manager.silence import Silence, SilenceMatcher, Silences, SilenceState
from tocsin.alert_manager.state import TenantState
from tocsin.alert_manager.views import AlertFilter, AlertView
from tocsin.model.alert import AlertState
from tocsin.model.events import EntryKind, LogEntry, LoggedEntry
from tocsin.model.labels import Labels
from tocsin.model.pattern import pattern
from tocsin.model.tenant import TenantId

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
CONFIG = compile_config(
    RouteConfig(
        receiver="team",
        group_by=("zone",),
        routes=(
            RouteConfig(receiver="night", matchers=("when=night",), mute_time_intervals=("all",)),
            RouteConfig(receiver="first", matchers=("both=yes",), proceed=True, labels={"r": 1}),
            RouteConfig(receiver="a-second", matchers=("both=yes",)),
        ),
    ),
    receivers={"team": (), "night": (), "first": (), "a-second": ()},
    hash="v1",
    inhibit_rules=[InhibitRuleConfig(source_matchers=("name=down",), target_matchers=("name=t",))],
    time_intervals=[TimeIntervalConfig(name="all", time_intervals=(IntervalConfig(),))],
)


def a_state(*alerts: dict[str, Any]) -> TenantState:
    state = TenantState(TenantId("acme"), CONFIG)
    silence = Silence(
        "s1", (SilenceMatcher("name", "s", is_regex=False),), NOW - HOUR, NOW + HOUR, NOW
    )
    state.silences = Silences([silence])
    body = [{"labels": labels} for labels in alerts]
    entry = LogEntry(EntryKind.ALERTS, NOW, json.dumps(body).encode())
    assert not apply(state, [LoggedEntry(1, entry)]).skipped
    return state


EVERYTHING = a_state({"name": "a"}, {"name": "s"}, {"name": "t"}, {"name": "down"})


def names(views: list[AlertView]) -> set[str]:
    return {v.alert.labels.value("name") for v in views}


def asked(**wanted: Any) -> set[str]:
    return names(alert_views(EVERYTHING, NOW, AlertFilter(**wanted)))


def test_suppressed_alerts_say_by_what() -> None:
    views = {v.alert.labels.value("name"): v for v in alert_views(EVERYTHING, NOW, AlertFilter())}
    assert {n: v.state for n, v in views.items()} == {
        "a": AlertState.ACTIVE,
        "down": AlertState.ACTIVE,
        "s": AlertState.SUPPRESSED,
        "t": AlertState.SUPPRESSED,
    }
    assert views["s"].silenced_by == ("s1",)
    assert views["t"].inhibited_by == (views["down"].fingerprint,)


def test_flags_exclude_what_they_name() -> None:
    assert asked() == {"a", "s", "t", "down"}
    assert asked(active=False) == {"s", "t"}
    assert asked(silenced=False) == {"a", "t", "down"}
    assert asked(inhibited=False) == {"a", "s", "down"}
    assert asked(active=False, silenced=False, inhibited=False) == set()
    assert asked(unprocessed=False) == {"a", "s", "t", "down"}


def test_matchers_and_receivers_filter() -> None:
    matchers = tuple(
        parse_matcher(text, MatcherMode.FALLBACK) for text in ("name=~a|s", 'x=""', "name!=s")
    )
    assert asked(matchers=matchers) == {"a"}
    assert asked(receiver=pattern("te.m")) == {"a", "s", "t", "down"}
    assert asked(receiver=pattern("tea")) == set()


def test_alerts_are_sorted_by_fingerprint_and_ended_ones_left_out() -> None:
    found = [v.fingerprint for v in alert_views(EVERYTHING, NOW, AlertFilter())]
    assert found == sorted(found)
    assert alert_views(EVERYTHING, NOW + HOUR, AlertFilter()) == []
    assert group_views(EVERYTHING, NOW + HOUR, AlertFilter()) == []


def test_groups_are_sorted_by_labels_then_receiver_and_name_all_receivers() -> None:
    state = a_state({"both": "yes", "zone": "b"}, {"zone": "a"}, {"zone": "b"}, {"x": "y"})
    found = group_views(state, NOW, AlertFilter())
    assert [(dict(g.labels), g.receiver) for g in found] == [
        ({}, "team"),
        ({"zone": "a"}, "team"),
        ({"zone": "b"}, "a-second"),
        ({"zone": "b"}, "first"),
        ({"zone": "b"}, "team"),
    ]
    assert found[2].alerts[0].receivers == ("a-second", "first")
    assert [dict(g.route_labels) for g in found][3] == {"r": "1"}
    assert found[3].group_key == '{}/{both="yes"}:{zone="b"}'
    only = group_views(state, NOW, AlertFilter(receiver=pattern("first")))
    assert [g.receiver for g in only] == ["first"]


def test_muted_groups_say_so_and_can_be_left_out() -> None:
    state = a_state({"when": "night"})
    (group,) = group_views(state, NOW, AlertFilter())
    assert group.alerts[0].muted_by == ("all",)
    assert group.alerts[0].state is AlertState.SUPPRESSED
    assert group_views(state, NOW, AlertFilter(muted=False)) == []


def test_groups_whose_alerts_are_all_filtered_out_are_left_out() -> None:
    only_silenced = a_state({"name": "s", "zone": "z"}, {"name": "a"})
    found = group_views(only_silenced, NOW, AlertFilter(silenced=False))
    assert [dict(g.labels) for g in found] == [{}]


def test_silences_come_in_the_order_of_the_api() -> None:
    def made(name: str, start: int, end: int) -> Silence:
        matcher = SilenceMatcher("a", "x", is_regex=False)
        return Silence(name, (matcher,), NOW + start * HOUR, NOW + end * HOUR, NOW)

    state = TenantState(TenantId("acme"))
    state.silences = Silences(
        [
            *(made("e1", -9, -3), made("e2", -9, -1), made("p1", 5, 9), made("p2", 2, 9)),
            *(made("a1", -1, 9), made("a2", -1, 1)),
        ]
    )
    every = silence_views(state, NOW, matchers=(), states=SilenceState)
    assert [v.silence.id for v in every] == ["a2", "a1", "p2", "p1", "e2", "e1"]
    same = (parse_matcher("a=x", MatcherMode.FALLBACK),)
    pending = silence_views(state, NOW, matchers=same, states=[SilenceState.PENDING])
    assert [v.silence.id for v in pending] == ["p2", "p1"]
    other = (parse_matcher("a=~x", MatcherMode.FALLBACK),)
    assert silence_views(state, NOW, matchers=other, states=SilenceState) == []


def test_the_status_counts_every_alert_once() -> None:
    status = status_of(EVERYTHING, NOW, applied_seq=7)
    assert (status.firing, status.suppressed, status.resolved) == (2, 2, 0)
    assert (status.applied_seq, status.config_hash, status.groups) == (7, "v1", 1)
    assert status.silences[SilenceState.ACTIVE] == 1
    assert status_of(EVERYTHING, NOW + HOUR, applied_seq=7).resolved == 4


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"a": "1"}),
        ({"z": "1"}, {"a": "1", "b": "1"}),
        ({"a": "1"}, {"a": "2"}),
        ({"b": "1"}, {"a": "1"}),
    ],
)
def test_label_sets_are_ordered_as_prometheus_does(
    first: dict[str, str], second: dict[str, str]
) -> None:
    a, b = Labels.of(first), Labels.of(second)
    assert label_order(a) < label_order(b)
    assert not label_order(b) < label_order(a)
    assert not label_order(a) < label_order(a)


def test_alerts_of_a_group_are_ordered_by_job_instance_and_labels() -> None:
    ordered = [
        {"job": "a", "instance": "1"},
        {"job": "a", "instance": "2"},
        {"job": "a"},
        {"job": "b", "instance": "1"},
        {"instance": "1"},
        {"x": "1"},
        {"x": "2"},
    ]
    sets = [Labels.of(pairs) for pairs in ordered]
    assert sorted([*sets[3:], *sets[:3]], key=alert_order) == sets
