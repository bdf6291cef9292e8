"""E-mail: one message over SMTP, text and HTML side by side.

The Message-Id follows from the notification, so that a mail sent twice is one mail to a
reader; the date is when the group was flushed. Sources: RFC 5322, RFC 2046 section 5.1.4,
RFC 3834 (Auto-Submitted).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email import policy
from email.charset import QP, Charset
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.utils import format_datetime, formataddr, getaddresses

import msgspec

from tocsin.model.errors import InvalidInput
from tocsin.model.notification import Answer, Notification
from tocsin.model.secret import Secret
from tocsin.model.settings import Finding
from tocsin.notification_dispatcher.config import (
    Defaults,
    IntegrationConfig,
    Section,
    TlsConfig,
    http_options,
    plain,
)
from tocsin.notification_dispatcher.ports import Mail, Smtp, SmtpServer
from tocsin.notification_dispatcher.provider import Context, Provider, ProviderSpec, Renderer

SMTPS_PORT = 465  # implicit TLS (RFC 8314)
SUBJECT = '{{ template "email.default.subject" . }}'
HTML = '{{ template "email.default.html" . }}'
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_ADDRESSES = frozenset({"To", "From", "Cc", "Bcc", "Reply-To", "Sender"})
_OURS = frozenset({"Date", "Mime-Version", "Content-Type", "Content-Transfer-Encoding"})
_CRLF = policy.compat32.clone(linesep="\r\n")


class Threading(Section, frozen=True, kw_only=True):
    """`threading`: mails of one group refer to one root, so that readers show one thread."""

    enabled: bool = False
    """Whether mails of one group are shown as one thread."""
    thread_by_date: str = "daily"
    """`daily`: a thread for each day. `none`: one thread for ever."""


class EmailConfig(IntegrationConfig, frozen=True, kw_only=True):
    """One entry of `email_configs`; what is left out comes from `global.smtp_…`."""

    to: str = ""
    """Recipients, separated by commas; a template."""
    from_: str = msgspec.field(name="from", default="")
    """Sender; a template. Empty: `global.smtp_from`."""
    hello: str = ""
    """Name we greet the mail server with. Empty: `global.smtp_hello`."""
    smarthost: str = ""
    """Mail server, `host:port`. Empty: `global.smtp_smarthost`."""
    auth_username: str = ""
    """User at the mail server. Empty: `global.smtp_auth_username`."""
    auth_password: Secret | None = None
    """Password for PLAIN and LOGIN. Not given: `global.smtp_auth_password`."""
    auth_password_file: str = ""
    """File that holds `auth_password`."""
    auth_secret: Secret | None = None
    """Secret for CRAM-MD5. Not given: `global.smtp_auth_secret`."""
    auth_secret_file: str = ""
    """File that holds `auth_secret`."""
    auth_identity: str = ""
    """Identity to act as, for PLAIN. Empty: `global.smtp_auth_identity`."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Headers of the mail, templates; they win over our own `Subject`, `To` and `From`."""
    html: str = HTML
    """Body as HTML; a template that escapes. Empty: no HTML part."""
    text: str = ""
    """Body as plain text; a template. Empty: no such part, unless there is no HTML either."""
    require_tls: bool | None = None
    """Whether mail is only sent over TLS. Not given: `global.smtp_require_tls`."""
    force_implicit_tls: bool | None = None
    """Speak TLS from the first byte. Not given: `global.smtp_force_implicit_tls`."""
    tls_config: TlsConfig | None = None
    """How the mail server is verified. Not given: `global.smtp_tls_config`."""
    threading: Threading = Threading()
    """How mail readers group the mails of a group."""


@dataclass(frozen=True, slots=True)
class Email(Provider):
    """Submits one message to the smarthost."""

    config: EmailConfig
    smtp: Smtp

    async def send(self, notification: Notification, context: Context) -> Answer:
        """Submit the message once."""
        mail = compose(self.config, notification, context.render)
        return await self.smtp.submit(_server(self.config), mail)


def compose(config: EmailConfig, notification: Notification, render: Renderer) -> Mail:
    """Return the message and its envelope. Raises InvalidInput when an address is unusable."""
    sender = _addresses(render.text(config.from_))
    recipients = _addresses(render.text(config.to))
    if len(sender) != 1:
        raise InvalidInput("from must be exactly one mail address")
    if not recipients:
        raise InvalidInput("to holds no mail address")
    message = MIMEMultipart("alternative", boundary=f"=_{notification.id}")
    host = sender[0].rpartition("@")[2]
    for name, value in _headers(config, notification, render, host).items():
        message[name] = _encoded(name, value)
    if config.text or not config.html:
        message.attach(_part("plain", render.text(config.text)))
    if config.html:
        message.attach(_part("html", render.html(config.html)))
    return Mail(sender[0], recipients, message.as_bytes(policy=_CRLF))


def _headers(
    config: EmailConfig, notification: Notification, render: Renderer, host: str
) -> dict[str, str]:
    templates = {"Subject": SUBJECT, "To": config.to, "From": config.from_}
    templates |= _canonical(config.headers)
    rendered = {name: " ".join(render.text(text).split()) for name, text in templates.items()}
    return {
        "Message-Id": f"<{notification.id}@{host}>",
        **rendered,
        **(_thread(config.threading, notification) if config.threading.enabled else {}),
        "Date": format_datetime(notification.flushed_at.astimezone(UTC)),
        "Auto-Submitted": "auto-generated",
    }


def _thread(threading: Threading, notification: Notification) -> dict[str, str]:
    group = hashlib.sha256(notification.group_key.encode()).hexdigest()[:16]
    day = f"{notification.flushed_at.astimezone(UTC):%Y-%m-%d}"
    daily = threading.thread_by_date == "daily"
    root = f"<alert-{group}-{day}@alertmanager>" if daily else f"<alert-{group}@alertmanager>"
    return {"References": root, "In-Reply-To": root}


def _encoded(name: str, value: str) -> str:
    if value.isascii():
        return value
    if name in _ADDRESSES:
        return ", ".join(formataddr(pair) for pair in getaddresses([value]))
    return Header(value.encode("utf-8", "replace").decode(), "utf-8", header_name=name).encode()


def _part(subtype: str, body: str) -> MIMENonMultipart:
    charset = Charset("utf-8")
    charset.body_encoding = QP
    part = MIMENonMultipart("text", subtype)
    part.set_payload(body.encode("utf-8", "replace").decode(), charset)
    return part


def _addresses(text: str) -> tuple[str, ...]:
    found = tuple(address for _, address in getaddresses([text]) if address)
    if any("@" not in address or not _fits_a_command(address) for address in found):
        raise InvalidInput("a mail address is not of the form name@host in ASCII")
    return found


def _fits_a_command(address: str) -> bool:
    return address.isascii() and address.isprintable() and " " not in address


def _canonical(headers: Mapping[str, str]) -> dict[str, str]:
    """Return header names as Go writes them: `message-id` becomes `Message-Id`."""
    return {name.title(): value for name, value in headers.items()}


def _server(config: EmailConfig) -> SmtpServer:
    host, port = host_port(config.smarthost)
    implicit = config.force_implicit_tls
    return SmtpServer(
        host=host,
        port=port,
        hello=config.hello,
        require_tls=config.require_tls is not False,
        implicit_tls=port == SMTPS_PORT if implicit is None else implicit,
        username=config.auth_username,
        password=plain(config.auth_password),
        secret=plain(config.auth_secret),
        identity=config.auth_identity,
        tls=http_options(config.tls_config),
    )


def host_port(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`, brackets around IPv6 removed. Raises InvalidInput."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isdecimal() and 0 < int(port[:6]) < 65536):
        raise InvalidInput(f"{text!r} is not of the form host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _merge(config: EmailConfig, defaults: Defaults) -> EmailConfig:
    return msgspec.structs.replace(
        config,
        from_=config.from_ or defaults.smtp_from,
        hello=config.hello or defaults.smtp_hello,
        smarthost=config.smarthost or defaults.smtp_smarthost,
        auth_username=config.auth_username or defaults.smtp_auth_username,
        auth_password=config.auth_password or defaults.smtp_auth_password,
        auth_secret=config.auth_secret or defaults.smtp_auth_secret,
        auth_identity=config.auth_identity or defaults.smtp_auth_identity,
        require_tls=_first(config.require_tls, defaults.smtp_require_tls),
        force_implicit_tls=_first(config.force_implicit_tls, defaults.smtp_force_implicit_tls),
        tls_config=config.tls_config or defaults.smtp_tls_config,
    )


def _first(own: bool | None, default: bool | None) -> bool | None:  # noqa: FBT001 - tri-state
    return default if own is None else own


def _check(config: EmailConfig) -> tuple[Finding, ...]:
    return (*_missing(config), *_malformed(config))


def _missing(config: EmailConfig) -> Iterator[Finding]:
    if not config.to:
        yield Finding((), "to is missing")
    if not config.from_:
        yield Finding((), "from is missing, and so is global.smtp_from")
    if not config.smarthost:
        yield Finding((), "smarthost is missing, and so is global.smtp_smarthost")


def _malformed(config: EmailConfig) -> Iterator[Finding]:
    if config.smarthost:
        try:
            host_port(config.smarthost)
        except InvalidInput as error:
            yield Finding(("smarthost",), str(error))
    if len(_canonical(config.headers)) < len(config.headers):
        yield Finding(("headers",), "two headers differ only in case")
    for name in config.headers:
        if not _HEADER_NAME.fullmatch(name) or name.title() in _OURS:
            yield Finding(("headers", name), f"{name!r} cannot be set as a mail header")
    if config.threading.thread_by_date not in ("daily", "none"):
        yield Finding(("threading", "thread_by_date"), "thread_by_date is daily or none")
    if config.tls_config:
        yield from (f.under("tls_config") for f in config.tls_config.findings())


SPEC = ProviderSpec(
    "email_configs",
    EmailConfig,
    lambda config, wire: Email(config, wire.smtp),
    merge=_merge,
    check=_check,
    endpoint=lambda config: config.smarthost,
)
