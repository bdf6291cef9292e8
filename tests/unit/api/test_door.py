"""The Door lets in who may come in, for the tenant of the credential, and audits who may not."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from itertools import count

import pytest
from asgi import Answered, ask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tocsin.api.http import (
    BODY_LIMIT,
    SESSION_COOKIE,
    Access,
    Call,
    Dialect,
    Door,
    Endpoint,
    Refusal,
    presented_token,
)
from tocsin.model.clock import Clock
from tocsin.model.errors import InvalidInput, LimitExceeded, NotDurable, Unreachable
from tocsin.model.tenant import tenant_id
from tocsin.security.audit import AuditEvent
from tocsin.security.permissions import Permission, Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Credential, Principal, TokenTable, digest

T0 = datetime(2026, 1, 1, tzinfo=UTC)
A, B = tenant_id("a"), tenant_id("b")


class Fixed(Clock):
    """A clock that stands."""

    def now(self) -> datetime:
        return T0

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


async def tell_tenant(call: Call) -> Response:
    return JSONResponse({"tenant": call.tenant, "who": call.principal.name})


async def swallow(call: Call) -> Response:
    return PlainTextResponse(str(len(await call.body())))


FAILURES = {
    "invalid": InvalidInput("bad form"),
    "limit": LimitExceeded("too much", retry_after_s=3.4),
    "durable": NotDurable("disk full"),
    "unreachable": Unreachable("gone"),
    "bug": RuntimeError("secret detail"),
    "refusal": Refusal(418, "teapot"),
    "never": Refusal(410, "the pattern came first"),
}


async def fail(call: Call) -> Response:
    raise FAILURES[call.request.path_params["how"]]


def spoken(request: Request, refusal: Refusal) -> Response:
    return JSONResponse(
        {"error": refusal.message}, refusal.status, headers={**refusal.headers, "x-dialect": "one"}
    )


class House:
    """A door with one dialect, two tenants, and the audit trail it leaves."""

    def __init__(self, *, open_to_all: bool = False, prefix: str = "", ready: bool = True) -> None:
        self.trail: list[AuditEvent] = []
        serial = count()
        self.sessions = Sessions(lambda: f"session-{next(serial)}")
        people = [
            Principal("reader", Role.VIEWER, A),
            Principal("writer", Role.WRITER, A),
            Principal("bob", Role.VIEWER, B),
            Principal("root", Role.PLATFORM_ADMIN, None),
        ]
        routes = (
            Endpoint("/public", ("GET",), Permission.PUBLIC, tell_tenant),
            Endpoint("/hello", ("GET", "HEAD"), Permission.PUBLIC, swallow),
            Endpoint("/read", ("GET",), Permission.READ, tell_tenant),
            Endpoint("/post", ("POST",), Permission.POST_ALERTS, swallow),
            Endpoint("/fail/{how}", ("GET",), Permission.READ, fail),
            Endpoint("/fail/never", ("GET", "PUT"), Permission.READ, tell_tenant),
        )
        tokens = TokenTable(Credential(digest(p.name), p) for p in people)
        self.door = Door(
            dialects=(Dialect("/one", routes, spoken),),
            access=Access(tokens, frozenset({A, B}), open_to_all=open_to_all),
            sessions=self.sessions,
            trail=self.trail.append,
            clock=Fixed(),
            ready=lambda: ready,
            prefix=prefix,
        )

    async def get(self, url: str, token: str = "", **headers: str) -> Answered:
        return await self.ask("GET", url, token, **headers)

    async def ask(self, method: str, url: str, token: str = "", **headers: str) -> Answered:
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        if token:
            pairs.append(("authorization", f"Bearer {token}"))
        return await ask(self.door, method, url, headers=pairs, body=b"12345")


async def test_the_tenant_comes_from_the_token() -> None:
    house = House()
    assert (await house.get("/one/read", "reader")).json() == {"tenant": "a", "who": "reader"}
    assert (await house.get("/one/read", "bob")).json() == {"tenant": "b", "who": "bob"}
    assert house.trail == []


async def test_a_basic_password_is_a_token_too() -> None:
    basic = base64.b64encode(b"anything:reader").decode()
    answer = await House().get("/one/read", authorization=f"Basic {basic}")
    assert answer.json()["tenant"] == "a"


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("", None),
        ("Bearer x", "x"),
        ("bearer  x ", "x"),
        ("Basic " + base64.b64encode(b"u:p:q").decode(), "p:q"),
        ("Basic " + base64.b64encode(b"token").decode(), "token"),
        ("Basic !!", ""),
        ("Digest x", ""),
    ],
)
def test_a_token_is_found_in_the_header(header: str, token: str | None) -> None:
    assert presented_token(header) == token


@pytest.mark.parametrize("token", ["", "nobody"])
async def test_no_token_and_a_wrong_one_get_the_same_401_and_are_audited(token: str) -> None:
    house = House()
    answer = await house.get("/one/read", token)
    assert answer.status == 401
    assert answer.json() == {"error": "a valid token is required"}
    assert "Bearer" in answer.headers["www-authenticate"]
    assert [e.reason for e in house.trail] == ["a valid token is required"]


async def test_an_unknown_tenant_and_a_forbidden_one_get_the_same_answer() -> None:
    house = House()
    for path in ("/t/b/one/read", "/t/nosuch/one/read", "/t/NO%20ID/one/read"):
        answer = await house.get(path, "reader")
        same = {"error": "this credential does not cover the tenant asked for"}
        assert (answer.status, answer.json()) == (403, same)
    assert len(house.trail) == 3


async def test_path_and_header_may_repeat_the_tenant_of_the_token() -> None:
    answer = await House().get("/t/a/one/read", "reader", x_scope_orgid="a")
    assert answer.json()["tenant"] == "a"


async def test_a_header_that_names_another_tenant_is_denied_and_audited() -> None:
    house = House()
    assert (await house.get("/one/read", "reader", x_scope_orgid="b")).status == 403
    assert house.trail[0].object == "/one/read"


@pytest.mark.parametrize("value", ["a|b", ""])
async def test_a_header_that_names_no_single_tenant_is_refused(value: str) -> None:
    assert (await House().get("/one/read", "reader", x_scope_orgid=value)).status == 400


async def test_a_header_given_twice_is_refused() -> None:
    pairs = [("authorization", "Bearer reader"), ("x-scope-orgid", "a"), ("x-scope-orgid", "a")]
    assert (await ask(House().door, "GET", "/one/read", headers=pairs)).status == 400


async def test_a_role_does_what_it_may_and_no_more() -> None:
    house = House()
    assert (await house.ask("POST", "/one/post", "writer")).body == b"5"
    assert (await house.ask("POST", "/one/post", "reader")).status == 403
    assert (await house.get("/one/read", "writer")).status == 403
    assert (await house.get("/one/read", "root")).status == 403


async def test_nobody_is_asked_when_the_server_is_open() -> None:
    house = House(open_to_all=True)
    assert (await house.get("/t/b/one/read")).json() == {"tenant": "b", "who": "anonymous"}
    assert (await house.get("/t/nosuch/one/read")).status == 403
    refused = await house.get("/one/read")
    assert (refused.status, refused.json()["error"]) == (
        403,
        "this credential belongs to no tenant",
    )


async def test_a_cookie_reads_and_does_not_write() -> None:
    house = House()
    reader = f"{SESSION_COOKIE}={house.sessions.begin(digest('reader'), now=T0)}"
    writer = f"{SESSION_COOKIE}={house.sessions.begin(digest('writer'), now=T0)}"
    assert (await house.get("/one/read", cookie=f"{SESSION_COOKIE}=unknown")).status == 401
    assert (await house.get("/one/read", cookie=reader)).status == 200
    assert (await house.ask("POST", "/one/post", cookie=writer)).status == 401


async def test_a_session_ends_with_the_token_it_began_with() -> None:
    house = House()
    cookie = f"{SESSION_COOKIE}={house.sessions.begin(digest('reader'), now=T0)}"
    assert (await house.get("/one/read", cookie=cookie)).status == 200
    house.door.access = Access(TokenTable([]), frozenset({A, B}))
    assert (await house.get("/one/read", cookie=cookie)).status == 401


async def test_public_routes_ask_nothing_and_know_no_tenant() -> None:
    house = House(ready=False)
    assert (await house.get("/one/hello")).status == 200
    assert (await house.get("/one/public")).status == 403


async def test_everything_else_waits_until_the_server_is_ready() -> None:
    answer = await House(ready=False).get("/one/read", "reader")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    "path", ["/one//read", "/one/../one/read", "/one/%2e%2e/read", "/one/re%00ad", "/one/a%5Cb"]
)
async def test_a_path_that_could_be_read_in_two_ways_is_refused(path: str) -> None:
    assert (await House().get(path, "reader")).status == 400


async def test_a_path_encoded_twice_is_refused() -> None:
    answer = await House().get("/t/%2561/one/read", "reader")
    assert (answer.status, answer.body) == (400, b"this path is encoded twice\n")


async def test_missing_paths_and_wrong_methods_speak_the_dialect() -> None:
    house = House()
    missing, wrong = await house.get("/one/no"), await house.ask("PUT", "/one/read")
    assert (missing.status, missing.headers["x-dialect"]) == (404, "one")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET")
    assert (await house.get("/two")).status == 404


async def test_the_first_route_that_fits_answers() -> None:
    house = House()
    assert (await house.get("/one/fail/never", "reader")).status == 410
    assert (await house.ask("PUT", "/one/fail/never", "reader")).status == 200


async def test_a_prefix_is_taken_off_and_asked_for() -> None:
    house = House(prefix="/base")
    assert (await house.get("/base/one/read", "reader")).status == 200
    assert (await house.get("/base/t/a/one/read", "reader")).status == 200
    assert (await house.get("/one/read", "reader")).status == 404
    assert (await house.get("/baseless/one/read", "reader")).status == 404


async def test_preflight_and_origin_let_other_pages_read() -> None:
    house = House()
    asked = await house.ask(
        "OPTIONS", "/one/read", origin="http://x", access_control_request_method="GET"
    )
    assert asked.status == 200
    assert asked.headers["access-control-allow-origin"] == "*"
    assert asked.headers["access-control-allow-methods"] == "GET"
    assert "access-control-allow-origin" not in (await house.get("/one/read", "reader")).headers


@pytest.mark.parametrize(
    ("how", "status", "message"),
    [
        ("invalid", 400, "bad form"),
        ("limit", 429, "too much"),
        ("durable", 503, "disk full"),
        ("unreachable", 503, "gone"),
        ("refusal", 418, "teapot"),
        ("bug", 500, "internal error"),
    ],
)
async def test_what_goes_wrong_has_a_status_and_tells_no_detail(
    how: str, status: int, message: str
) -> None:
    answer = await House().get(f"/one/fail/{how}", "reader")
    assert (answer.status, answer.json()["error"]) == (status, message)
    assert answer.headers.get("retry-after") == {"limit": "3", "durable": "1"}.get(how)


async def test_a_body_over_the_limit_is_refused() -> None:
    big = b"x" * (BODY_LIMIT + 1)
    pairs = [("authorization", "Bearer writer")]
    answer = await ask(House().door, "POST", "/one/post", headers=pairs, body=big)
    assert answer.status == 413
