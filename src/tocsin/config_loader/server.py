"""The sections of our own file that belong to the process, not to a stage.

Each field is followed by its description: the reference and the JSON Schema show it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from tocsin.model.settings import ByteSize, Duration, Finding, duration
from tocsin.telemetry.logs import Level, LogFormat

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
TenantRole = Literal["writer", "viewer", "responder", "editor", "tenant-admin"]
PlatformRole = Literal["platform-admin"]


class Auth(StrEnum):
    """Who may come in."""

    TOKEN = "token"  # noqa: S105  # the name of a method, not a token
    NONE = "none"


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every credential has."""

    name: str
    """What the token is called in logs and in the audit trail; unique within its list."""
    sha256: Sha256
    """SHA-256 of the token's text, 64 lower-case hex digits."""


class TokenConfig(Token, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credential of a tenant: whoever holds the token of this digest acts with this role."""

    role: TenantRole = "tenant-admin"
    """What the token allows."""


class PlatformTokenConfig(Token, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credential of the platform: whoever holds its token runs the service."""

    role: PlatformRole
    """What the token allows."""


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the server is reached."""

    listen: list[str] = msgspec.field(default_factory=lambda: ["127.0.0.1:9093"])
    """Addresses to listen on, `host:port`; an empty host means every interface."""
    external_url: str = ""
    """The URL under which people and Prometheus reach this server; links in notifications use it.
    Empty: made from the first address, with the host name where that is every interface."""
    route_prefix: str = ""
    """Path under which everything is served. Empty: the path of `external_url`."""
    auth: Auth = Auth.TOKEN
    """`token`: every request proves its tenant by a token. `none`: whoever reaches the port may
    do anything, to be used on loopback only."""
    insecure_http: bool = False
    """Allow plain HTTP on addresses other machines can reach (behind a TLS proxy)."""
    admin_api: bool = False
    """Let administrators of a tenant delete, clean and copy its samples over HTTP, below
    `/prometheus/api/v1/admin/tsdb`."""
    tokens: list[PlatformTokenConfig] = msgspec.field(default_factory=list)
    """Credentials of the platform itself, role `platform-admin`: reload and metrics, no tenant's
    data."""


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where data is kept, and how long."""

    path: str = "data"
    """Directory of all data, relative to this file."""
    retention: Duration = duration("15d")
    """How long samples are kept, unless a tenant says otherwise."""
    retention_size: ByteSize = ByteSize(0)
    """How much room the metrics of all tenants may take on disk; the oldest blocks go first. `0`:
    no bound."""
    out_of_order_time_window: Duration | None = None
    """How much older than the newest sample of its series a sample may be, unless a tenant says
    otherwise. Empty: scraped and recorded ones not at all, received ones 5 minutes."""
    history: Duration = duration("7d")
    """How long the alert log, delivered notifications and resolved incidents are kept. Expired
    silences are kept for 120 hours, as Alertmanager does."""


class LogConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is logged, and how."""

    level: Level = Level.INFO
    """Least severe message to log."""
    format: LogFormat = LogFormat.LOGFMT
    """Form of a line."""


class ReloadConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a changed configuration is taken over."""

    watch: bool = True
    """Reload when one of the files changes. SIGHUP and `POST /-/reload` work in any case."""


def check_server(server: ServerConfig) -> list[Finding]:
    """Return what is wrong with the section: addresses, URL, and doors left open."""
    findings = [f for i, address in enumerate(server.listen) for f in _listen(server, address, i)]
    if not server.listen:
        findings.append(Finding(("listen",), "at least one address to listen on is needed"))
    findings += _external_url(server.external_url) + _prefix(server.route_prefix)
    return findings + check_token_names(server.tokens, "tokens")


def check_token_names(tokens: Sequence[Token], *path: str) -> list[Finding]:
    """Return a finding for every name that an earlier token of the list at `path` has."""
    first: dict[str, int] = {}
    return [
        Finding((*path, index, "name"), f'a token named "{token.name}" exists already')
        for index, token in enumerate(tokens)
        if first.setdefault(token.name, index) != index
    ]


def route_prefix_of(server: ServerConfig) -> str:
    """Return the path everything is served under, without a slash at its end; "" is the root."""
    return (server.route_prefix or urlsplit(server.external_url).path).rstrip("/")


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches `host`; unknown names count as reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_address(address: str) -> tuple[str, int]:
    """Return host ("" for every interface) and port. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f'"{address}" is no address: write host:port, such as 127.0.0.1:9093')
    bracketed = host.startswith("[") and host.endswith("]")
    if ":" in host and not bracketed:
        raise ValueError(f'"{address}" is no address: put an IPv6 host in brackets')
    return host[1:-1] if bracketed else host, int(port)


def _listen(server: ServerConfig, address: str, index: int) -> list[Finding]:
    path = ("listen", index)
    try:
        host, _ = split_address(address)
    except ValueError as error:
        return [Finding(path, str(error))]
    if is_loopback(host) or server.insecure_http:
        return []
    if server.auth is Auth.NONE:
        why = "with auth: none anybody who reaches it may do anything"
    else:
        why = "tokens would cross the network unencrypted"
    advice = "listen on 127.0.0.1, or set insecure_http: true"
    return [Finding(path, f'"{address}" is reachable from other machines and {why}: {advice}')]


def _external_url(url: str) -> list[Finding]:
    if not url:
        return []
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    return [] if good else [Finding(("external_url",), f'"{url}" is no http or https URL')]


def _prefix(prefix: str) -> list[Finding]:
    if not prefix or prefix.startswith("/"):
        return []
    return [Finding(("route_prefix",), f'a route prefix begins with "/", got "{prefix}"')]
