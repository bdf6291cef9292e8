"""A page of federation holds the newest samples, in the format the scraper asks for."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from asgi import Answered, ask
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tocsin.api.federate import FederationApi, PageFormat, format_of
from tocsin.api.http import Access, Dialect, Door, Refusal
from tocsin.model.clock import Clock
from tocsin.model.labels import Labels
from tocsin.model.sample import STALE
from tocsin.model.slots import to_ms
from tocsin.model.tenant import tenant_id
from tocsin.promql.fakes import MemorySeries
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import TokenTable

ACME = tenant_id("acme")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOW = to_ms(T0)
OM = "application/openmetrics-text;version=1.0.0"
TEXT = PageFormat(openmetrics=False, any_name=False)
P242 = f"{OM},application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5"
P3 = f"{OM};escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"


class Still(Clock):
    """A clock that stands."""

    def now(self) -> datetime:
        return T0

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


class Server:
    """The route, open to all, over series in memory."""

    def __init__(self) -> None:
        self.held = MemorySeries()
        api = FederationApi(self.held, Still())
        self.door = Door(
            dialects=(Dialect("/prometheus", api.endpoints(), plain),),
            access=Access(TokenTable([]), frozenset({ACME}), open_to_all=True),
            sessions=Sessions(lambda: "x"),
            trail=lambda _: None,
            clock=Still(),
            ready=lambda: True,
        )

    def add(self, labels: dict[str, str], *points: tuple[int, float]) -> None:
        at = [(NOW + after, value) for after, value in points]
        self.held.add(ACME, Labels.of(labels), at)

    async def get(self, *selectors: str, accept: str = "") -> Answered:
        query = urlencode([("match[]", selector) for selector in selectors])
        headers = [("accept", accept)] if accept else []
        return await ask(self.door, "GET", f"/prometheus/federate?{query}", headers=headers)


def plain(request: Request, refusal: Refusal) -> Response:
    return PlainTextResponse(refusal.message, refusal.status, refusal.headers)


@pytest.fixture
def server() -> Server:
    return Server()


async def test_the_newest_sample_of_each_series_stands_with_its_time(server: Server) -> None:
    server.add({"__name__": "up", "job": "b"}, (-60_000, 0.0), (-1_500, 1.0))
    server.add({"__name__": "up", "job": "a"}, (-2_000, 0.25))
    server.add({"__name__": "bare"}, (0, -math.inf))
    got = await server.get('{__name__=~".+"}', "up")
    assert got.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert got.body.decode() == (
        f"# TYPE bare untyped\nbare -Inf {NOW}\n"
        "# TYPE up untyped\n"
        f'up{{job="a"}} 0.25 {NOW - 2_000}\nup{{job="b"}} 1 {NOW - 1_500}\n'
    )


async def test_openmetrics_has_seconds_and_an_end(server: Server) -> None:
    server.add({"__name__": "up"}, (-1_500, 1.0))
    server.add({"__name__": "x_total", "a": 'q"\\\n'}, (0, math.nan))
    got = await server.get('{__name__!=""}', accept=P242)
    assert got.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    seconds = NOW // 1000
    assert got.body.decode() == (
        f"# TYPE up unknown\nup 1 {seconds - 2}.500\n"
        f'# TYPE x_total unknown\nx_total{{a="q\\"\\\\\\n"}} NaN {seconds}\n# EOF\n'
    )
    families = list(openmetrics(got.body.decode()))  # type: ignore[no-untyped-call]  # theirs
    assert families[1].samples[0].labels == {"a": 'q"\\\n'}


async def test_series_that_ended_or_are_old_are_left_out(server: Server) -> None:
    server.add({"__name__": "ended", "a": "b"}, (-20, 1.0), (-10, STALE))
    server.add({"__name__": "old", "a": "b"}, (-300_000, 1.0))
    server.add({"__name__": "young", "a": "b"}, (-299_999, 1.0))
    server.add({"__name__": "future", "a": "b"}, (1, 1.0))
    server.add({"a": "b"}, (0, 1.0))
    got = await server.get('{a="b"}')
    assert got.body.decode() == f'# TYPE young untyped\nyoung{{a="b"}} 1 {NOW - 299_999}\n'


async def test_names_of_any_utf8_are_quoted_or_made_plain(server: Server) -> None:
    server.add({"__name__": "a.b", "c.d": "x", "0": "y"}, (0, 1.0))
    plain_page = await server.get('{"a.b"}')
    assert f'a_b{{_0="y",c_d="x"}} 1 {NOW}' in plain_page.body.decode()
    quoted = await server.get('{"a.b"}', accept=P3)
    assert quoted.headers["content-type"].endswith("escaping=allow-utf-8")
    body = quoted.body.decode()
    assert body.startswith('# TYPE "a.b" unknown\n{"a.b","0"="y","c.d"="x"} 1 ')


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
        (P242, PageFormat(openmetrics=True, any_name=False)),
        (P3, PageFormat(openmetrics=True, any_name=True)),
        (f"{OM};q=0.3,text/plain;version=0.0.4;q=0.5", TEXT),
        (f"{OM};q=odd", TEXT),
        ("application/openmetrics-text;version=9.0.0", TEXT),
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8",
            PageFormat(openmetrics=False, any_name=True),
        ),
    ],
)
def test_the_format_is_the_one_liked_best(accept: str, wanted: PageFormat) -> None:
    assert format_of(accept) == wanted


async def test_without_a_selector_the_page_is_empty(server: Server) -> None:
    server.add({"__name__": "up"}, (0, 1.0))
    assert (await server.get()).body == b""


@pytest.mark.parametrize("selector", ["up[5m]", "sum(up)", "{", "{}"])
async def test_what_is_no_selector_is_400(server: Server, selector: str) -> None:
    assert (await server.get(selector)).status == 400
