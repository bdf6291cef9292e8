"""How this stage goes out over HTTP, as a configuration writes it: credentials, TLS, proxies.

Source: Prometheus documentation, "Configuration", `http_config`. A field `x: Secret | None`
may have a twin `x_file`; the loader reads that file into `x`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from tocsin.metrics_collector.ports import FetchOptions, ProxyOptions, TlsOptions, TokenOptions
from tocsin.metrics_collector.proxy import SCHEMES
from tocsin.metrics_collector.tls import VERSIONS
from tocsin.model.secret import Secret
from tocsin.model.settings import Finding

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token
RESERVED_HEADERS = frozenset(
    (
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "user-agent",
        "www-authenticate",
        "x-prometheus-remote-read-version",
        "x-prometheus-remote-write-version",
        "x-prometheus-scrape-timeout-seconds",
    )
)  # as in Prometheus: these have a key of their own, or none may set them
_GRANT = "client_credentials"
_OWN_PARAMETERS = ("client_id", "client_secret", "scope")


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every configuration struct of this room."""


class BasicAuth(Section, frozen=True, kw_only=True):
    """User and password of RFC 7617."""

    username: str = ""
    """User name."""
    username_file: str = ""
    """File that holds the user name."""
    username_ref: str = ""
    """Not built: there is no secret manager."""
    password: Secret | None = None
    """Password."""
    password_file: str = ""
    """File that holds the password."""
    password_ref: str = ""
    """Not built: there is no secret manager."""


class Authorization(Section, frozen=True, kw_only=True):
    """Scheme and credentials of the Authorization header."""

    type: str = "Bearer"
    """Scheme."""
    credentials: Secret | None = None
    """Credentials."""
    credentials_file: str = ""
    """File that holds the credentials."""
    credentials_ref: str = ""
    """Not built: there is no secret manager."""


class TlsConfig(Section, frozen=True, kw_only=True):
    """How to verify the other side and to prove who we are."""

    ca: str = ""
    """PEM of the authorities to trust; neither this nor `ca_file`: the system's."""
    ca_file: str = ""
    """PEM file of the authorities to trust."""
    ca_ref: str = ""
    """Not built: there is no secret manager."""
    cert: str = ""
    """PEM of the certificate to show."""
    cert_file: str = ""
    """PEM file of the certificate to show. Files are read again when they change."""
    cert_ref: str = ""
    """Not built: there is no secret manager."""
    key: Secret | None = None
    """PEM of its key."""
    key_file: str = ""
    """PEM file of its key."""
    key_ref: str = ""
    """Not built: there is no secret manager."""
    server_name: str = ""
    """Name to expect in the certificate; empty: the host of the address."""
    insecure_skip_verify: bool = False
    """Accept any certificate."""
    min_version: str = ""
    """Oldest version to speak: `TLS10`, `TLS11`, `TLS12` or `TLS13`; empty: TLS12."""
    max_version: str = ""
    """Newest version to speak; empty: no limit."""


class ProxyConfig(Section, frozen=True, kw_only=True):
    """Through which proxy requests go."""

    proxy_url: Secret | None = None
    """HTTP or HTTPS proxy, with user and password if it asks for them."""
    no_proxy: str = ""
    """Hosts reached without it: names, addresses, networks (`10.0.0.0/8`), `*`; by commas."""
    proxy_from_environment: bool = False
    """Take proxies from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` (or in lower case) instead."""
    proxy_connect_header: dict[str, list[Secret]] = msgspec.field(default_factory=dict)
    """Headers for the proxy, with CONNECT."""


class OAuth2(ProxyConfig, frozen=True, kw_only=True):
    """An access token by client credentials: fetched, kept, fetched again before it ends."""

    client_id: str = ""
    """Who we are."""
    client_secret: Secret | None = None
    """Proof of it."""
    client_secret_file: str = ""
    """File that holds the client secret."""
    client_secret_ref: str = ""
    """Not built: there is no secret manager."""
    token_url: str = ""
    """Where tokens come from."""
    scopes: list[str] = msgspec.field(default_factory=list)
    """What the token is for."""
    endpoint_params: dict[str, str] = msgspec.field(default_factory=dict)
    """Further parameters of the request for a token."""
    tls_config: TlsConfig = msgspec.field(default_factory=TlsConfig)
    """TLS with the token server."""
    grant_type: str = ""
    """`client_credentials`, or nothing for it; other kinds of grants are not built."""
    client_certificate_key_id: str = ""
    """Not built: belongs to another kind of grant."""
    client_certificate_key: Secret | None = None
    """Not built: belongs to another kind of grant."""
    client_certificate_key_file: str = ""
    """Not built: belongs to another kind of grant."""
    client_certificate_key_ref: str = ""
    """Not built: belongs to another kind of grant."""
    signature_algorithm: str = ""
    """Not built: belongs to another kind of grant."""
    iss: str = ""
    """Not built: belongs to another kind of grant."""
    audience: str = ""
    """Not built: belongs to another kind of grant."""
    claims: dict[str, str] = msgspec.field(default_factory=dict)
    """Not built: belongs to another kind of grant."""


class HttpHeader(Section, frozen=True, kw_only=True):
    """The values of one header."""

    values: list[str] = msgspec.field(default_factory=list)
    """Values."""
    secrets: list[Secret] = msgspec.field(default_factory=list)
    """Values nobody may read."""
    files: list[str] = msgspec.field(default_factory=list)
    """Files that hold values nobody may read."""


class HttpClient(ProxyConfig, frozen=True, kw_only=True):
    """What scrape jobs and `http_sd_configs` share."""

    basic_auth: BasicAuth | None = None
    """User and password."""
    authorization: Authorization | None = None
    """Authorization header."""
    oauth2: OAuth2 | None = None
    """Authorization by OAuth 2.0."""
    bearer_token: Secret | None = None
    """Bearer token (old form of `authorization`)."""
    bearer_token_file: str = ""
    """File that holds the bearer token."""
    tls_config: TlsConfig = msgspec.field(default_factory=TlsConfig)
    """TLS."""
    http_headers: dict[str, HttpHeader] = msgspec.field(default_factory=dict)
    """Further headers of every request."""
    follow_redirects: bool = True
    """Follow redirects within the host."""
    enable_http2: bool = True
    """Accepted; HTTP/1.1 is spoken."""


def check_http_client(client: HttpClient) -> Iterator[Finding]:
    """Return what is wrong with credentials, TLS, headers and proxies."""
    ways = (
        client.basic_auth,
        client.authorization,
        client.oauth2,
        client.bearer_token or client.bearer_token_file,
    )
    if sum(bool(way) for way in ways) > 1:
        names = "basic_auth, authorization, oauth2 and bearer_token"
        yield Finding((), f"at most one of {names} may be given")
    if client.authorization and client.authorization.type.strip().lower() == "basic":
        path = ("authorization", "type")
        yield Finding(path, 'authorization type cannot be "basic": use basic_auth')
    for finding in check_tls(client.tls_config):
        yield finding.under("tls_config")
    yield from _check_proxy(client)
    for name in client.http_headers:
        yield from _check_header(name, "http_headers", RESERVED_HEADERS)
    if client.oauth2 is not None:
        for finding in _check_oauth2(client.oauth2):
            yield finding.under("oauth2")


def gaps_of_client(client: HttpClient) -> Iterator[Finding]:
    """Return what is asked for and not built, without which nothing can be reached."""
    yield from _gaps_of_refs(client.basic_auth, "basic_auth", ("username_ref", "password_ref"))
    yield from _gaps_of_refs(client.authorization, "authorization", ("credentials_ref",))
    yield from _gaps_of_refs(client.tls_config, "tls_config", ("ca_ref", "cert_ref", "key_ref"))
    yield from _gaps_of_proxy(client)
    oauth2 = client.oauth2
    if oauth2 is None:
        return
    yield from _gaps_of_refs(oauth2, "oauth2", ("client_secret_ref",))
    if oauth2.grant_type not in ("", _GRANT):
        message = f'grant_type "{oauth2.grant_type}" is not built: {_GRANT} is'
        yield Finding(("oauth2", "grant_type"), message)
    for finding in _gaps_of_proxy(oauth2):
        yield finding.under("oauth2")


def fetch_options(client: HttpClient) -> FetchOptions:
    """Return how the other side is reached."""
    return FetchOptions(
        follow_redirects=client.follow_redirects,
        tls=tls_options(client.tls_config),
        proxy=proxy_options(client),
        token=_token_options(client.oauth2) if client.oauth2 else None,
    )


def tls_options(tls: TlsConfig) -> TlsOptions:
    """Return how TLS is done."""
    return TlsOptions(
        verify=not tls.insecure_skip_verify,
        ca=tls.ca,
        ca_file=tls.ca_file,
        cert=tls.cert,
        cert_file=tls.cert_file,
        key=tls.key,
        key_file=tls.key_file,
        server_name=tls.server_name,
        min_version=tls.min_version,
        max_version=tls.max_version,
    )


def proxy_options(config: ProxyConfig) -> ProxyOptions:
    """Return through which proxy requests go."""
    headers = tuple(
        (name, Secret(", ".join(value.reveal() for value in values)))
        for name, values in sorted(config.proxy_connect_header.items())
    )
    return ProxyOptions(config.proxy_url, config.no_proxy, config.proxy_from_environment, headers)


def authorization_of(client: HttpClient) -> Secret | None:
    """Return the value of the Authorization header, None for none.

    One by OAuth 2.0 is not known beforehand: see `fetch_options`.
    """
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


def headers_of(client: HttpClient) -> tuple[tuple[str, Secret], ...]:
    """Return the further headers of every request; several values are joined by commas."""
    return tuple(
        (name, Secret(", ".join([*given.values, *(each.reveal() for each in given.secrets)])))
        for name, given in sorted(client.http_headers.items())
        if given.values or given.secrets
    )


def with_headers(headers: dict[str, str], more: tuple[tuple[str, Secret], ...]) -> dict[str, str]:
    """Return headers with more of them, plain; one that is there already gets further values."""
    made = dict(headers)
    there = {name.lower(): name for name in headers}
    for name, value in more:
        known = there.get(name.lower(), name)
        made[known] = f"{made[known]}, {value.reveal()}" if known in made else value.reveal()
    return made


def check_tls(tls: TlsConfig) -> Iterator[Finding]:
    """Return what is wrong with a TLS section."""
    if bool(tls.cert or tls.cert_file) != bool(tls.key or tls.key_file):
        yield Finding((), "a certificate and its key go together: cert_file and key_file")
    for name in ("ca", "cert"):
        if getattr(tls, name) and getattr(tls, f"{name}_file"):
            yield Finding((name,), f"give {name} or {name}_file, not both")
    for name in ("min_version", "max_version"):
        if getattr(tls, name) not in ("", *VERSIONS):
            yield Finding((name,), f"{name} must be one of {', '.join(VERSIONS)}")
    order = list(VERSIONS)
    both = tls.min_version in order and tls.max_version in order
    if both and order.index(tls.min_version) > order.index(tls.max_version):
        yield Finding(("min_version",), "min_version is newer than max_version")


def _check_header(name: str, key: str, reserved: frozenset[str]) -> Iterator[Finding]:
    if not _HEADER.fullmatch(name):
        yield Finding((key, name), f'"{name}" is no name of a header')
    elif name.lower() in reserved:
        yield Finding((key, name), f'header "{name}" may not be set here')


def _check_proxy(config: ProxyConfig) -> Iterator[Finding]:
    """Return what is wrong with a proxy; its URL is not shown, for it may hold a password."""
    given = bool(config.proxy_url)
    if config.proxy_from_environment and given:
        yield Finding(("proxy_url",), "proxy_from_environment and proxy_url exclude one another")
    if config.proxy_from_environment and config.no_proxy:
        yield Finding(("no_proxy",), "proxy_from_environment and no_proxy exclude one another")
    if config.no_proxy and not (given or config.proxy_from_environment):
        yield Finding(("no_proxy",), "no_proxy needs a proxy_url")
    if config.proxy_connect_header and not (given or config.proxy_from_environment):
        message = "proxy_connect_header needs a proxy_url or proxy_from_environment"
        yield Finding(("proxy_connect_header",), message)
    for name in config.proxy_connect_header:
        yield from _check_header(name, "proxy_connect_header", frozenset())
    if config.proxy_url and not _has_host(config.proxy_url.reveal()):
        yield Finding(("proxy_url",), "proxy_url is no URL such as http://proxy:3128")


def _gaps_of_proxy(config: ProxyConfig) -> Iterator[Finding]:
    scheme = config.proxy_url.reveal().partition("://")[0].lower() if config.proxy_url else "http"
    if scheme not in SCHEMES:
        yield Finding(("proxy_url",), f"a proxy by {scheme} is not built: http and https are")


def _gaps_of_refs(section: Section | None, key: str, names: tuple[str, ...]) -> Iterator[Finding]:
    for name in names:
        if section is not None and getattr(section, name):
            yield Finding((key, name), f"{name} is not built: there is no secret manager")


def _check_oauth2(oauth2: OAuth2) -> Iterator[Finding]:
    if not oauth2.client_id:
        yield Finding((), "oauth2 client_id must be configured")
    if not _has_host(oauth2.token_url, SCHEMES):
        yield Finding(("token_url",), f'"{oauth2.token_url}" is no http or https URL')
    for name in oauth2.endpoint_params:
        if name in _OWN_PARAMETERS:
            yield Finding(("endpoint_params", name), f"{name} has a key of its own")
    for finding in check_tls(oauth2.tls_config):
        yield finding.under("tls_config")
    yield from _check_proxy(oauth2)


def _has_host(url: str, schemes: tuple[str, ...] = ()) -> bool:
    """Tell whether a URL has a host, a port that is one, and one of these schemes (() for any)."""
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return sound and (not schemes or parts.scheme in schemes)


def _token_options(oauth2: OAuth2) -> TokenOptions:
    return TokenOptions(
        client_id=oauth2.client_id,
        client_secret=oauth2.client_secret or Secret(""),
        url=oauth2.token_url,
        scopes=tuple(oauth2.scopes),
        parameters=tuple(sorted(oauth2.endpoint_params.items())),
        tls=tls_options(oauth2.tls_config),
        proxy=proxy_options(oauth2),
    )
