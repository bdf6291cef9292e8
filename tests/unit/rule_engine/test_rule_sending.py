"""When alerts are sent, and what is said of them."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tocsin.model.alert import Alert
from tocsin.model.labels import EMPTY, Labels
from tocsin.rule_engine.active import ActiveAlerts
from tocsin.rule_engine.alerting import ActiveAlert, State, Timing
from tocsin.rule_engine.sending import Outgoing, Sender, generator_url, needs_sending

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MIN = timedelta(minutes=1)
A = Labels.of({"alertname": "A", "host": "a"})
B = Labels.of({"alertname": "A", "host": "b"})
FIRING = ActiveAlert(A, EMPTY, 1.0, State.FIRING, active_at=T0 - MIN, fired_at=T0)
RESOLVED = msgspec.structs.replace(FIRING, state=State.INACTIVE, resolved_at=T0 + MIN)
PENDING = msgspec.structs.replace(FIRING, labels=B, state=State.PENDING)


def sender(interval: timedelta = MIN, **external: str) -> Sender:
    return Sender(interval, MIN, Labels.of(external), "http://x/prometheus/")


class Post:
    """The alerts of one rule on their way out."""

    def __init__(self, *alerts: ActiveAlert, by: Sender | None = None) -> None:
        self.active = ActiveAlerts(Timing(MIN), words=lambda *_: None, before=alerts)
        self.outgoing = Outgoing(by or sender(), "up")
        self.outgoing.note(list(self.active.rows()))

    def due(self, at: datetime) -> list[Labels]:
        return [row.alert.labels for row in self.outgoing.due(self.active, now=at)]

    def sent(self, at: datetime) -> list[Labels]:
        rows = self.outgoing.due(self.active, now=at)
        self.outgoing.mark(rows, now=at)
        return [row.alert.labels for row in rows]

    def told(self, at: datetime) -> Alert:
        rows = self.outgoing.due(self.active, now=at)
        [alert] = self.outgoing.alerts(self.active, rows, now=at)
        return alert


def needed(alert: ActiveAlert, at: datetime) -> bool:
    return needs_sending(alert, now=at, delay=MIN)


def test_a_pending_alert_is_never_sent() -> None:
    assert not needed(PENDING, T0)


def test_a_firing_alert_is_sent_at_once_and_then_each_minute() -> None:
    assert needed(FIRING, T0)
    sent = msgspec.structs.replace(FIRING, last_sent_at=T0)
    assert not needed(sent, T0 + timedelta(seconds=59))
    assert needed(sent, T0 + MIN)


def test_a_resolution_is_sent_at_once_and_then_repeated() -> None:
    told = msgspec.structs.replace(RESOLVED, last_sent_at=T0 + timedelta(seconds=50))
    assert needed(told, T0 + MIN)
    told = msgspec.structs.replace(RESOLVED, last_sent_at=T0 + MIN)
    assert not needed(told, T0 + MIN)
    assert needed(told, T0 + 2 * MIN)


@pytest.mark.parametrize(("interval_s", "valid_s"), [(15, 240), (60, 240), (300, 1200)])
def test_a_firing_alert_ends_four_intervals_ahead(interval_s: int, valid_s: int) -> None:
    alert = Post(FIRING, by=sender(timedelta(seconds=interval_s))).told(T0)
    assert alert.ends_at == T0 + timedelta(seconds=valid_s)
    assert alert.starts_at == T0
    assert alert.updated_at == T0
    assert not alert.timeout


def test_a_resolved_alert_ends_when_it_was_resolved() -> None:
    assert Post(RESOLVED).told(T0 + 9 * MIN).ends_at == T0 + MIN


def test_external_labels_are_added_where_the_alert_has_none() -> None:
    post = Post(FIRING, by=sender(region="eu", host="no"))
    first, again = post.told(T0), post.told(T0)
    assert dict(first.labels) == {"alertname": "A", "host": "a", "region": "eu"}
    assert first.labels is again.labels


def test_the_generator_url_opens_the_expression_as_a_table() -> None:
    url = generator_url("http://x/prometheus/", 'up{job="a b"} == 0')
    assert url == "http://x/prometheus/graph?g0.expr=up%7Bjob%3D%22a+b%22%7D+%3D%3D+0&g0.tab=1"


def test_only_what_is_due_goes_out() -> None:
    assert Post(msgspec.structs.replace(FIRING, last_sent_at=T0)).due(T0) == []
    assert Post(FIRING, PENDING).due(T0) == [A]


def test_what_was_not_marked_is_due_again() -> None:
    post = Post(FIRING)
    assert post.due(T0) == [A]
    assert post.sent(T0) == [A]
    assert post.due(T0) == []
    assert post.due(T0 + MIN) == [A]


def test_what_was_told_before_a_reload_is_due_when_it_would_have_been() -> None:
    post = Post(msgspec.structs.replace(FIRING, last_sent_at=T0))
    assert post.due(T0 + timedelta(seconds=59)) == []
    assert post.due(T0 + MIN) == [A]


def test_an_alert_that_was_told_twice_is_due_once() -> None:
    post = Post(FIRING)
    assert post.sent(T0) == [A]
    assert post.sent(T0 + MIN) == [A]
    assert post.due(T0 + MIN + timedelta(seconds=1)) == []
    assert post.due(T0 + 2 * MIN) == [A]


def test_a_clock_that_is_put_back_does_not_hold_later_alerts_up() -> None:
    other = msgspec.structs.replace(FIRING, labels=B)
    post = Post(FIRING)
    assert post.sent(T0) == [A]
    late = Post(other)
    [row] = late.active.rows()
    post.active = late.active
    post.outgoing.note([row])
    assert post.sent(T0 - 60 * MIN) == [B]
    assert post.due(T0 - 59 * MIN) == [B]


def test_a_resolution_told_before_its_own_time_is_due_until_the_clock_is_there() -> None:
    post = Post(RESOLVED)
    assert post.sent(T0) == [A]
    assert post.sent(T0 + timedelta(seconds=30)) == [A]
    assert post.sent(T0 + MIN) == [A]
    assert post.due(T0 + timedelta(seconds=90)) == []
