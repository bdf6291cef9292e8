"""The webhook payload is Alertmanager's, byte for byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec

from tocsin.model.alert import Phase
from tocsin.model.labels import Labels
from tocsin.model.notification import NotifiedAlert, Reason
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.fakes import START, a_notification, an_alert
from tocsin.notification_dispatcher.payload import payload

URL = "http://tocsin.test:9093"


def resolved(name: str) -> NotifiedAlert:
    ended = START + timedelta(microseconds=120_000)
    return msgspec.structs.replace(an_alert(name), status=Phase.RESOLVED, ends_at=ended)


def test_every_byte_is_where_alertmanager_puts_it() -> None:
    alert = NotifiedAlert(
        status=Phase.FIRING,
        labels=Labels.of({"b": "2", "alertname": "a<b&c>d"}),
        annotations=Labels.of({"summary": "é\u2028"}),
        starts_at=datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC),
        ends_at=None,
        fingerprint="0123456789abcdef",
        generator_url="http://p/g?a=1&b=2",
    )
    told = msgspec.structs.replace(
        a_notification(alerts=(alert,)),
        receiver="a.b",
        group_key="{}:{}",
        route_labels=Labels.of({"owner": "db"}),
        group_labels=Labels.of({"alertname": "a<b&c>d"}),
    )
    expected = (
        '{"receiver":"a\\\\.b","status":"firing","alerts":[{"status":"firing",'
        '"labels":{"alertname":"a\\u003cb\\u0026c\\u003ed","b":"2"},'
        '"annotations":{"summary":"é\\u2028"},"startsAt":"2026-01-02T03:04:05.6Z",'
        '"endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/g?a=1\\u0026b=2",'
        '"fingerprint":"0123456789abcdef"}],"notification_reason":"first_notification",'
        '"groupLabels":{"alertname":"a\\u003cb\\u0026c\\u003ed"},'
        '"commonLabels":{"alertname":"a\\u003cb\\u0026c\\u003ed","b":"2"},'
        '"commonAnnotations":{"summary":"é\\u2028"},"routeLabels":{"owner":"db"},'
        '"externalURL":"http://tocsin.test:9093","version":"4","groupKey":"{}:{}",'
        '"truncatedAlerts":0}\n'
    )
    assert payload(told, external_url=URL).decode() == expected


def test_a_group_is_resolved_only_when_all_its_alerts_are() -> None:
    mixed = a_notification(alerts=(resolved("a"), an_alert("b")))
    done = a_notification(alerts=(resolved("a"), resolved("b")))
    assert json.loads(payload(mixed, external_url=URL))["status"] == "firing"
    assert json.loads(payload(done, external_url=URL))["status"] == "resolved"
    assert json.loads(payload(done, external_url=URL))["alerts"][0]["endsAt"] == (
        "2026-01-01T00:00:00.12Z"
    )


def test_too_many_alerts_are_cut_and_everything_follows_from_those_kept() -> None:
    told = a_notification(alerts=(resolved("a"), an_alert("b"), an_alert("c")))
    body = json.loads(payload(told, external_url=URL, max_alerts=1))
    assert [a["labels"]["alertname"] for a in body["alerts"]] == ["a"]
    assert body["truncatedAlerts"] == 2
    assert body["status"] == "resolved"
    assert body["commonLabels"]["alertname"] == "a"


def test_a_limit_that_is_not_reached_cuts_nothing() -> None:
    told = a_notification(alerts=(an_alert("a"), an_alert("b")))
    assert json.loads(payload(told, external_url=URL, max_alerts=2))["truncatedAlerts"] == 0


def test_only_what_all_alerts_share_is_common() -> None:
    told = a_notification(alerts=(an_alert("a", x="1"), an_alert("b", x="1")))
    body = json.loads(payload(told, external_url=URL))
    assert body["commonLabels"] == {"severity": "critical", "x": "1"}
    assert body["commonAnnotations"] == {}


def test_the_reason_is_told() -> None:
    told = msgspec.structs.replace(a_notification(TenantId("acme")), reason=Reason.REPEAT)
    assert json.loads(payload(told, external_url=URL))["notification_reason"] == "repeat_interval"
