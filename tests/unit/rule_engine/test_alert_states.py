"""Pending, firing, resolved: what an alert goes through, by value."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import EMPTY, Labels
from tocsin.rule_engine.alerting import (
    RESOLVED_RETENTION,
    ActiveAlert,
    Seen,
    State,
    Timing,
    alert_labels,
    check_limit,
    next_change,
    resolve_all,
    same_value,
    series_of,
    since_seconds,
    to_us,
    transition,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MIN = timedelta(minutes=1)
A = Labels.of({"alertname": "A", "host": "a"})
B = Labels.of({"alertname": "A", "host": "b"})
HOLD = Timing(5 * MIN)
AT_ONCE = Timing(timedelta(0))


def seen(*labels: Labels, value: float = 1.0) -> dict[Labels, Seen]:
    return {each: Seen(EMPTY, value) for each in labels}


class History:
    """One rule over time."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.active: dict[Labels, ActiveAlert] = {}

    def at(self, minutes: float, *labels: Labels, value: float = 1.0) -> "History":
        now = T0 + minutes * MIN
        found = seen(*labels, value=value)
        self.active = transition(self.active, found, now=now, timing=self.timing)
        return self

    def state(self, labels: Labels = A) -> State | None:
        alert = self.active.get(labels)
        return alert.state if alert else None


def test_an_alert_fires_once_its_condition_held_for_the_whole_period() -> None:
    history = History(HOLD).at(0, A)
    assert history.state() is State.PENDING
    assert history.at(4.99, A).state() is State.PENDING
    assert history.at(5, A).state() is State.FIRING
    assert history.active[A].active_at == T0
    assert history.active[A].fired_at == T0 + 5 * MIN


def test_a_gap_restarts_the_pending_period() -> None:
    history = History(HOLD).at(0, A).at(4)
    assert history.state() is None
    assert history.at(5, A).state() is State.PENDING
    assert history.active[A].active_at == T0 + 5 * MIN


def test_for_zero_fires_at_once() -> None:
    assert History(AT_ONCE).at(0, A).state() is State.FIRING


def test_a_firing_alert_resolves_when_its_condition_clears() -> None:
    history = History(AT_ONCE).at(0, A).at(1)
    assert history.state() is State.INACTIVE
    assert history.active[A].resolved_at == T0 + MIN


def test_a_resolved_alert_is_remembered_for_fifteen_minutes() -> None:
    history = History(AT_ONCE).at(0, A).at(1).at(16)
    assert history.state() is State.INACTIVE
    assert history.active[A].resolved_at == T0 + MIN
    assert history.at(16.1).state() is None
    assert timedelta(minutes=15) == RESOLVED_RETENTION


def test_a_resolved_alert_that_comes_back_begins_anew() -> None:
    history = History(HOLD).at(0, A).at(5, A).at(6).at(7, A)
    assert history.state() is State.PENDING
    assert history.active[A].resolved_at is None
    assert history.at(12, A).active[A].fired_at == T0 + 12 * MIN


def test_keep_firing_for_bridges_a_gap() -> None:
    history = History(Timing(timedelta(0), keep_firing_for=5 * MIN)).at(0, A).at(1).at(5.9)
    assert history.state() is State.FIRING
    assert history.active[A].keep_firing_since == T0 + MIN
    assert history.at(6).state() is State.INACTIVE


def test_a_condition_that_returns_ends_the_keeping() -> None:
    history = History(Timing(timedelta(0), keep_firing_for=5 * MIN)).at(0, A).at(1).at(2, A)
    assert history.active[A].keep_firing_since is None
    assert history.at(3).at(7.9).state() is State.FIRING


def test_keep_firing_for_does_not_hold_a_pending_alert() -> None:
    assert History(Timing(5 * MIN, keep_firing_for=5 * MIN)).at(0, A).at(1).state() is None


def test_alerts_of_a_rule_live_apart() -> None:
    history = History(HOLD).at(0, A).at(2, A, B).at(5, A, B)
    assert (history.state(A), history.state(B)) == (State.FIRING, State.PENDING)


def test_value_and_annotations_follow_the_condition() -> None:
    history = History(HOLD).at(0, A, value=1).at(1, A, value=2)
    assert history.active[A].value == 2
    history.at(2)
    assert history.state() is None


def test_the_limit_allows_exactly_that_many() -> None:
    check_limit(1, 1)
    check_limit(9, 0)
    check_limit(9, -1)
    with pytest.raises(InvalidInput, match="exceeded limit of 1 with 2 alerts"):
        check_limit(2, 1)


def test_a_rule_that_is_gone_resolves_what_fires_and_forgets_what_is_pending() -> None:
    history = History(HOLD).at(0, A).at(4, A, B).at(5, A, B)
    [ended] = resolve_all(history.active.values(), now=T0 + 6 * MIN)
    assert (ended.labels, ended.resolved_at) == (A, T0 + 6 * MIN)


def test_an_alert_is_written_with_its_state_and_since_when() -> None:
    alert = History(HOLD).at(0, A).at(4, A).active[A]
    assert series_of(alert) == (
        A.merged({"__name__": "ALERTS", "alertstate": "pending"}),
        A.merged({"__name__": "ALERTS_FOR_STATE"}),
    )
    assert since_seconds(alert) == T0.timestamp()


def test_a_resolved_alert_is_not_written() -> None:
    assert series_of(History(AT_ONCE).at(0, A).at(1).active[A]) == ()


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(History(HOLD).at(0, A), 5 * MIN, id="pending"),
        pytest.param(History(AT_ONCE).at(0, A), None, id="firing"),
        pytest.param(History(Timing(0 * MIN, 7 * MIN)).at(0, A).at(1), 8 * MIN, id="kept"),
        pytest.param(
            History(AT_ONCE).at(0, A).at(1), 16 * MIN + timedelta(microseconds=1), id="resolved"
        ),
    ],
)
def test_when_an_alert_changes_by_itself(history: History, expected: timedelta | None) -> None:
    due = next_change(history.active[A], history.timing)
    assert due == (None if expected is None else to_us(T0 + expected))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(1, 1, True), (1, 2, False), (0.0, -0.0, False), (math.nan, math.nan, True), (0, 1, False)],
)
def test_values_are_the_same_when_they_read_alike(one: float, other: float, same: bool) -> None:  # noqa: FBT001
    assert same_value(one, other) is same


def test_rule_labels_lie_over_those_of_the_element_and_the_name_goes() -> None:
    metric = Labels.of({"__name__": "up", "job": "x", "team": "old", "alertname": "no"})
    made = alert_labels(metric, {"team": "db", "job": ""}, name="Down")
    assert dict(made) == {"alertname": "Down", "team": "db"}
