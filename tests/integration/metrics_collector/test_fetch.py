"""Pages over real HTTP, on loopback."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tocsin.metrics_collector.backend.ports import Outgoing
from tocsin.metrics_collector.fetch import AiohttpFetch
from tocsin.metrics_collector.ports import PLAIN, FetchOptions, Page, TlsOptions
from tocsin.model.errors import LimitExceeded, Unreachable

MIB = 1 << 20


class Server:
    """An exporter that answers as its path says; `seen` keeps the headers of every request."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self.base = ""
        self.waiting = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append({name.lower(): value for name, value in request.headers.items()})
        match request.path:
            case "/gzip":
                body = gzip.compress(b"a 1\n" * 1000)
                return web.Response(body=body, headers={"Content-Encoding": "gzip"})
            case "/bomb":
                body = gzip.compress(b"0" * (32 * MIB))
                return web.Response(body=body, headers={"Content-Encoding": "gzip"})
            case "/moved":
                raise web.HTTPFound("/metrics")
            case "/away":
                raise web.HTTPFound("http://other.invalid/metrics")
            case "/round":
                raise web.HTTPFound("/round")
            case "/slow":
                self.waiting.set()
                await asyncio.Event().wait()
            case "/write":
                body = await request.read()
                return web.Response(text=f"{request.method} {body.decode()}")
        return web.Response(text="a 1\n", status=500 if request.path == "/broken" else 200)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def fetch() -> AsyncIterator[AiohttpFetch]:
    made = AiohttpFetch()
    yield made
    await made.close()
    await made.close()


async def get(
    fetch: AiohttpFetch,
    url: str,
    *,
    timeout_s: float = 5,
    limit: int = MIB,
    options: FetchOptions = PLAIN,
) -> Page:
    headers = {"Authorization": "Bearer t", "Accept-Encoding": "gzip"}
    return await fetch.get(url, headers=headers, timeout_s=timeout_s, limit=limit, options=options)


async def test_a_page_comes_with_status_and_headers(server: Server, fetch: AiohttpFetch) -> None:
    page = await get(fetch, f"{server.base}/metrics")
    assert (page.status, page.body) == (200, b"a 1\n")
    assert page.headers["content-type"].startswith("text/plain")
    assert server.seen[0]["authorization"] == "Bearer t"
    assert (await get(fetch, f"{server.base}/broken")).status == 500


async def test_a_compressed_page_is_unpacked(server: Server, fetch: AiohttpFetch) -> None:
    assert (await get(fetch, f"{server.base}/gzip")).body == b"a 1\n" * 1000


async def test_a_page_that_unpacks_beyond_the_limit_is_refused(
    server: Server, fetch: AiohttpFetch
) -> None:
    with pytest.raises(LimitExceeded, match="1048576"):
        await get(fetch, f"{server.base}/bomb")


async def test_a_page_of_exactly_the_limit_is_taken(server: Server, fetch: AiohttpFetch) -> None:
    assert (await get(fetch, f"{server.base}/metrics", limit=4)).body == b"a 1\n"
    with pytest.raises(LimitExceeded):
        await get(fetch, f"{server.base}/metrics", limit=3)


async def test_a_redirect_on_the_host_is_followed(server: Server, fetch: AiohttpFetch) -> None:
    assert (await get(fetch, f"{server.base}/moved")).body == b"a 1\n"
    stay = FetchOptions(follow_redirects=False)
    assert (await get(fetch, f"{server.base}/moved", options=stay)).status == 302


@pytest.mark.parametrize(("path", "why"), [("/away", "another host"), ("/round", "10 redirects")])
async def test_a_redirect_elsewhere_or_for_ever_is_not(
    server: Server, fetch: AiohttpFetch, path: str, why: str
) -> None:
    with pytest.raises(Unreachable, match=why):
        await get(fetch, server.base + path)


async def test_a_slow_target_is_given_up(server: Server, fetch: AiohttpFetch) -> None:
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
        await get(fetch, f"{server.base}/slow", timeout_s=0.2)


async def test_a_target_that_is_not_there_is_unreachable(fetch: AiohttpFetch) -> None:
    with pytest.raises(Unreachable):
        await get(fetch, "http://127.0.0.1:1/metrics")
    with pytest.raises(Unreachable):
        await get(fetch, "http://127.0.0.1:70000/metrics")


async def test_a_request_that_is_cancelled_ends(server: Server, fetch: AiohttpFetch) -> None:
    task = asyncio.create_task(get(fetch, f"{server.base}/slow"))
    await server.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_certificates_that_cannot_be_read_are_told(fetch: AiohttpFetch) -> None:
    for tls in (TlsOptions(ca_file="/nowhere"), TlsOptions(cert_file="/nowhere")):
        with pytest.raises(Unreachable):
            await get(fetch, "https://127.0.0.1:1/", options=FetchOptions(tls=tls))


async def test_a_request_with_a_body_is_sent_as_it_is(server: Server, fetch: AiohttpFetch) -> None:
    call = Outgoing("POST", f"{server.base}/write", {"Content-Type": "application/x-test"}, b"abc")
    page = await fetch.exchange(call, timeout_s=5, limit=MIB)
    assert (page.status, page.body) == (200, b"POST abc")
    assert server.seen[0]["content-type"] == "application/x-test"


async def test_a_request_with_a_body_follows_no_redirect(
    server: Server, fetch: AiohttpFetch
) -> None:
    call = Outgoing("GET", f"{server.base}/moved", {})
    assert (await fetch.exchange(call, timeout_s=5, limit=MIB)).status == 302


async def test_a_request_that_is_not_answered_is_given_up(
    server: Server, fetch: AiohttpFetch
) -> None:
    call = Outgoing("POST", f"{server.base}/slow", {}, b"x")
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
        await fetch.exchange(call, timeout_s=0.2, limit=MIB)
    with pytest.raises(Unreachable):
        await fetch.exchange(Outgoing("POST", "http://127.0.0.1:1/", {}), timeout_s=5, limit=MIB)
