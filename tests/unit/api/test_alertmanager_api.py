"""API v2 answers as the contract's tables say, shapes of errors included."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgi import Answered, ask

from tocsin.alert_manager.alerts import Alerts
from tocsin.alert_manager.config import Integration, RouteConfig, compile_config
from tocsin.alert_manager.fakes import MemoryLog, MemorySnapshots
from tocsin.api.alertmanager import AlertmanagerApi, BuildInfo
from tocsin.api.http import Access, Door
from tocsin.model.clock import Clock
from tocsin.model.events import Delta
from tocsin.model.tenant import tenant_id
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import TokenTable

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ACME = tenant_id("acme")
JSON = ("content-type", "application/json")
UUIDS = [f"00000000-0000-4000-8000-{n:012d}" for n in range(20)]


class LoopClock(Clock):
    """Wall time that follows the virtual loop."""

    def now(self) -> datetime:
        return T0 + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep_until(self, when: datetime) -> None:
        await asyncio.sleep(max(0.0, (when - self.now()).total_seconds()))


class Api:
    """The dialect over a real stage with its shipped fake of a log."""

    def __init__(self, door: Door) -> None:
        self.door = door

    async def get(self, path: str, *headers: tuple[str, str]) -> Answered:
        return await ask(self.door, "GET", f"/api/v2{path}", headers=list(headers))

    async def post(self, path: str, body: Any, header: tuple[str, str] = JSON) -> Answered:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await ask(self.door, "POST", f"/api/v2{path}", headers=[header], body=raw)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    log, clock = MemoryLog(), LoopClock()
    ids = iter(UUIDS)
    alerts = Alerts(
        log=log,
        snapshots=MemorySnapshots(log),
        grouped=lambda tenant, flushes: Delta(),
        clock=clock,
        ids=lambda: next(ids),
    )
    config = compile_config(
        RouteConfig(receiver="team", group_by=("alertname",)),
        receivers={"team": (Integration("webhook[0]", send_resolved=True),)},
        hash="1",
    )
    await alerts.start(ACME, config)
    v2 = AlertmanagerApi(alerts, clock, lambda _: "route: {}", BuildInfo("0.34.0"), T0)
    yield Api(
        Door(
            dialects=v2.dialects(),
            access=Access(TokenTable([]), frozenset({ACME}), open_to_all=True),
            sessions=Sessions(lambda: "x"),
            trail=lambda _: None,
            clock=clock,
            ready=lambda: True,
        )
    )
    await alerts.stop()


def silence(**changed: Any) -> dict[str, Any]:
    return {
        "matchers": [{"name": "team", "value": "db", "isRegex": False}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2026-01-02T00:00:00Z",
        "createdBy": "me",
        "comment": "because",
        **changed,
    }


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (b"[]", 200, b""),
        (b"null", 200, b""),
        (b"", 422, {"code": 602, "message": "alerts in body is required"}),
        ([{}], 422, {"code": 602, "message": "0.labels in body is required"}),
        ([{"labels": {"a": ""}}], 400, "at least one label pair required"),
        (
            [
                {
                    "labels": {"a": "b"},
                    "startsAt": "2026-01-02T00:00:00Z",
                    "endsAt": "2026-01-01T00:00:00Z",
                }
            ],
            400,
            "start time must be before end time",
        ),
    ],
)
async def test_posting_alerts_answers_as_alertmanager_does(
    api: Api, body: Any, status: int, answer: Any
) -> None:
    got = await api.post("/alerts", body)
    assert got.status == status
    assert (got.body if answer == b"" else got.json()) == answer


@pytest.mark.parametrize(
    "body", [b"{}", b'[{"labels":{"a":1}}]', b'[{"labels":{"a":"b"},"startsAt":"x"}]']
)
async def test_a_body_of_the_wrong_type_is_400_with_a_code(api: Api, body: bytes) -> None:
    got = await api.post("/alerts", body)
    assert (got.status, got.json()["code"]) == (400, 400)


async def test_a_generator_url_that_is_none_is_422(api: Api) -> None:
    got = await api.post("/alerts", [{"labels": {"a": "b"}, "generatorURL": "x y"}])
    assert (got.status, got.json()["code"]) == (422, 601)


async def test_the_good_alerts_of_a_batch_are_kept(api: Api) -> None:
    got = await api.post("/alerts", [{"labels": {"alertname": "kept"}}, {"labels": {"e": ""}}])
    assert got.status == 400
    (alert,) = (await api.get("/alerts")).json()
    assert alert["labels"] == {"alertname": "kept"}
    assert alert["receivers"] == [{"name": "team"}]
    assert alert["startsAt"].endswith("Z")
    assert len(alert["startsAt"]) == len("2026-01-01T00:00:00.000Z")
    assert set(alert["status"]) == {"state", "silencedBy", "inhibitedBy", "mutedBy"}


async def test_content_type_and_accept_are_checked(api: Api) -> None:
    wrong = await api.post("/alerts", [], ("content-type", "text/plain"))
    assert (wrong.status, wrong.json()["code"]) == (415, 415)
    missing = await api.post("/alerts", [], ("x", "y"))
    assert missing.status == 415
    html = await api.get("/alerts", ("accept", "text/html"))
    assert (html.status, html.json()["code"]) == (406, 406)
    assert (await api.get("/alerts", ("accept", "application/json, */*;q=0.1"))).status == 200


async def test_paths_and_methods_that_are_not_there_have_a_code(api: Api) -> None:
    missing = await api.get("/foo")
    assert (missing.status, missing.json()) == (
        404,
        {"code": 404, "message": "path /api/v2/foo was not found"},
    )
    wrong = await ask(api.door, "PUT", "/api/v2/alerts")
    assert (wrong.status, wrong.json()["code"]) == (405, 405)
    assert "GET" in wrong.headers["allow"]
    gone = await ask(api.door, "GET", "/api/v1/alerts")
    assert (gone.status, gone.json()["status"]) == (410, "deprecated")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("filter=%3D%3D", "bad matcher format: =="),
        ("receiver=%5B", "failed to parse receiver param"),
    ],
)
async def test_a_bad_filter_is_a_bare_string(api: Api, query: str, message: str) -> None:
    got = await api.get(f"/alerts?{query}")
    assert got.status == 400
    assert message in got.json()


async def test_filters_flags_and_receivers_choose_alerts(api: Api) -> None:
    await api.post("/alerts", [{"labels": {"alertname": "a"}}, {"labels": {"alertname": "b"}}])

    async def names(query: str) -> list[str]:
        return [a["labels"]["alertname"] for a in (await api.get(f"/alerts?{query}")).json()]

    assert sorted(await names("")) == ["a", "b"]
    assert await names("filter=alertname%3D%22a%22") == ["a"]
    assert await names("filter=alertname%3D%22a%22&filter=alertname%3D%22b%22") == []
    assert await names("receiver=tea") == []
    assert len(await names("receiver=te.*")) == 2
    assert len(await names("active=1")) == 2
    groups = (await api.get("/alerts/groups")).json()
    assert [g["labels"] for g in groups] == [{"alertname": "a"}, {"alertname": "b"}]
    assert groups[0]["receiver"] == {"name": "team"}


async def test_status_and_receivers_have_every_field_amtool_reads(api: Api) -> None:
    status = (await api.get("/status")).json()
    assert set(status) == {"cluster", "config", "uptime", "versionInfo"}
    assert set(status["versionInfo"]) == {
        "version",
        "revision",
        "branch",
        "buildUser",
        "buildDate",
        "goVersion",
    }
    assert status["config"]["original"] == "route: {}"
    assert (await api.get("/receivers")).json() == [{"name": "team"}]


async def test_a_silence_is_made_shown_and_expired(api: Api) -> None:
    await api.post("/alerts", [{"labels": {"alertname": "a", "team": "db"}}])
    made = (await api.post("/silences", silence())).json()["silenceID"]
    shown = (await api.get(f"/silence/{made}")).json()
    assert shown["status"] == {"state": "active"}
    assert shown["matchers"] == [{"name": "team", "value": "db", "isRegex": False, "isEqual": True}]
    (alert,) = (await api.get("/alerts")).json()
    assert alert["status"]["state"] == "suppressed"
    assert alert["status"]["silencedBy"] == [made]
    assert (await api.get("/alerts?silenced=banana")).json() == []
    ended = await ask(api.door, "DELETE", f"/api/v2/silence/{made}")
    assert (ended.status, ended.body) == (200, b"")
    assert (await api.get(f"/silence/{made}")).json()["status"] == {"state": "expired"}
    assert (await api.get("/silences?expired=false")).json() == []
    assert len((await api.get("/silences?filter=team%3Ddb")).json()) == 1


async def test_a_silence_that_is_not_there_is_404_in_the_right_shape(api: Api) -> None:
    path = f"/silence/{UUIDS[-1]}"
    missing = await api.get(path)
    assert (missing.status, missing.body) == (404, b"")
    gone = await ask(api.door, "DELETE", f"/api/v2{path}")
    assert (gone.status, gone.json()) == (404, "silence not found")
    bad = await api.get("/silence/x")
    assert (bad.status, bad.json()["code"]) == (422, 601)
    changed = await api.post("/silences", silence(id=UUIDS[-1]))
    assert (changed.status, changed.json()) == (404, "silence not found")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"matchers": [{"name": "a", "value": "(", "isRegex": True}]}, "invalid label matcher 0"),
        ({"matchers": [{"name": "a", "value": "", "isRegex": False}]}, "must not match the empty"),
        ({"endsAt": "2025-12-31T00:00:00Z"}, "start time must be before end time"),
    ],
)
async def test_a_silence_that_makes_no_sense_is_a_bare_string(
    api: Api, changed: dict[str, Any], message: str
) -> None:
    got = await api.post("/silences", silence(**changed))
    assert got.status == 400
    assert message in got.json()


async def test_a_silence_of_the_wrong_form_has_a_code(api: Api) -> None:
    assert (await api.post("/silences", {})).json()["code"] == 602
    assert (await api.post("/silences", silence(matchers=[]))).json()["code"] == 612
