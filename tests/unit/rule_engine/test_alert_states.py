"""Pending, firing, resolved: what an alert goes through, by value."""

from datetime import UTC, datetime, timedelta

import pytest

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import EMPTY, Labels
from tocsin.rule_engine.alerting import (
    RESOLVED_RETENTION,
    ActiveAlert,
    AlertSeries,
    Seen,
    State,
    Timing,
    alert_labels,
    by_labels,
    check_limit,
    resolve_all,
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


def test_two_elements_with_the_same_alert_labels_are_an_error() -> None:
    element = Seen(EMPTY, 1)
    with pytest.raises(InvalidInput, match="same labelset after applying alert labels"):
        by_labels([(A, element), (A, element)])


def test_the_limit_counts_pending_and_firing_alerts_but_not_resolved_ones() -> None:
    history = History(AT_ONCE).at(0, A, B).at(1, A)
    check_limit(history.active, 1)
    check_limit(history.active, 0)
    check_limit(history.active, -1)
    history.at(2, A, B)
    with pytest.raises(InvalidInput, match="exceeded limit of 1 with 2 alerts"):
        check_limit(history.active, 1)


def test_a_rule_that_is_gone_resolves_what_fires_and_forgets_what_is_pending() -> None:
    history = History(HOLD).at(0, A).at(4, A, B).at(5, A, B)
    ended = resolve_all(history.active, now=T0 + 6 * MIN)
    assert list(ended) == [A]
    assert ended[A].resolved_at == T0 + 6 * MIN


def test_alerts_are_written_with_their_state_and_since_when() -> None:
    history = History(HOLD).at(0, A).at(4, A, B).at(5, A, B)
    labels, values = AlertSeries().render(history.active)
    assert dict(zip(labels, values, strict=True)) == {
        A.merged({"__name__": "ALERTS", "alertstate": "firing"}): 1,
        A.merged({"__name__": "ALERTS_FOR_STATE"}): T0.timestamp(),
        B.merged({"__name__": "ALERTS", "alertstate": "pending"}): 1,
        B.merged({"__name__": "ALERTS_FOR_STATE"}): T0.timestamp() + 240,
    }


def test_resolved_alerts_are_not_written() -> None:
    history = History(AT_ONCE).at(0, A).at(1)
    labels, values = AlertSeries().render(history.active)
    assert (labels, values.tolist()) == ((), [])


def test_a_steady_rule_gives_the_same_label_objects_again() -> None:
    series, history = AlertSeries(), History(AT_ONCE).at(0, A)
    first, _ = series.render(history.active)
    again, _ = series.render(history.at(1, A).active)
    assert all(one is other for one, other in zip(first, again, strict=True))


def test_rule_labels_lie_over_those_of_the_element_and_the_name_goes() -> None:
    metric = Labels.of({"__name__": "up", "job": "x", "team": "old", "alertname": "no"})
    made = alert_labels(metric, {"team": "db", "job": ""}, name="Down")
    assert dict(made) == {"alertname": "Down", "team": "db"}
