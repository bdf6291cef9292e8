"""Access tokens are fetched when they are needed, kept, and fetched again in time."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from tocsin.metrics_collector.backend.ports import Exchange, Outgoing
from tocsin.metrics_collector.oauth2 import Tokens
from tocsin.metrics_collector.ports import (
    PLAIN,
    FetchOptions,
    Page,
    ProxyOptions,
    TlsOptions,
    TokenOptions,
)
from tocsin.model.errors import Unreachable
from tocsin.model.secret import Secret

CLIENT = TokenOptions("me", Secret("S3 cret"), "https://login/token", scopes=("a", "b"))
BASIC = f"Basic {base64.b64encode(b'me:S3+cret').decode()}"
Answer = Callable[[Outgoing], Page]


def granted(token: str = "t", *, status: int = 200, **more: object) -> Page:  # noqa: S107
    body = json.dumps({"access_token": token, **more}).encode()
    return Page(status, {"content-type": "application/json"}, body)


class Server(Exchange):
    """A token server; `asked` keeps what it was asked, and how."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.asked: list[Outgoing] = []
        self.options: list[FetchOptions] = []
        self.answer = answer or (lambda _: granted(f"t{len(self.asked)}", expires_in=60))
        self.now_s = 1000.0

    async def exchange(
        self, call: Outgoing, *, timeout_s: float, limit: int, options: FetchOptions = PLAIN
    ) -> Page:
        self.asked.append(call)
        self.options.append(options)
        await asyncio.sleep(0)
        return self.answer(call)

    def tokens(self) -> Tokens:
        return Tokens(self, now=lambda: self.now_s)

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.asked[-1].body.decode())


async def test_a_token_is_asked_for_with_credentials_and_scopes() -> None:
    server = Server()
    assert (await server.tokens().header(CLIENT)).reveal() == "Bearer t1"
    [call] = server.asked
    assert (call.method, call.url) == ("POST", CLIENT.url)
    assert call.headers["Authorization"] == BASIC
    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert server.form() == {"grant_type": ["client_credentials"], "scope": ["a b"]}


async def test_further_parameters_tls_and_proxy_are_those_of_the_configuration() -> None:
    server = Server()
    tls, proxy = TlsOptions(ca_file="ca"), ProxyOptions(Secret("http://p"))
    options = TokenOptions(
        "me", Secret("x"), "u", parameters=(("audience", "b"),), tls=tls, proxy=proxy
    )
    await server.tokens().header(options)
    assert server.form() == {"grant_type": ["client_credentials"], "audience": ["b"]}
    assert server.options == [FetchOptions(tls=tls, proxy=proxy)]


async def test_a_token_is_kept_until_shortly_before_it_ends() -> None:
    server = Server()
    tokens = server.tokens()
    for seconds, expected in ((0, "t1"), (49, "t1"), (51, "t2"), (52, "t2")):
        server.now_s = 1000 + seconds
        assert (await tokens.header(CLIENT)).reveal() == f"Bearer {expected}"


@pytest.mark.parametrize(
    "given", [{}, {"expires_in": None}, {"expires_in": 0}, {"expires_in": "?"}]
)
async def test_a_token_that_does_not_say_when_it_ends_is_kept(given: dict[str, Any]) -> None:
    server = Server(lambda _: granted(**given))
    tokens = server.tokens()
    await tokens.header(CLIENT)
    server.now_s += 1e9
    await tokens.header(CLIENT)
    assert len(server.asked) == 1


async def test_a_very_short_token_is_used_for_half_its_time() -> None:
    server = Server(lambda _: granted(expires_in="4"))
    tokens = server.tokens()
    await tokens.header(CLIENT)
    server.now_s += 1.5
    await tokens.header(CLIENT)
    assert len(server.asked) == 1
    server.now_s += 1
    await tokens.header(CLIENT)
    assert len(server.asked) == 2


async def test_many_who_need_a_token_ask_once() -> None:
    server = Server()
    tokens = server.tokens()
    found = await asyncio.gather(*(tokens.header(CLIENT) for _ in range(5)))
    assert {header.reveal() for header in found} == {"Bearer t1"}
    assert len(server.asked) == 1


async def test_clients_have_tokens_of_their_own() -> None:
    server = Server()
    tokens = server.tokens()
    other = TokenOptions("you", Secret("x"), CLIENT.url)
    assert (await tokens.header(CLIENT)).reveal() == "Bearer t1"
    assert (await tokens.header(other)).reveal() == "Bearer t2"


async def test_a_token_that_was_refused_is_not_used_again() -> None:
    server = Server()
    tokens = server.tokens()
    first = await tokens.header(CLIENT)
    tokens.refused(CLIENT, first)
    second = await tokens.header(CLIENT)
    assert second.reveal() == "Bearer t2"
    tokens.refused(CLIENT, first)
    assert await tokens.header(CLIENT) == second
    tokens.refused(TokenOptions("nobody", Secret(""), "u"), first)


async def test_a_server_that_wants_credentials_in_the_body_gets_them_there() -> None:
    def answer(call: Outgoing) -> Page:
        wrong = "Authorization" in call.headers
        return granted(status=401, error="invalid_client") if wrong else granted("t", expires_in=11)

    server = Server(answer)
    tokens = server.tokens()
    assert (await tokens.header(CLIENT)).reveal() == "Bearer t"
    assert len(server.asked) == 2
    assert server.form()["client_id"] == ["me"]
    assert server.form()["client_secret"] == ["S3 cret"]
    server.now_s += 100
    await tokens.header(CLIENT)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (granted(status=500), "the token server answered 500"),
        (granted(status=401, error="invalid_client"), "answered 401: invalid_client"),
        (Page(403, {}, b"<html>"), "answered 403"),
        (granted(""), "holds no access_token"),
        (Page(200, {}, b"[]"), "holds no access_token"),
        (Page(200, {}, b"\\xff"), "holds no access_token"),
    ],
)
async def test_a_server_that_grants_nothing_is_told_without_secrets(
    page: Page, message: str
) -> None:
    with pytest.raises(Unreachable, match=message) as raised:
        await Server(lambda _: page).tokens().header(CLIENT)
    assert "S3" not in str(raised.value)


async def test_after_a_failure_the_server_is_left_alone_for_a_moment() -> None:
    def away(_: Outgoing) -> Page:
        raise Unreachable("connection refused")

    server = Server(away)
    tokens = server.tokens()
    for seconds, asked in ((0, 1), (4, 1), (6, 2)):
        server.now_s = 1000 + seconds
        with pytest.raises(Unreachable, match="no access token: connection refused"):
            await tokens.header(CLIENT)
        assert len(server.asked) == asked
    server.now_s += 10
    server.answer = lambda _: granted()
    assert (await tokens.header(CLIENT)).reveal() == "Bearer t"


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain; charset=utf-8"])
async def test_an_answer_may_be_a_form(kind: str) -> None:
    page = Page(200, {"content-type": kind}, b"access_token=t&token_type=mac&expires_in=5")
    assert (await Server(lambda _: page).tokens().header(CLIENT)).reveal() == "mac t"


@pytest.mark.parametrize(("kind", "expected"), [("bearer", "Bearer t"), ("", "Bearer t")])
async def test_the_kind_of_a_token_is_written_as_servers_want_it(kind: str, expected: str) -> None:
    page = granted(token_type=kind)
    assert (await Server(lambda _: page).tokens().header(CLIENT)).reveal() == expected
