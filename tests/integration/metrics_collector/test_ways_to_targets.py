"""Targets behind TLS, proxies and token servers, all of them real and on loopback."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from receiver_setup import certificate

from tocsin.app.clock import SystemClock
from tocsin.metrics_collector.config import MetricsConfig, ScrapeConfig
from tocsin.metrics_collector.discovery_config import DnsSdConfig, StaticConfig
from tocsin.metrics_collector.fakes import FakeSampleSink
from tocsin.metrics_collector.fetch import AiohttpFetch
from tocsin.metrics_collector.http_config import HttpHeader, OAuth2
from tocsin.metrics_collector.loop import Collector
from tocsin.metrics_collector.ports import (
    PLAIN,
    FetchOptions,
    Page,
    ProxyOptions,
    TlsOptions,
    TokenOptions,
)
from tocsin.metrics_collector.sd_dns import SystemResolver
from tocsin.model.errors import Unreachable
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration
from tocsin.model.tenant import tenant_id
from tocsin.telemetry.metrics import Registry

ACME = tenant_id("acme")
SECOND = Duration.parse("1s")
NAME = "tocsin.test"  # in the certificate


@dataclass(slots=True)
class Target:
    """An exporter that keeps what it was asked; with a `token` it wants that one."""

    port: int = 0
    token: str = ""
    seen: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(headers)
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        return web.Response(text="a 1\n")


Start = Callable[..., "asyncio.Future[int]"]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., object]]:
    """Return what starts a web server and returns its port."""
    runners: list[web.AppRunner] = []

    async def start(answer: Callable[..., object], context: ssl.SSLContext | None = None) -> int:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)  # type: ignore[arg-type]  # any handler
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        return int(runner.addresses[0][1])

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def fetch() -> AsyncIterator[AiohttpFetch]:
    made = AiohttpFetch({})
    yield made
    await made.close()


async def get(fetch: AiohttpFetch, url: str, options: FetchOptions = PLAIN) -> Page:
    return await fetch.get(url, headers={}, timeout_s=20, limit=1000, options=options)


def server_side(*, clients: bool = False, newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Return TLS of a server that shows our certificate, and may want to see it."""
    cert, key = certificate()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(cert))
    context.load_cert_chain(cert, key)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
    if newest:
        context.maximum_version = newest
    return context


def trusting(**more: object) -> TlsOptions:
    return TlsOptions(ca_file=str(certificate()[0]), server_name=NAME, **more)  # type: ignore[arg-type]  # a test's own keys


async def test_a_certificate_is_checked_against_the_authorities_given(
    serve: Start, fetch: AiohttpFetch
) -> None:
    url = f"https://127.0.0.1:{await serve(Target().answer, server_side())}/metrics"
    assert (await get(fetch, url, FetchOptions(tls=trusting()))).status == 200
    text = TlsOptions(ca=certificate()[0].read_text(), server_name=NAME)
    assert (await get(fetch, url, FetchOptions(tls=text))).status == 200
    for wrong in (TlsOptions(), TlsOptions(ca_file=str(certificate()[0]))):
        with pytest.raises(Unreachable):
            await get(fetch, url, FetchOptions(tls=wrong))
    assert (await get(fetch, url, FetchOptions(tls=TlsOptions(verify=False)))).status == 200


async def test_a_certificate_is_shown_from_files_or_as_text(
    serve: Start, fetch: AiohttpFetch
) -> None:
    url = f"https://127.0.0.1:{await serve(Target().answer, server_side(clients=True))}/"
    cert, key = certificate()
    for shown in (
        {"cert_file": str(cert), "key_file": str(key)},
        {"cert": cert.read_text(), "key": Secret(key.read_text())},
        {"cert_file": str(cert), "key": Secret(key.read_text())},
    ):
        assert (await get(fetch, url, FetchOptions(tls=trusting(**shown)))).status == 200
    with pytest.raises(Unreachable):
        await get(fetch, url, FetchOptions(tls=trusting()))


async def test_versions_of_tls_are_those_of_the_configuration(
    serve: Start, fetch: AiohttpFetch
) -> None:
    old = server_side(newest=ssl.TLSVersion.TLSv1_2)
    url = f"https://127.0.0.1:{await serve(Target().answer, old)}/"
    good = trusting(min_version="TLS12", max_version="TLS13")
    assert (await get(fetch, url, FetchOptions(tls=good))).status == 200
    with pytest.raises(Unreachable):
        await get(fetch, url, FetchOptions(tls=trusting(min_version="TLS13")))


async def test_certificates_are_read_again_when_their_files_change(
    serve: Start, fetch: AiohttpFetch, tmp_path: Path
) -> None:
    url = f"https://127.0.0.1:{await serve(Target().answer, server_side())}/"
    mine = tmp_path / "ca.pem"
    mine.write_text("no certificate")
    options = FetchOptions(tls=TlsOptions(ca_file=str(mine), server_name=NAME))
    with pytest.raises(Unreachable):
        await get(fetch, url, options)
    shutil.copyfile(certificate()[0], mine)
    assert (await get(fetch, url, options)).status == 200
    assert (await get(fetch, url, options)).status == 200
    mine.unlink()
    with pytest.raises(Unreachable):
        await get(fetch, url, options)


class Proxy:
    """An HTTP proxy: answers requests itself, and makes tunnels to one port for CONNECT."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.to = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        self.asked.append((head[0], headers))
        if head[0].startswith("CONNECT"):
            await self._tunnel(reader, writer)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            await writer.drain()
        writer.close()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(4096):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    sink.close()


@pytest.fixture
async def proxy() -> AsyncIterator[tuple[Proxy, str]]:
    made = Proxy()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    yield made, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_a_target_by_http_is_asked_through_the_proxy(
    fetch: AiohttpFetch, proxy: tuple[Proxy, str]
) -> None:
    made, place = proxy
    through = ProxyOptions(
        Secret(f"http://user:S3cret@{place}"), headers=(("X-Pass", Secret("1")),)
    )
    page = await get(fetch, "http://behind.invalid/metrics", FetchOptions(proxy=through))
    assert page.body == b"ok"
    [(line, headers)] = made.asked
    assert line == "GET http://behind.invalid/metrics HTTP/1.1"
    assert headers["proxy-authorization"].startswith("basic ")
    assert "x-pass" not in headers


async def test_a_target_by_https_is_reached_by_a_tunnel(
    serve: Start, fetch: AiohttpFetch, proxy: tuple[Proxy, str]
) -> None:
    made, place = proxy
    made.to = await serve(Target().answer, server_side())
    through = ProxyOptions(Secret(f"http://{place}"), headers=(("X-Pass", Secret("1")),))
    options = FetchOptions(tls=trusting(), proxy=through)
    assert (await get(fetch, "https://behind.invalid/metrics", options)).body == b"a 1\n"
    [(line, headers)] = made.asked
    assert line.startswith("CONNECT behind.invalid:443 ")
    assert headers["x-pass"] == "1"


async def test_what_is_spared_is_asked_directly(
    serve: Start, fetch: AiohttpFetch, proxy: tuple[Proxy, str]
) -> None:
    made, place = proxy
    url = f"http://127.0.0.1:{await serve(Target().answer)}/"
    through = ProxyOptions(Secret(f"http://{place}"), "elsewhere")
    assert (await get(fetch, url, FetchOptions(proxy=through))).body == b"a 1\n"
    assert made.asked == []


async def test_a_proxy_may_be_that_of_the_environment(proxy: tuple[Proxy, str]) -> None:
    made, place = proxy
    fetch = AiohttpFetch({"HTTP_PROXY": place, "NO_PROXY": "other.invalid"})
    try:
        asked = FetchOptions(proxy=ProxyOptions(from_environment=True))
        assert (await get(fetch, "http://behind.invalid/", asked)).body == b"ok"
        with pytest.raises(Unreachable):
            await get(fetch, "http://other.invalid:1/", asked)
        with pytest.raises(Unreachable):
            await get(fetch, "http://behind.invalid:1/")
    finally:
        await fetch.close()
    assert len(made.asked) == 1


async def test_a_proxy_that_does_not_answer_is_told_without_its_password(
    fetch: AiohttpFetch,
) -> None:
    away = ProxyOptions(Secret("http://user:S3cret@127.0.0.1:1"))
    with pytest.raises(Unreachable) as raised:
        await get(fetch, "http://behind.invalid/", FetchOptions(proxy=away))
    assert "S3cret" not in str(raised.value)


class Login:
    """A token server; each token is good until it says otherwise."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.forms: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        if not request.headers.get("Authorization", "").startswith("Basic "):
            return web.json_response({"error": "invalid_client"}, status=401)
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        self.target.token = f"t{len(self.forms)}"
        granted = {"access_token": self.target.token, "token_type": "bearer", "expires_in": 3600}
        return web.json_response(granted)


async def test_a_target_gets_a_token_and_a_new_one_when_it_refuses(
    serve: Start, fetch: AiohttpFetch
) -> None:
    target = Target()
    login = Login(target)
    token_url = f"https://127.0.0.1:{await serve(login.answer, server_side())}/token"
    options = FetchOptions(
        token=TokenOptions("me", Secret("x"), token_url, scopes=("read",), tls=trusting())
    )
    url = f"http://127.0.0.1:{await serve(target.answer)}/"
    assert [(await get(fetch, url, options)).status for _ in range(3)] == [200, 200, 200]
    assert login.forms == [{"grant_type": "client_credentials", "scope": "read"}]
    target.token = "another"  # noqa: S105 - of a test
    assert [(await get(fetch, url, options)).status for _ in range(2)] == [401, 200]
    assert len(login.forms) == 2


async def test_without_a_token_server_the_target_is_not_asked(
    serve: Start, fetch: AiohttpFetch
) -> None:
    target = Target()
    url = f"http://127.0.0.1:{await serve(target.answer)}/"
    token = TokenOptions("me", Secret("x"), "http://127.0.0.1:1/token")
    with pytest.raises(Unreachable, match="no access token"):
        await get(fetch, url, FetchOptions(token=token))
    assert target.seen == []


async def test_a_job_reaches_its_targets_by_all_of_it(serve: Start) -> None:
    target = Target()
    login = Login(target)
    port = await serve(target.answer)
    token_url = f"http://127.0.0.1:{await serve(login.answer)}/"
    job = ScrapeConfig(
        job_name="x",
        static_configs=[StaticConfig(targets=[f"127.0.0.1:{port}"])],
        dns_sd_configs=[DnsSdConfig(names=["localhost"], type="A", port=port)],
        oauth2=OAuth2(client_id="me", client_secret=Secret("x"), token_url=token_url),
        http_headers={"X-Team": HttpHeader(values=["a"], secrets=[Secret("b")])},
    )
    config = MetricsConfig(scrape_interval=SECOND, scrape_timeout=SECOND, scrape_configs=[job])
    sink, fetch = FakeSampleSink(), AiohttpFetch({})
    stage = Collector(sink, fetch, clock=SystemClock(), registry=Registry(version="0"))
    try:
        await stage.start(ACME, config)
        async with asyncio.timeout(30):
            while "a" not in sink.names(ACME):  # noqa: ASYNC110 - nothing tells of a sample
                await asyncio.sleep(0.02)
    finally:
        await stage.stop_all()
        await fetch.close()
    assert target.seen[-1]["x-team"] == "a, b"
    assert target.seen[-1]["authorization"] == f"Bearer {target.token}"
    assert {form["grant_type"] for form in login.forms} == {"client_credentials"}


async def test_the_resolver_of_this_machine_knows_itself() -> None:
    assert await SystemResolver().addresses("localhost", v6=False) == ["127.0.0.1"]
    assert await SystemResolver().addresses("127.0.0.1", v6=False) == ["127.0.0.1"]
    with pytest.raises(Unreachable, match="cannot look up"):
        await SystemResolver().addresses("a" * 70, v6=False)


async def test_a_name_that_is_none_has_no_addresses_or_nobody_to_ask() -> None:
    try:
        found = await SystemResolver().addresses("nowhere.invalid", v6=False)
    except Unreachable:
        return
    assert list(found) == []
