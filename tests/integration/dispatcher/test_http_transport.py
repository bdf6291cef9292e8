"""HTTP on real loopback sockets: one request, no redirect, bounded answers, guarded addresses."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from receiver_setup import certificate

from tocsin.model.errors import Unreachable
from tocsin.notification_dispatcher.ports import DIRECT, HttpCall, HttpOptions
from tocsin.notification_dispatcher.transport import LONGEST_ANSWER, AiohttpTransport, tls_context

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A loopback server that answers every connection with fixed bytes, and keeps what it read."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.hang = False
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()
        self._servers: list[asyncio.Server] = []

    async def listen(self, context: ssl.SSLContext | None = None) -> str:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self._servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return f"{'https' if context else 'http'}://127.0.0.1:{port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = [h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")]
            body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
            self.requests.append(head + body)
            self.asked.set()
            if self.hang:
                await reader.read()  # until the client leaves
                self.gone.set()
            else:
                writer.write(self.answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def close(self) -> None:
        for server in self._servers:
            server.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    yield made
    await made.close()


@pytest.fixture
async def http() -> AsyncIterator[AiohttpTransport]:
    made = AiohttpTransport()
    yield made
    await made.close()


def call(url: str, *, body: bytes = b"{}", timeout_s: float = 5) -> HttpCall:
    headers = {"Content-Type": "application/json", "User-Agent": "Alertmanager/0.34.0"}
    return HttpCall("POST", url, body, headers, timeout_s)


async def test_the_request_arrives_as_it_was_given(server: Server, http: AiohttpTransport) -> None:
    answer = await http.send(call(await server.listen() + "/a%20b?c=d"), DIRECT)
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.headers["content-length"] == "2"
    (request,) = server.requests
    assert request.startswith(b"POST /a%20b?c=d HTTP/1.1\r\n")
    assert b"User-Agent: Alertmanager/0.34.0\r\n" in request
    assert request.endswith(b"\r\n\r\n{}")


async def test_a_redirect_is_an_answer_and_not_followed(
    server: Server, http: AiohttpTransport
) -> None:
    server.answer = b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
    assert (await http.send(call(await server.listen()), DIRECT)).status == 302
    assert len(server.requests) == 1


async def test_a_long_answer_is_cut(server: Server, http: AiohttpTransport) -> None:
    size = 10 * LONGEST_ANSWER
    server.answer = b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    answer = await http.send(call(await server.listen()), DIRECT)
    assert (answer.status, len(answer.body)) == (500, LONGEST_ANSWER)


async def test_silence_ends_at_the_time_limit(server: Server, http: AiohttpTransport) -> None:
    server.hang = True
    url = await server.listen()
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
        await http.send(call(url, timeout_s=0.2), DIRECT)


async def test_cancellation_closes_the_connection(server: Server, http: AiohttpTransport) -> None:
    server.hang = True
    sending = asyncio.create_task(http.send(call(await server.listen()), DIRECT))
    async with asyncio.timeout(5):
        await server.asked.wait()
        sending.cancel()
        await server.gone.wait()
    with pytest.raises(asyncio.CancelledError):
        await sending


@pytest.mark.parametrize(
    ("answer", "told"),
    [(b"", "connection failed"), (b"nonsense\r\n\r\n", "connection failed")],
)
async def test_a_broken_answer_is_unreachable(
    server: Server, http: AiohttpTransport, answer: bytes, told: str
) -> None:
    server.answer = answer
    url = await server.listen() + "/s3cr3t"
    with pytest.raises(Unreachable, match=told) as caught:
        await http.send(call(url), DIRECT)
    assert "s3cr3t" not in str(caught.value)


async def test_a_closed_port_is_unreachable(http: AiohttpTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match="connection failed"):
        await http.send(call(f"http://127.0.0.1:{port}/s3cr3t"), DIRECT)


async def test_a_url_that_is_none_is_unreachable(http: AiohttpTransport) -> None:
    with pytest.raises(Unreachable, match="the URL is not valid"):
        await http.send(call("http://"), DIRECT)


async def test_the_guard_sees_every_address_before_it_is_connected_to(server: Server) -> None:
    seen: list[str] = []

    def nowhere(address: str) -> bool:
        seen.append(address)
        return False

    http = AiohttpTransport(guard=nowhere)
    url = await server.listen()
    try:
        for host in (url, url.replace("127.0.0.1", "localhost")):
            with pytest.raises(Unreachable, match="the address is blocked"):
                await http.send(call(host), DIRECT)
    finally:
        await http.close()
    assert server.requests == []
    assert "127.0.0.1" in seen


async def test_a_certificate_is_verified_against_the_given_authority(
    server: Server, http: AiohttpTransport
) -> None:
    cert, key = certificate()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    url = await server.listen(context)
    with pytest.raises(Unreachable, match="certificate is not trusted"):
        await http.send(call(url), DIRECT)
    trusted = HttpOptions(ca_file=str(cert), server_name="tocsin.test")
    inline = HttpOptions(ca=cert.read_text(), server_name="tocsin.test", min_version="TLS12")
    anyone = HttpOptions(insecure_skip_verify=True, max_version="TLS12")
    for options in (trusted, inline, anyone):
        assert (await http.send(call(url), options)).status == 200


async def test_a_certificate_file_that_is_missing_is_unreachable(http: AiohttpTransport) -> None:
    with pytest.raises(Unreachable, match="No such file"):
        await http.send(call("https://127.0.0.1:1/"), HttpOptions(ca_file="/nowhere.pem"))


def test_a_client_certificate_is_loaded() -> None:
    cert, key = certificate()
    tls_context(HttpOptions(cert_file=str(cert), key_file=str(key)))
    with pytest.raises(ssl.SSLError):
        tls_context(HttpOptions(cert_file=str(cert), key_file=str(cert)))
