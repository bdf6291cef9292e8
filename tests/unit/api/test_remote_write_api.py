"""Remote write speaks HTTP as its specifications say: who may, what is taken, what is told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from asgi import Answered, ask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from write_requests import SecondVersion, packed, series

from tocsin.api.http import Access, Dialect, Door, Refusal
from tocsin.api.prometheus_write import RemoteWriteApi
from tocsin.metrics_collector.fakes import FakeSampleSink
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.receiver import Receiver
from tocsin.model.clock import Clock
from tocsin.model.slots import to_ms
from tocsin.model.tenant import tenant_id
from tocsin.security.permissions import Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Credential, Principal, TokenTable, digest
from tocsin.telemetry.metrics import Registry

ACME, OTHER = tenant_id("acme"), tenant_id("other")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOW = to_ms(T0)
UP = {"__name__": "up"}
V1 = "application/x-protobuf"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
ONE = packed(series(UP, (NOW, 1.0)))
COUNTS = [f"x-prometheus-remote-write-{kind}-written" for kind in ("samples", "histograms")]


class Still(Clock):
    """A clock that stands."""

    def now(self) -> datetime:
        return T0

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


class Server:
    """The route behind a door with a token for each role of acme."""

    def __init__(self) -> None:
        self.sink = FakeSampleSink()
        instruments = MetricInstruments(Registry(version="1"))
        receiver = Receiver(self.sink, clock=Still(), instruments=instruments)
        roles = (Role.WRITER, Role.VIEWER, Role.RESPONDER, Role.EDITOR, Role.TENANT_ADMIN)
        tokens = [Credential(digest(role), Principal(role, role, ACME)) for role in roles]
        self.door = Door(
            dialects=(Dialect("/prometheus", RemoteWriteApi(receiver).endpoints(), plain),),
            access=Access(TokenTable(tokens), frozenset({ACME, OTHER})),
            sessions=Sessions(lambda: "x"),
            trail=lambda _: None,
            clock=Still(),
            ready=lambda: True,
        )

    async def post(
        self,
        body: bytes = ONE,
        *,
        media: str = V1,
        role: Role = Role.WRITER,
        mount: str = "",
        **more: str,
    ) -> Answered:
        headers = [("authorization", f"Bearer {role}"), ("content-type", media)]
        headers += [(name.replace("_", "-"), value) for name, value in more.items()]
        headers = [(name, value) for name, value in headers if value]
        url = f"{mount}/prometheus/api/v1/write"
        return await ask(self.door, "POST", url, headers=headers, body=body)


def plain(request: Request, refusal: Refusal) -> Response:
    return PlainTextResponse(refusal.message, refusal.status, refusal.headers)


@pytest.fixture
def server() -> Server:
    return Server()


async def test_what_is_stored_is_acknowledged_without_words(server: Server) -> None:
    got = await server.post()
    assert (got.status, got.body) == (204, b"")
    assert server.sink.points(ACME, "up") == [(NOW, 1.0)]


@pytest.mark.parametrize("role", [Role.WRITER, Role.EDITOR, Role.TENANT_ADMIN])
async def test_roles_that_write_may(server: Server, role: Role) -> None:
    assert (await server.post(role=role)).status == 204


@pytest.mark.parametrize("role", [Role.VIEWER, Role.RESPONDER])
async def test_roles_that_only_read_may_not(server: Server, role: Role) -> None:
    assert (await server.post(role=role)).status == 403
    assert server.sink.series == {}


async def test_the_tenant_is_that_of_the_credential(server: Server) -> None:
    assert (await server.post(mount="/t/acme")).status == 204
    assert (await server.post(mount="/t/other")).status == 403
    assert (await server.post(x_scope_orgid="other")).status == 403
    assert (await server.post(role=Role.NOBODY)).status == 401
    assert set(server.sink.series) == {ACME}


@pytest.mark.parametrize(
    "media",
    [
        "",
        "application/x-protobuf",
        "Application/X-Protobuf; proto=prometheus.WriteRequest",
        'application/x-protobuf;proto="prometheus.WriteRequest"',
    ],
)
async def test_the_first_version_is_what_is_meant_without_a_name(
    server: Server, media: str
) -> None:
    got = await server.post(media=media, content_encoding="snappy")
    assert got.status == 204
    assert not set(COUNTS) & set(got.headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"media": "application/json"},
        {"media": "application/x-protobuf;proto=io.prometheus.write.v3.Request"},
        {"content_encoding": "gzip"},
        {"content_encoding": "zstd"},
    ],
)
async def test_another_content_is_415(server: Server, headers: dict[str, str]) -> None:
    assert (await server.post(**headers)).status == 415  # type: ignore[arg-type]  # names of arguments
    assert server.sink.series == {}


async def test_the_second_version_is_told_how_much_was_written(server: Server) -> None:
    built = SecondVersion().add(UP, (NOW, 1.0), (NOW + 1, 2.0), exemplars=1).built()
    got = await server.post(packed(built), media=V2)
    assert got.status == 204
    assert [got.headers[name] for name in COUNTS] == ["2", "0"]
    assert got.headers["x-prometheus-remote-write-exemplars-written"] == "0"


async def test_histograms_are_not_written_and_the_rest_is(server: Server) -> None:
    built = SecondVersion().add(UP, (NOW, 1.0)).add({"__name__": "h"}, histograms=2).built()
    got = await server.post(packed(built), media=V2)
    assert got.status == 400
    assert [got.headers[name] for name in COUNTS] == ["1", "0"]
    assert b"native histograms are not stored (2)" in got.body
    assert server.sink.points(ACME, "up") == [(NOW, 1.0)]


@pytest.mark.parametrize(
    ("refused", "status", "words"),
    [
        ({"duplicate": 3}, 400, "duplicate sample for timestamp (3)"),
        ({"out_of_order": 1}, 400, "out of bounds"),
        ({"label_value_limit": 1}, 400, "a label value is too long"),
        ({"active_series_limit": 2}, 429, "limit of active series"),
        ({"active_series_limit": 2, "duplicate": 1}, 429, "duplicate sample"),
    ],
)
async def test_the_reason_of_a_refusal_decides_the_status(
    server: Server, refused: dict[str, int], status: int, words: str
) -> None:
    server.sink.refuse = refused
    got = await server.post()
    assert got.status == status
    assert words in got.body.decode()
    assert ("retry-after" in got.headers) is (status == 429)


async def test_invalid_labels_are_described(server: Server) -> None:
    got = await server.post(packed(series({"job": "a"}, (NOW, 1.0))))
    assert (got.status, "a series has no metric name" in got.body.decode()) == (400, True)


@pytest.mark.parametrize(("media", "told"), [(V1, None), (V2, "0")])
async def test_what_cannot_be_read_is_400(server: Server, media: str, told: str | None) -> None:
    got = await server.post(b"junk", media=media)
    assert got.status == 400
    assert got.headers.get(COUNTS[0]) == told


async def test_a_store_that_fails_is_503(server: Server) -> None:
    server.sink.broken = True
    got = await server.post()
    assert (got.status, got.headers["retry-after"]) == (503, "1")


async def test_a_body_beyond_the_limit_is_413(server: Server) -> None:
    assert (await server.post(bytes((32 << 20) + 1))).status == 413
