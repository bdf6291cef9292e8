"""How this stage goes out over HTTP, as a configuration writes it: credentials, TLS, redirects.

Source: Prometheus documentation, "Configuration", `http_config`. A field `x: Secret | None`
may have a twin `x_file`; the loader reads that file into `x`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from tocsin.metrics_collector.ports import FetchOptions
from tocsin.model.secret import Secret
from tocsin.model.settings import Finding


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every configuration struct of this room."""


class BasicAuth(Section, frozen=True, kw_only=True):
    """User and password of RFC 7617."""

    username: str = ""
    """User name."""
    password: Secret | None = None
    """Password."""
    password_file: str = ""
    """File that holds the password."""


class Authorization(Section, frozen=True, kw_only=True):
    """Scheme and credentials of the Authorization header."""

    type: str = "Bearer"
    """Scheme."""
    credentials: Secret | None = None
    """Credentials."""
    credentials_file: str = ""
    """File that holds the credentials."""


class TlsConfig(Section, frozen=True, kw_only=True):
    """How to verify the other side and to prove who we are."""

    ca_file: str = ""
    """PEM file of the authorities to trust; empty: the system's."""
    cert_file: str = ""
    """PEM file of the certificate to show."""
    key_file: str = ""
    """PEM file of its key."""
    server_name: str = ""
    """Name to expect in the certificate; empty: the host of the address."""
    insecure_skip_verify: bool = False
    """Accept any certificate."""


class HttpClient(Section, frozen=True, kw_only=True):
    """What scrape jobs and `http_sd_configs` share."""

    basic_auth: BasicAuth | None = None
    """User and password."""
    authorization: Authorization | None = None
    """Authorization header."""
    bearer_token: Secret | None = None
    """Bearer token (old form of `authorization`)."""
    bearer_token_file: str = ""
    """File that holds the bearer token."""
    tls_config: TlsConfig = msgspec.field(default_factory=TlsConfig)
    """TLS."""
    follow_redirects: bool = True
    """Follow redirects within the host."""
    enable_http2: bool = True
    """Accepted; HTTP/1.1 is spoken."""
    oauth2: Any = None
    """Not built yet."""
    http_headers: Any = None
    """Not built yet."""
    proxy_url: str = ""
    """Not built yet."""
    no_proxy: str = ""
    """Not built yet."""
    proxy_from_environment: bool = False
    """Not built yet."""
    proxy_connect_header: Any = None
    """Not built yet."""


HTTP_NOT_BUILT = (
    "oauth2",
    "http_headers",
    "proxy_url",
    "no_proxy",
    "proxy_from_environment",
    "proxy_connect_header",
)


def not_built(section: Section, names: tuple[str, ...]) -> Iterator[Finding]:
    """Return a finding for each of these fields that is given."""
    for name in names:
        if getattr(section, name):
            yield Finding((name,), f"{name} is not built yet: it comes with the next release")


def check_http_client(client: HttpClient) -> Iterator[Finding]:
    """Return what is wrong with credentials and TLS, and what is not built."""
    yield from not_built(client, HTTP_NOT_BUILT)
    ways = (
        client.basic_auth,
        client.authorization,
        client.bearer_token or client.bearer_token_file,
    )
    if sum(bool(way) for way in ways) > 1:
        yield Finding((), "at most one of basic_auth, authorization and bearer_token may be given")
    if client.authorization and client.authorization.type.strip().lower() == "basic":
        path = ("authorization", "type")
        yield Finding(path, 'authorization type cannot be "basic": use basic_auth')
    tls = client.tls_config
    if bool(tls.cert_file) != bool(tls.key_file):
        yield Finding(("tls_config",), "cert_file and key_file go together")


def fetch_options(client: HttpClient) -> FetchOptions:
    """Return how the other side is reached."""
    tls = client.tls_config
    return FetchOptions(
        follow_redirects=client.follow_redirects,
        verify=not tls.insecure_skip_verify,
        ca_file=tls.ca_file,
        cert_file=tls.cert_file,
        key_file=tls.key_file,
        server_name=tls.server_name,
    )


def authorization_of(client: HttpClient) -> Secret | None:
    """Return the value of the Authorization header, None for none."""
    if client.basic_auth is not None:
        password = client.basic_auth.password.reveal() if client.basic_auth.password else ""
        pair = f"{client.basic_auth.username}:{password}".encode()
        return Secret(f"Basic {base64.b64encode(pair).decode()}")
    if client.authorization is not None and client.authorization.credentials:
        scheme = client.authorization.type.strip() or "Bearer"
        return Secret(f"{scheme} {client.authorization.credentials.reveal().strip()}")
    if client.bearer_token:
        return Secret(f"Bearer {client.bearer_token.reveal().strip()}")
    return None
