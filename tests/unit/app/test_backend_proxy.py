"""Queries of a tenant with a backend are let in by us and answered there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

import msgspec
import pytest
from asgi import Answered, ask
from starlette.responses import PlainTextResponse, Response

from tocsin.api.http import Access, Call, Dialect, Door, Endpoint
from tocsin.api.prometheus_answer import fault
from tocsin.app.backend_proxy import PASSED_ON, proxied
from tocsin.metrics_collector.backend.backends import Backends, Surroundings
from tocsin.metrics_collector.backend.config import BackendConfig, BackendKind
from tocsin.metrics_collector.backend.fakes import FakeBackend, page_of, vector_page
from tocsin.metrics_collector.backend.instruments import BackendInstruments
from tocsin.metrics_collector.backend.tenants import Use
from tocsin.metrics_collector.ports import Page
from tocsin.model.errors import LimitExceeded, Unreachable
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.fakes import LoopClock
from tocsin.security.permissions import Permission, Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Credential, Principal, TokenTable, digest
from tocsin.telemetry.metrics import Registry

A, B = TenantId("a"), TenantId("b")
CONFIG = BackendConfig(kind=BackendKind.MIMIR, url="http://m")
GET_ONLY = ("/label/{name}/values", "/metadata")
TYPED = {"content-type": "application/json; charset=utf-8"}


class Bench:
    """Tenant `a` has a backend, tenant `b` has not; everything local says so."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        around = Surroundings(self.backend, LoopClock(), lambda: 0.5, lambda: "n", lambda _: None)
        self.backends = Backends(around, BackendInstruments(Registry(version="0")))
        paths = [*PASSED_ON, "/rules"]
        routes = tuple(
            Endpoint(f"/api/v1{path}", ("GET", "POST"), Permission.QUERY, self.local)
            for path in paths
        )
        tokens = [
            Credential(digest(tenant), Principal(tenant, Role.VIEWER, tenant)) for tenant in (A, B)
        ]
        self.door = Door(
            dialects=(proxied(Dialect("/prometheus", routes, fault), self.backends),),
            access=Access(TokenTable(tokens), frozenset((A, B))),
            sessions=Sessions(lambda: "s"),
            trail=lambda _: None,
            clock=LoopClock(),
            ready=lambda: True,
        )

    async def local(self, call: Call) -> Response:
        return PlainTextResponse("local")

    async def ask(self, url: str, *, by: str = "a", form: str = "", **more: str) -> Answered:
        headers = [("Authorization", f"Bearer {by}"), *more.items()]
        if form:
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        method = "POST" if form else "GET"
        path = f"/prometheus/api/v1{url}"
        return await ask(self.door, method, path, headers=headers, body=form.encode())


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    await made.backends.start(A, Use(CONFIG, (A,)))
    yield made
    await made.backends.stop_all()


async def test_the_answer_of_the_backend_comes_back_as_it_is(bench: Bench) -> None:
    bench.backend.answers["up"] = [({"job": "x"}, 1.0)]
    got = await bench.ask("/query?query=up&time=5")
    assert (got.status, got.body) == (200, vector_page([({"job": "x"}, 1.0)]).body)
    assert got.headers["content-type"] == "application/json"


async def test_a_tenant_without_a_backend_is_answered_here(bench: Bench) -> None:
    assert (await bench.ask("/query?query=up", by="b")).body == b"local"
    assert bench.backend.asked == []


async def test_what_reads_no_metrics_is_answered_here(bench: Bench) -> None:
    assert (await bench.ask("/rules")).body == b"local"


async def test_who_may_not_come_in_is_not_passed_on(bench: Bench) -> None:
    assert (await bench.ask("/query?query=up", by="nobody")).status == 401
    assert (await bench.ask("/query?query=up", by="b", **{"X-Scope-OrgID": "a"})).status == 403
    assert bench.backend.asked == []


@pytest.mark.parametrize("path", [path for path in PASSED_ON if path not in GET_ONLY])
async def test_a_form_is_passed_on_with_what_prometheus_knows(bench: Bench, path: str) -> None:
    bench.backend.next.append(page_of([]))
    form = "query=up&match[]=a&match[]=b&start=1&db=other&extra_label=x&X-Scope-OrgID=b"
    assert (await bench.ask(path, form=form)).status == 200
    (call,) = bench.backend.asked
    sent = {name for name, _ in parse_qsl(call.body.decode())}
    assert sent == {"query", "match[]", "start"} & set(PASSED_ON[path])
    assert call.url == f"http://m/prometheus/api/v1{path}"
    assert call.headers["X-Scope-OrgID"] == "a"
    assert "authorization" not in {name.lower() for name in call.headers}


async def test_values_of_a_label_are_asked_by_get(bench: Bench) -> None:
    bench.backend.next.append(page_of(["x"]))
    got = await bench.ask("/label/job/values?match[]=up&dedup=1")
    assert got.json()["data"] == ["x"]
    (call,) = bench.backend.asked
    assert call.url == "http://m/prometheus/api/v1/label/job/values?match%5B%5D=up"
    assert (call.method, call.body) == ("GET", b"")


async def test_a_refusal_of_the_query_comes_back_as_it_is(bench: Bench) -> None:
    body = b'{"status":"error","errorType":"bad_data","error":"x"}'
    bench.backend.next.append(Page(400, {**TYPED, "set-cookie": "a=b"}, body))
    got = await bench.ask("/query?query=(")
    assert (got.status, got.body) == (400, body)
    assert "set-cookie" not in got.headers
    bench.backend.next.append(Page(429, {**TYPED, "retry-after": "7"}, body))
    got = await bench.ask("/query?query=(")
    assert (got.status, got.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize(
    "page",
    [
        Page(401, TYPED, b'{"status":"error","error":"no"}'),
        Page(403, TYPED, b"{}"),
        Page(302, {"location": "http://login"}, b""),
        Page(200, {"content-type": "text/html"}, b"<script>"),
    ],
)
async def test_what_is_no_answer_of_the_api_is_a_bad_gateway(bench: Bench, page: Page) -> None:
    bench.backend.next.append(page)
    got = await bench.ask("/query?query=up")
    assert got.status == 502
    error = got.json()
    assert error["status"] == "error"
    shown = "backend mimir at http://m, tenant a"
    assert error["error"].startswith(f"{shown}: HTTP {page.status}: ")


@pytest.mark.parametrize(
    ("trouble", "status"),
    [(Unreachable("connection refused"), 503), (LimitExceeded("over 64 MiB"), 422)],
)
async def test_a_backend_that_gives_no_answer_is_told_of(
    bench: Bench, trouble: Unreachable | LimitExceeded, status: int
) -> None:
    bench.backend.next.append(trouble)
    got = await bench.ask("/query?query=up")
    assert got.status == status
    assert msgspec.json.decode(got.body)["error"].endswith(str(trouble))
