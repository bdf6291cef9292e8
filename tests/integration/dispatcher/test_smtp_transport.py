"""Mail on real loopback sockets, against aiosmtpd."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from receiver_setup import certificate

from tocsin.model.errors import Unreachable
from tocsin.model.notification import SmtpAnswer
from tocsin.notification_dispatcher.ports import HttpOptions, Mail, SmtpServer
from tocsin.notification_dispatcher.transport import AiosmtplibTransport

RIGHT, WRONG = "right", "wr0ng-s3cr3t"
MAIL = Mail("t@x.test", ("a@x.test", "b@x.test"), b"Subject: hi\r\n\r\nbody\r\n.dot\r\n")


class Mailbox:
    """Takes mail; refuses recipients named in `refused`."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.encrypted: list[bool] = []
        self.logins: list[tuple[str, bytes, bytes]] = []
        self.refused: dict[str, str] = {}
        self.reply = "250 taken"

    async def handle_RCPT(  # noqa: PLR0917 - aiosmtpd calls it so
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        del server
        self.envelopes.append(envelope)
        self.encrypted.append(session.ssl is not None)
        return self.reply

    def authenticate(  # noqa: PLR0917 - aiosmtpd calls it so
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        del server, session, envelope
        if isinstance(data, LoginPassword):
            self.logins.append((mechanism, data.login, data.password))
            return AuthResult(success=data.password == RIGHT.encode(), handled=False)
        return AuthResult(success=False, handled=False)


class Servers:
    """Starts aiosmtpd on loopback ports."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._servers: list[asyncio.Server] = []

    async def listen(self, *, implicit: ssl.SSLContext | None = None, **options: Any) -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(self._mailbox, hostname="mx.test", **options),
            "127.0.0.1",
            0,
            ssl=implicit,
        )
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        for server in self._servers:
            server.close()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def servers(mailbox: Mailbox) -> AsyncIterator[Servers]:
    made = Servers(mailbox)
    yield made
    made.close()


@pytest.fixture
def context() -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(*certificate())
    return made


def at(port: int, **changes: Any) -> SmtpServer:
    settings: dict[str, Any] = {"hello": "me.test", "require_tls": False, "implicit_tls": False}
    return SmtpServer("127.0.0.1", port, **{**settings, "timeout_s": 5.0, **changes})


def trusting() -> HttpOptions:
    return HttpOptions(ca_file=str(certificate()[0]), server_name="tocsin.test")


async def test_the_message_arrives_unchanged(servers: Servers, mailbox: Mailbox) -> None:
    answer = await AiosmtplibTransport().submit(at(await servers.listen()), MAIL)
    assert answer == SmtpAnswer(250, "taken")
    (envelope,) = mailbox.envelopes
    assert envelope.mail_from == "t@x.test"
    assert envelope.rcpt_tos == ["a@x.test", "b@x.test"]
    assert envelope.original_content == MAIL.message


async def test_starttls_encrypts_when_it_is_required(
    servers: Servers, mailbox: Mailbox, context: ssl.SSLContext
) -> None:
    port = await servers.listen(tls_context=context)
    server = at(port, require_tls=True, tls=trusting())
    transport = AiosmtplibTransport()
    for _ in range(2):
        assert (await transport.submit(server, MAIL)).code == 250
    assert mailbox.encrypted == [True, True]


async def test_a_server_without_starttls_gets_nothing_when_it_is_required(
    servers: Servers, mailbox: Mailbox
) -> None:
    answer = await AiosmtplibTransport().submit(at(await servers.listen(), require_tls=True), MAIL)
    assert answer.code == 454
    assert mailbox.envelopes == []


async def test_a_certificate_that_is_not_trusted_ends_it(
    servers: Servers, mailbox: Mailbox, context: ssl.SSLContext
) -> None:
    port = await servers.listen(tls_context=context)
    with pytest.raises(Unreachable, match="certificate is not trusted"):
        await AiosmtplibTransport().submit(at(port, require_tls=True), MAIL)
    assert mailbox.envelopes == []


async def test_implicit_tls_speaks_it_from_the_start(
    servers: Servers, mailbox: Mailbox, context: ssl.SSLContext
) -> None:
    port = await servers.listen(implicit=context)
    server = at(port, implicit_tls=True, require_tls=True, tls=trusting())
    assert (await AiosmtplibTransport().submit(server, MAIL)).code == 250
    assert len(mailbox.envelopes) == 1


@pytest.mark.parametrize(
    ("changes", "mechanism"),
    [({}, "LOGIN PLAIN"), ({"identity": "boss"}, "PLAIN")],
)
async def test_credentials_are_handed_over(
    servers: Servers, mailbox: Mailbox, changes: dict[str, str], mechanism: str
) -> None:
    port = await servers.listen(authenticator=mailbox.authenticate, auth_require_tls=False)
    server = at(port, username="me", password=RIGHT, **changes)
    assert (await AiosmtplibTransport().submit(server, MAIL)).code == 250
    ((used, login, password),) = mailbox.logins
    assert used in mechanism
    assert (login, password) == (b"me", b"right")


@pytest.mark.parametrize("changes", [{}, {"identity": "boss"}])
async def test_wrong_credentials_are_an_answer(
    servers: Servers, mailbox: Mailbox, changes: dict[str, str]
) -> None:
    port = await servers.listen(authenticator=mailbox.authenticate, auth_require_tls=False)
    server = at(port, username="me", password=WRONG, **changes)
    answer = await AiosmtplibTransport().submit(server, MAIL)
    assert answer.code == 535
    assert "s3cr3t" not in repr((answer, server))
    assert mailbox.envelopes == []


async def test_a_refused_recipient_does_not_stop_the_others(
    servers: Servers, mailbox: Mailbox
) -> None:
    mailbox.refused = {"a@x.test": "550 unknown"}
    answer = await AiosmtplibTransport().submit(at(await servers.listen()), MAIL)
    assert answer.code == 250
    assert "1 of 2 recipients refused" in answer.text
    assert mailbox.envelopes[0].rcpt_tos == ["b@x.test"]


async def test_when_all_are_refused_the_reply_tells_why(servers: Servers, mailbox: Mailbox) -> None:
    mailbox.refused = {"a@x.test": "450 later", "b@x.test": "450 later"}
    answer = await AiosmtplibTransport().submit(at(await servers.listen()), MAIL)
    assert answer == SmtpAnswer(450, "later")


async def test_a_refused_message_is_an_answer(servers: Servers, mailbox: Mailbox) -> None:
    mailbox.reply = "554 no"
    answer = await AiosmtplibTransport().submit(at(await servers.listen()), MAIL)
    assert answer == SmtpAnswer(554, "no")


async def test_a_closed_port_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match="connection failed"):
        await AiosmtplibTransport().submit(at(port), MAIL)


async def test_a_server_that_says_nothing_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unreachable, match=r"no reply within 0\.2 s"):
            await AiosmtplibTransport().submit(at(port, timeout_s=0.2), MAIL)


async def test_the_guard_sees_the_address_first(servers: Servers, mailbox: Mailbox) -> None:
    port = await servers.listen()
    with pytest.raises(Unreachable, match="the address is blocked"):
        await AiosmtplibTransport(guard=lambda _: False).submit(at(port), MAIL)
    assert mailbox.envelopes == []


async def test_credentials_do_not_leave_unencrypted_for_another_host(
    servers: Servers, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await servers.listen(authenticator=mailbox.authenticate, auth_require_tls=False)
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def to_loopback(host: str, *args: Any, **kwargs: Any) -> Any:
        del host
        return await resolve("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(loop, "getaddrinfo", to_loopback)
    server = dataclasses.replace(at(port, username="me", password=RIGHT), host="mx.test")
    assert (await AiosmtplibTransport().submit(server, MAIL)).code == 538
    assert mailbox.logins == []
