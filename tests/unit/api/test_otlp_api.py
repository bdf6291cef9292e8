"""OTLP speaks HTTP as its specification says: who may, what is taken, what is told."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from asgi import Answered, ask
from otlp_requests import SHOP, exponential, gauge, number, request

from tocsin.api.http import BODY_LIMIT, Access, Door
from tocsin.api.otlp import PATHS, OtlpApi
from tocsin.metrics_collector.fakes import FakeSampleSink
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.otlp.body import LARGEST
from tocsin.metrics_collector.otlp.receiver import ROOM_LATER, OtlpReceiver
from tocsin.metrics_collector.protobuf import fields
from tocsin.model.clock import Clock
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.tenant import tenant_id
from tocsin.security.audit import AuditEvent
from tocsin.security.permissions import Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Credential, Principal, TokenTable, digest
from tocsin.telemetry.metrics import Registry

ACME, OTHER = tenant_id("acme"), tenant_id("other")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
PROTOBUF, JSON = "application/x-protobuf", "application/json"
ONE = request(gauge("g", number(1, T0.timestamp())))
WHO = {"job": "shop", "instance": "a"}


class Still(Clock):
    """A clock that stands."""

    def now(self) -> datetime:
        return T0

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


class Server:
    """The routes behind a door with a token for each role of acme."""

    def __init__(self) -> None:
        self.sink = FakeSampleSink()
        self.audited: list[AuditEvent] = []
        self.ready = True
        instruments = MetricInstruments(Registry(version="1"))
        receiver = OtlpReceiver(self.sink, clock=Still(), instruments=instruments)
        roles = (Role.WRITER, Role.VIEWER, Role.RESPONDER, Role.EDITOR, Role.TENANT_ADMIN)
        tokens = [Credential(digest(role), Principal(role, role, ACME)) for role in roles]
        self.door = Door(
            dialects=OtlpApi(receiver).dialects(),
            access=Access(TokenTable(tokens), frozenset({ACME, OTHER})),
            sessions=Sessions(lambda: "x"),
            trail=self.audited.append,
            clock=Still(),
            ready=lambda: self.ready,
        )

    async def post(
        self,
        body: bytes = ONE,
        *,
        path: str = PATHS[0],
        media: str = PROTOBUF,
        role: str = Role.WRITER,
        **more: str,
    ) -> Answered:
        headers = [("authorization", f"Bearer {role}"), ("content-type", media)]
        headers += [(name.replace("_", "-"), value) for name, value in more.items()]
        return await ask(self.door, "POST", path, headers=headers, body=body)


@pytest.fixture
def server() -> Server:
    return Server()


def status_of(answered: Answered) -> tuple[int, str]:
    """Return code and message of a google.rpc.Status in protobuf."""
    assert answered.headers["content-type"] == PROTOBUF
    body = answered.body
    found = {number: (first, last) for number, _, first, last in fields(body, 0, len(body))}
    first, last = found[2]
    return found[1][0], body[first:last].decode()


def partial_of(answered: Answered) -> tuple[int, str]:
    """Return what ExportMetricsServiceResponse says was rejected, and why."""
    body = answered.body
    ((number, _, start, end),) = fields(body, 0, len(body))
    assert number == 1
    told = {number: (first, last) for number, _, first, last in fields(body, start, end)}
    first, last = told[2]
    return told[1][0], body[first:last].decode()


@pytest.mark.parametrize("path", [*PATHS, *(f"/t/acme{path}" for path in PATHS)])
async def test_points_are_taken_at_every_path(server: Server, path: str) -> None:
    answered = await server.post(path=path)
    assert (answered.status, answered.body) == (200, b"")
    assert answered.headers["content-type"] == PROTOBUF
    assert server.sink.values(ACME, "g", **WHO) == [1]


async def test_json_is_answered_in_json(server: Server) -> None:
    answered = await server.post(b"{}", media="application/json; charset=utf-8")
    assert (answered.status, answered.json()) == (200, {})
    assert answered.headers["content-type"] == JSON


async def test_a_body_may_be_gzip(server: Server) -> None:
    answered = await server.post(gzip.compress(ONE), content_encoding="gzip")
    assert answered.status == 200
    assert server.sink.values(ACME, "g", **WHO) == [1]


async def test_what_was_not_taken_is_told(server: Server) -> None:
    answered = await server.post(request(exponential("e", 2), gauge("g", number(1, 1))))
    assert answered.status == 200
    count, message = partial_of(answered)
    assert count == 2
    assert message == (
        "data points not stored: "
        "e: exponential histograms are not stored; send explicit buckets (2)"
    )


async def test_what_was_not_taken_is_told_in_json_too(server: Server) -> None:
    metric = {"name": "e", "exponentialHistogram": {"dataPoints": [{}]}}
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()
    told: Any = (await server.post(body, media=JSON)).json()
    assert told["partialSuccess"]["rejectedDataPoints"] == "1"
    assert "exponential" in told["partialSuccess"]["errorMessage"]


async def test_reasons_of_the_store_are_told_in_words(server: Server) -> None:
    server.sink.refuse = {"duplicate": 1}
    assert partial_of(await server.post()) == (
        1,
        "data points not stored: another value at a time that has one (1)",
    )


async def test_a_message_does_not_grow_without_end(server: Server) -> None:
    bad = [gauge(f"{'ü' * 50}{n}", b"") for n in range(3)]
    answered = await server.post(request(exponential("e" * 2_000, 1), *bad))
    assert len(partial_of(answered)[1]) <= 1_000


@pytest.mark.parametrize(
    ("body", "media", "code"), [(b"\xff", PROTOBUF, 3), (b"[", JSON, 3), (b"{" * 9, JSON, 3)]
)
async def test_what_cannot_be_read_is_refused_for_good(
    server: Server, body: bytes, media: str, code: int
) -> None:
    answered = await server.post(body, media=media)
    assert answered.status == 400
    told = answered.json()["code"] if media == JSON else status_of(answered)[0]
    assert told == code


@pytest.mark.parametrize("media", ["text/plain", "", "application/x-www-form-urlencoded"])
async def test_another_content_type_is_told_what_is_accepted(server: Server, media: str) -> None:
    answered = await server.post(media=media)
    assert answered.status == 415
    assert "application/x-protobuf and application/json" in answered.json()["message"]


@pytest.mark.parametrize("packing", ["snappy", "deflate", "zstd"])
async def test_another_compression_is_told_what_is_accepted(server: Server, packing: str) -> None:
    answered = await server.post(content_encoding=packing)
    assert answered.status == 415
    assert "gzip" in status_of(answered)[1]


async def test_a_body_too_large_is_refused_packed_or_not(server: Server) -> None:
    assert (await server.post(bytes(BODY_LIMIT + 1))).status == 413
    bomb = gzip.compress(bytes(LARGEST + 1))
    answered = await server.post(bomb, content_encoding="gzip")
    assert answered.status == 413
    assert status_of(answered)[0] == 8


async def test_no_room_is_told_to_come_again(server: Server) -> None:
    server.sink.barred[Labels.of({METRIC_NAME: "g", **WHO})] = ROOM_LATER
    answered = await server.post()
    assert answered.status == 429
    assert answered.headers["retry-after"] == "30"
    assert status_of(answered) == (
        8,
        "data points not stored: per-tenant limit of active series reached (1)",
    )


async def test_a_store_that_fails_is_told_to_come_again(server: Server) -> None:
    server.sink.broken = True
    answered = await server.post()
    assert answered.status == 503
    assert answered.headers["retry-after"] == "1"
    assert status_of(answered)[0] == 14


async def test_a_server_that_starts_is_told_to_come_again(server: Server) -> None:
    server.ready = False
    answered = await server.post()
    assert (answered.status, status_of(answered)[0]) == (503, 14)
    assert "retry-after" in answered.headers


@pytest.mark.parametrize("role", [Role.WRITER, Role.EDITOR, Role.TENANT_ADMIN])
async def test_who_may_write_metrics_may(server: Server, role: Role) -> None:
    assert (await server.post(role=role)).status == 200


@pytest.mark.parametrize("role", [Role.VIEWER, Role.RESPONDER])
async def test_nobody_else_may_and_it_is_audited(server: Server, role: Role) -> None:
    answered = await server.post(role=role)
    assert (answered.status, status_of(answered)[0]) == (403, 7)
    (event,) = server.audited
    assert (event.object, event.outcome) == (PATHS[0], "denied")
    assert server.sink.series == {}


async def test_an_unknown_token_is_refused_in_the_form_of_the_request(server: Server) -> None:
    answered = await server.post(role="nobody")
    assert (answered.status, status_of(answered)[0]) == (401, 16)
    assert (await server.post(role="nobody", media=JSON)).json()["code"] == 16


async def test_another_tenant_is_refused(server: Server) -> None:
    assert (await server.post(path=f"/t/other{PATHS[0]}")).status == 403
    assert (await server.post(x_scope_orgid="other")).status == 403
    assert (await server.post(x_scope_orgid="acme")).status == 200


async def test_there_is_nothing_but_post(server: Server) -> None:
    answered = await ask(server.door, "GET", PATHS[0], headers=[("authorization", "Bearer writer")])
    assert (answered.status, answered.json()["code"]) == (405, 12)
    beside = await ask(server.door, "POST", f"{PATHS[0]}/x")
    assert (beside.status, beside.json()["code"]) == (404, 5)


async def test_a_host_in_the_resource_is_told_of(server: Server) -> None:
    body = request(gauge("g", number(1, T0.timestamp())), resource={**SHOP, "host.name": "h"})
    assert (await server.post(body)).status == 200
    assert server.sink.values(ACME, "target_info", host_name="h", **WHO) == [1]
