"""The real way out: HTTP by aiohttp, mail by aiosmtplib. One request each, never a second.

No redirect is followed, no proxy is taken from the environment, no cookie is kept, and of an
answer 64 KiB are read. Every address is shown to the guard before a socket to it is made, so
that a name cannot pass the check and then resolve to something else.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import aiohttp
import aiosmtplib

from tocsin.model.errors import Unreachable
from tocsin.model.notification import HttpAnswer, SmtpAnswer
from tocsin.notification_dispatcher.ports import (
    Http,
    HttpCall,
    HttpOptions,
    Mail,
    Smtp,
    SmtpServer,
)

LONGEST_ANSWER = 64 << 10  # bytes

Guard = Callable[[str], bool]
"""Tells whether an IP address may be connected to."""

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


def anywhere(address: str) -> bool:
    """Allow every address."""
    del address
    return True


class Blocked(OSError):
    """The guard refused an address."""


class AiohttpTransport(Http):
    """Outgoing HTTP; one pool of connections for each set of options. Close it at the end."""

    def __init__(self, *, guard: Guard = anywhere) -> None:
        """Connect only where `guard` allows."""
        self._guard = guard
        self._sessions: dict[HttpOptions, aiohttp.ClientSession] = {}
        self._opening = asyncio.Lock()

    async def send(self, call: HttpCall, options: HttpOptions) -> HttpAnswer:
        """Return the answer, whatever its status. Raises Unreachable when there is none."""
        try:
            session = await self._session(options)
            return await _exchange(session, call, options)
        except TimeoutError as error:
            raise Unreachable(f"no answer within {call.timeout_s:g} s") from error
        except aiohttp.InvalidURL as error:
            raise Unreachable("the URL is not valid") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(_in_words(error)) from error

    async def close(self) -> None:
        """Close every connection. Calling again does nothing."""
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()

    async def _session(self, options: HttpOptions) -> aiohttp.ClientSession:
        async with self._opening:
            if options not in self._sessions:
                context = await asyncio.to_thread(tls_context, options)
                self._sessions[options] = self._open(context)
            return self._sessions[options]

    def _open(self, context: ssl.SSLContext) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, ssl=context, socket_factory=self._socket)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        return guarded_socket(self._guard, info)


class AiosmtplibTransport(Smtp):
    """Outgoing mail; one connection a message."""

    def __init__(self, *, guard: Guard = anywhere) -> None:
        """Connect only where `guard` allows."""
        self._guard = guard
        self._contexts: dict[HttpOptions, ssl.SSLContext] = {}

    async def submit(self, server: SmtpServer, mail: Mail) -> SmtpAnswer:
        """Return the server's last reply. Raises Unreachable when there is no conversation."""
        try:
            async with asyncio.timeout(server.timeout_s):
                return await self._converse(server, mail)
        except aiosmtplib.SMTPRecipientsRefused as error:
            first = error.recipients[0]
            return SmtpAnswer(first.code, first.message)
        except aiosmtplib.SMTPResponseException as error:
            return SmtpAnswer(error.code, error.message)
        except TimeoutError as error:
            raise Unreachable(f"no reply within {server.timeout_s:g} s") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Unreachable(_in_words(error)) from error

    async def _converse(self, server: SmtpServer, mail: Mail) -> SmtpAnswer:
        client = aiosmtplib.SMTP(
            hostname=server.tls.server_name or server.host,
            sock=await self._connected(server.host, server.port),
            local_hostname=server.hello or None,
            timeout=server.timeout_s,
            use_tls=server.implicit_tls,
            start_tls=False,
            tls_context=await self._context(server),
        )
        try:
            await client.connect()
            return await _hand_over(client, server, mail)
        finally:
            client.close()

    async def _connected(self, host: str, port: int) -> socket.socket:
        loop = asyncio.get_running_loop()
        failure = OSError("the name has no address")
        for info in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                return await _connect(guarded_socket(self._guard, info), info[4])
            except OSError as error:
                failure = error
        raise failure

    async def _context(self, server: SmtpServer) -> ssl.SSLContext | None:
        if not (server.require_tls or server.implicit_tls):
            return None
        if server.tls not in self._contexts:
            self._contexts[server.tls] = await asyncio.to_thread(tls_context, server.tls)
        return self._contexts[server.tls]


def tls_context(options: HttpOptions) -> ssl.SSLContext:
    """Return the TLS settings of `options`; reads its files. Raises OSError."""
    context = ssl.create_default_context(cafile=options.ca_file or None, cadata=options.ca or None)
    if options.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.cert_file:
        context.load_cert_chain(options.cert_file, options.key_file)
    if options.min_version:
        context.minimum_version = _VERSIONS[options.min_version]
    if options.max_version:
        context.maximum_version = _VERSIONS[options.max_version]
    return context


def guarded_socket(guard: Guard, info: tuple[Any, ...]) -> socket.socket:
    """Return a non-blocking socket for one result of getaddrinfo.

    Raises Blocked when the guard refuses its address.
    """
    family, kind, protocol, _, address = info
    if not guard(str(address[0])):
        raise Blocked("the address is blocked")
    sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)
    return sock


async def _connect(sock: socket.socket, address: Any) -> socket.socket:
    with ExitStack() as undo:
        undo.callback(sock.close)
        await asyncio.get_running_loop().sock_connect(sock, address)
        undo.pop_all()
    return sock


async def _exchange(
    session: aiohttp.ClientSession, call: HttpCall, options: HttpOptions
) -> HttpAnswer:
    async with session.request(
        call.method,
        call.url,
        data=call.body,
        headers=call.headers,
        allow_redirects=False,
        proxy=options.proxy_url or None,
        server_hostname=options.server_name or None,
        timeout=aiohttp.ClientTimeout(total=call.timeout_s),
    ) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpAnswer(response.status, headers, await _body(response))


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Return the first 64 KiB; a longer answer is dropped with its connection."""
    body = b""
    while len(body) < LONGEST_ANSWER:
        part = await response.content.read(LONGEST_ANSWER - len(body))
        if not part:
            return body
        body += part
    if not response.content.at_eof():
        response.close()
    return body


async def _hand_over(client: aiosmtplib.SMTP, server: SmtpServer, mail: Mail) -> SmtpAnswer:
    encrypted = server.implicit_tls
    await client.ehlo()
    if server.require_tls and not encrypted:
        if not client.supports_extension("starttls"):
            return SmtpAnswer(454, "require_tls is set and the server does not offer STARTTLS")
        await client.starttls()
        await client.ehlo()
        encrypted = True
    if server.username and client.supports_extension("auth"):
        if not encrypted and not _is_loopback(server.host):
            return SmtpAnswer(538, "refusing to send credentials without TLS")
        await _log_in(client, server)
    refused, told = await client.sendmail(mail.sender, mail.recipients, mail.message)
    if refused:
        told = f"{told} ({len(refused)} of {len(mail.recipients)} recipients refused)"
    return SmtpAnswer(250, told)


async def _log_in(client: aiosmtplib.SMTP, server: SmtpServer) -> None:
    offered = client.supported_auth_methods
    if server.secret and "cram-md5" in offered:
        await client.auth_crammd5(server.username, server.secret)
    elif server.identity and "plain" in offered:
        await _plain_as(client, server)
    elif server.password:
        await client.login(server.username, server.password)


async def _plain_as(client: aiosmtplib.SMTP, server: SmtpServer) -> None:
    """Log in with an authorization identity (RFC 4616), which the library does not offer."""
    token = f"{server.identity}\0{server.username}\0{server.password}".encode()
    reply = await client.execute_command(b"AUTH", b"PLAIN", base64.b64encode(token))
    if reply.code != 235:
        raise aiosmtplib.SMTPAuthenticationError(reply.code, reply.message)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_words(error: Exception) -> str:
    """Return why nothing came back, without the URL or the text of the conversation."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return "the server's certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return "the host name does not resolve"
    cause = getattr(error, "os_error", error)
    told = getattr(cause, "strerror", None) or (str(cause) if isinstance(cause, Blocked) else "")
    return f"connection failed: {told or type(error).__name__}"
