"""POST /api/v2/alerts: defaults, best effort, and the answers of Alertmanager 0.25."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.alert_manager.answers import Malformed
from tocsin.alert_manager.fingerprint import fingerprint
from tocsin.alert_manager.ingest import Decoded, decode_alerts, encode_alerts
from tocsin.alert_manager.matcher_syntax import MatcherMode
from tocsin.model.alert import Alert
from tocsin.model.labels import Labels

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIVE_MIN = timedelta(minutes=5)
LABELS = {"alertname": "a"}


def decoded(body: bytes, mode: MatcherMode = MatcherMode.FALLBACK) -> Decoded | Malformed:
    return decode_alerts(body, now=NOW, resolve_timeout=FIVE_MIN, mode=mode)


def one(mode: MatcherMode = MatcherMode.FALLBACK, **alert: Any) -> Alert:
    found = decoded(json.dumps([{"labels": LABELS, **alert}]).encode(), mode)
    assert isinstance(found, Decoded)
    assert not found.problems
    (made,) = found.alerts
    return made


def problem(mode: MatcherMode = MatcherMode.FALLBACK, **alert: Any) -> str:
    found = decoded(json.dumps([{"labels": LABELS, **alert}]).encode(), mode)
    assert isinstance(found, Decoded)
    assert not found.alerts
    (told,) = found.problems
    return told


def test_without_times_an_alert_starts_now_and_ends_by_timeout() -> None:
    alert = one()
    assert (alert.starts_at, alert.ends_at) == (NOW, NOW + FIVE_MIN)
    assert alert.timeout
    assert alert.updated_at == NOW


def test_without_a_start_an_alert_starts_when_it_ends() -> None:
    alert = one(endsAt="2026-01-01T11:00:00Z")
    assert alert.starts_at == alert.ends_at == NOW - timedelta(hours=1)
    assert not alert.timeout


@pytest.mark.parametrize("absent", [None, "", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"])
def test_absent_times_have_many_spellings(absent: str | None) -> None:
    alert = one(startsAt=absent, endsAt=absent)
    assert (alert.starts_at, alert.timeout) == (NOW, True)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T11:00:00Z",
        "2026-01-01T12:00:00+01:00",
        "2026-01-01T11:00:00.000000000Z",
        "2026-01-01T11:00:00",
        "2026-01-01t11:00:00z",
    ],
)
def test_times_are_read_in_any_spelling(text: str) -> None:
    assert one(startsAt=text).starts_at == NOW - timedelta(hours=1)


def test_a_batch_with_one_lenient_time_is_read_as_a_whole() -> None:
    body = json.dumps(
        [
            {"labels": {"a": "1"}, "startsAt": ""},
            {"labels": {"a": "2"}, "startsAt": "2026-01-01T11:00:00Z", "annotations": {"x": "y"}},
        ]
    )
    found = decoded(body.encode())
    assert isinstance(found, Decoded)
    assert [a.starts_at for a in found.alerts] == [NOW, NOW - timedelta(hours=1)]
    assert dict(found.alerts[1].annotations) == {"x": "y"}


def test_empty_labels_are_dropped_and_unknown_keys_ignored() -> None:
    alert = one(labels={"a": "b", "gone": ""}, annotations=None, extra=1)
    assert dict(alert.labels) == {"a": "b"}
    assert not alert.annotations


@pytest.mark.parametrize("url", ["", "http://x/y?z=1", "/graph", "mailto:x"])
def test_a_generator_url_may_be_any_uri_or_none(url: str) -> None:
    assert one(generatorURL=url).generator_url == url


def test_an_alert_may_end_the_moment_it_starts() -> None:
    moment = "2026-01-01T11:00:00Z"
    assert one(startsAt=moment, endsAt=moment).ends_at == NOW - timedelta(hours=1)


def test_single_faults_are_told_beside_the_good_alerts() -> None:
    body = b'[{"labels":{"a":""}},{"labels":{"a":"b"}},{"labels":{}}]'
    found = decoded(body)
    assert isinstance(found, Decoded)
    assert [dict(a.labels) for a in found.alerts] == [{"a": "b"}]
    assert found.problems == ("at least one label pair required",) * 2


def test_faults_are_told_in_alertmanagers_words() -> None:
    late, early = "2021-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
    assert problem(startsAt=late, endsAt=early) == "start time must be before end time"
    classic = MatcherMode.CLASSIC
    assert problem(classic, labels={"a-b": "c"}) == 'invalid label set: invalid name "a-b"'
    wrong_note = problem(classic, annotations={"x-y": "c"})
    assert wrong_note == 'invalid annotations: invalid name "x-y"'
    assert problem(labels={"": "c"}) == 'invalid label set: invalid name ""'


def test_any_label_name_is_valid_outside_the_classic_mode() -> None:
    assert dict(one(labels={"a-b": "Σ", "🙂": "x"}).labels) == {"a-b": "Σ", "🙂": "x"}


@pytest.mark.parametrize(
    ("body", "status", "code", "part"),
    [
        (b"", 422, 602, "alerts in body is required"),
        (b" \n", 422, 602, "alerts in body is required"),
        (b"{}", 400, 400, 'parsing alerts body from "" failed, because '),
        (b"banana", 400, 400, "parsing alerts body"),
        (b"[null]", 400, 400, "parsing alerts body"),
        (b'[{"labels":{"a":"b"}}', 400, 400, "parsing alerts body"),
        (b'[{"labels":{"a":1}}]', 400, 400, "parsing alerts body"),
        (b'[{"labels":["a"]}]', 400, 400, "parsing alerts body"),
        (b'[{"labels":{"a":"b"},"annotations":[]}]', 400, 400, "parsing alerts body"),
        (b'[{"labels":{"a":"b"},"startsAt":"x"}]', 400, 400, "not an RFC 3339 time"),
        (b'[{"labels":{"a":"b"},"endsAt":5}]', 400, 400, "parsing alerts body"),
        (b"[{}]", 422, 602, "0.labels in body is required"),
        (b'[{"labels":{"a":"b"}},{"labels":null}]', 422, 602, "1.labels in body is required"),
        (
            b'[{"labels":{"a":"b"},"generatorURL":"foo bar"}]',
            422,
            601,
            '0.generatorURL in body must be of type uri: "foo bar"',
        ),
    ],
)
def test_bodies_of_the_wrong_form_are_refused_as_a_whole(
    body: bytes, status: int, code: int, part: str
) -> None:
    found = decoded(body)
    assert isinstance(found, Malformed)
    assert (found.status, found.code) == (status, code)
    assert part in found.message


@pytest.mark.parametrize("body", [b"[]", b"null"])
def test_an_empty_batch_is_fine(body: bytes) -> None:
    assert decoded(body) == Decoded(())


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    assert isinstance(decoded(body), Decoded | Malformed)


names = st.text("abcdef_", min_size=1, max_size=5)
maps = st.dictionaries(names, st.text(st.characters(exclude_categories=["Cs"]), max_size=8))


@given(
    maps.filter(lambda m: any(m.values())),
    maps,
    st.sampled_from(["timeout", "end"]),
    st.integers(0, 10**6),
)
def test_what_rules_send_is_read_back(
    labels: dict[str, str], notes: dict[str, str], kind: str, micros: int
) -> None:
    start = NOW - timedelta(microseconds=micros)
    alert = Alert(
        labels=Labels.of(labels),
        starts_at=start,
        ends_at=NOW + FIVE_MIN,
        updated_at=NOW,
        annotations=Labels.of(notes),
        generator_url="http://prometheus/graph" if micros % 2 else "",
        timeout=kind == "timeout",
    )
    assert decoded(encode_alerts([alert])) == Decoded((alert,))


def test_the_fingerprint_is_alertmanagers() -> None:
    labels = {"team": "db", "alertname": "CPUHigh", "severity": "critical", "instance": "h1"}
    assert fingerprint(Labels.of(labels)) == "63d26608c976e743"
    assert fingerprint(Labels.of({"q": "b"})) == "93a972051facd65a"
    assert fingerprint(Labels()) == "cbf29ce484222325"
