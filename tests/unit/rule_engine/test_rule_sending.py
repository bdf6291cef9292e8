"""When alerts are sent, and what is said of them."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tocsin.model.labels import EMPTY, Labels
from tocsin.rule_engine.alerting import ActiveAlert, State
from tocsin.rule_engine.sending import Sender, generator_url, mark_sent, needs_sending

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MIN = timedelta(minutes=1)
A = Labels.of({"alertname": "A", "host": "a"})
FIRING = ActiveAlert(A, EMPTY, 1.0, State.FIRING, active_at=T0 - MIN, fired_at=T0)
RESOLVED = msgspec.structs.replace(FIRING, state=State.INACTIVE, resolved_at=T0 + MIN)


def sender(interval: timedelta = MIN, **external: str) -> Sender:
    return Sender(interval, MIN, Labels.of(external), "http://x/prometheus/")


def due(alert: ActiveAlert, at: datetime) -> bool:
    return needs_sending(alert, now=at, delay=MIN)


def test_a_pending_alert_is_never_sent() -> None:
    assert not due(msgspec.structs.replace(FIRING, state=State.PENDING), T0)


def test_a_firing_alert_is_sent_at_once_and_then_each_minute() -> None:
    assert due(FIRING, T0)
    sent = msgspec.structs.replace(FIRING, last_sent_at=T0)
    assert not due(sent, T0 + timedelta(seconds=59))
    assert due(sent, T0 + MIN)


def test_a_resolution_is_sent_at_once_and_then_repeated() -> None:
    told = msgspec.structs.replace(RESOLVED, last_sent_at=T0 + timedelta(seconds=50))
    assert due(told, T0 + MIN)
    told = msgspec.structs.replace(RESOLVED, last_sent_at=T0 + MIN)
    assert not due(told, T0 + MIN)
    assert due(told, T0 + 2 * MIN)


def test_marking_leaves_other_alerts_alone() -> None:
    other = msgspec.structs.replace(FIRING, labels=Labels.of({"alertname": "B"}))
    after = mark_sent({A: FIRING, other.labels: other}, [FIRING], now=T0)
    assert after[A].last_sent_at == T0
    assert after[other.labels] is other


@pytest.mark.parametrize(("interval_s", "valid_s"), [(15, 240), (60, 240), (300, 1200)])
def test_a_firing_alert_ends_four_intervals_ahead(interval_s: int, valid_s: int) -> None:
    alert = sender(timedelta(seconds=interval_s)).outgoing(FIRING, "up", now=T0)
    assert alert.ends_at == T0 + timedelta(seconds=valid_s)
    assert alert.starts_at == T0
    assert alert.updated_at == T0
    assert not alert.timeout


def test_a_resolved_alert_ends_when_it_was_resolved() -> None:
    assert sender().outgoing(RESOLVED, "up", now=T0 + 9 * MIN).ends_at == T0 + MIN


def test_external_labels_are_added_where_the_alert_has_none() -> None:
    alert = sender(region="eu", host="no").outgoing(FIRING, "up", now=T0)
    assert dict(alert.labels) == {"alertname": "A", "host": "a", "region": "eu"}


def test_the_generator_url_opens_the_expression_as_a_table() -> None:
    url = generator_url("http://x/prometheus/", 'up{job="a b"} == 0')
    assert url == "http://x/prometheus/graph?g0.expr=up%7Bjob%3D%22a+b%22%7D+%3D%3D+0&g0.tab=1"


def test_only_what_is_due_goes_out() -> None:
    told = msgspec.structs.replace(FIRING, last_sent_at=T0)
    assert sender().due({A: told}, now=T0) == []
    assert sender().due({A: FIRING}, now=T0) == [FIRING]
