"""Where a tenant's metrics are kept when not in this process, as a configuration writes it.

Only what one tenant says about its own backend is checked here; what several tenants of one
backend may say is checked in `tenants`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

import msgspec

from tocsin.metrics_collector.http_config import (
    Authorization,
    BasicAuth,
    HttpClient,
    OAuth2,
    ProxyConfig,
    Section,
    TlsConfig,
    check_http_client,
    gaps_of_client,
)
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration, Finding, duration

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token
_SHORTEST = Duration(milliseconds=1)
_OURS = ("authorization", "connection", "content-encoding", "content-length", "content-type")
_OURS_TOO = ("accept-encoding", "host", "transfer-encoding", "user-agent")


class BackendKind(StrEnum):
    """Which server it is: that decides paths, and how a tenant is named."""

    PROMETHEUS = "prometheus"
    MIMIR = "mimir"
    VICTORIAMETRICS = "victoriametrics"
    VICTORIAMETRICS_CLUSTER = "victoriametrics_cluster"
    THANOS = "thanos"
    GENERIC = "generic"


class BackendConfig(ProxyConfig, frozen=True, kw_only=True):
    """A Prometheus-compatible server that holds this tenant's metrics and answers its rules."""

    kind: BackendKind
    """Which server it is. `generic` asks below `url` as it stands."""
    url: str
    """Address, without `/api/v1`. `{tenant}` stands for the tenant's name there."""
    tenant_map: dict[str, str] = msgspec.field(default_factory=dict)
    """Names of our tenants there; a tenant without an entry has its own id. A cluster of
    VictoriaMetrics wants numbers, `account` or `account:project`."""
    tenant_header: str = ""
    """Header that names the tenant. Empty: the one of its kind (`X-Scope-OrgID`, `THANOS-TENANT`),
    none for the others."""
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    """Further headers of every request."""
    basic_auth: BasicAuth | None = None
    """User and password."""
    authorization: Authorization | None = None
    """Authorization header."""
    oauth2: OAuth2 | None = None
    """Authorization by OAuth 2.0."""
    tls_config: TlsConfig = msgspec.field(default_factory=TlsConfig)
    """TLS."""
    timeout: Duration = duration("10s")
    """How long one query may take, its second try included."""
    max_in_flight: int = 8
    """Queries of rules under way at a time at this address; of several tenants that use it the
    smallest number counts."""
    remote_write_url: str = ""
    """Where results of rules are written to (remote write 1.0). Empty: they stay here.
    `{tenant}` stands for the tenant's name there."""
    queue_samples: int = 100_000
    """Samples that may wait, in memory, to be written."""


class BackendPart(Section, frozen=True, kw_only=True):
    """Where a tenant's metrics are, when not here."""

    backend: BackendConfig | None = None
    """A Prometheus-compatible server that answers the rules and queries of this tenant. Absent:
    the store of this process."""


def check_backend(config: BackendConfig) -> Iterator[Finding]:
    """Return what is wrong with one tenant's backend."""
    yield from _check_url(config.url, "url")
    if config.remote_write_url:
        yield from _check_url(config.remote_write_url, "remote_write_url")
    yield from check_http_client(http_client(config))
    yield from gaps_of_client(http_client(config))
    yield from _check_headers(config)
    if config.timeout < _SHORTEST:
        yield Finding(("timeout",), "must be at least 1ms")
    for name in ("max_in_flight", "queue_samples"):
        if getattr(config, name) < 1:
            yield Finding((name,), "must be at least 1")


def http_client(config: BackendConfig) -> HttpClient:
    """Return credentials and TLS in the form this room's HTTP takes."""
    return HttpClient(
        basic_auth=config.basic_auth,
        authorization=config.authorization,
        oauth2=config.oauth2,
        tls_config=config.tls_config,
        follow_redirects=False,
        **{name: getattr(config, name) for name in ProxyConfig.__struct_fields__},
    )


def _check_url(url: str, field: str) -> Iterator[Finding]:
    parts = _parts(url.replace("{tenant}", "0"))
    if parts is None:
        yield Finding((field,), f'"{url}" is no http or https URL')
    elif parts.username is not None or parts.password is not None:
        yield Finding((field,), "a URL bears no credentials: use basic_auth or authorization")
    elif parts.query or parts.fragment:
        yield Finding((field,), "a URL ends with its path: no query, no fragment")


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if good else None


def _check_headers(config: BackendConfig) -> Iterator[Finding]:
    if config.tenant_header and not _is_free(config.tenant_header):
        yield Finding(("tenant_header",), f'"{config.tenant_header}" is no header of yours to set')
    for name, value in config.headers.items():
        if not _is_free(name) or name.lower() == config.tenant_header.lower():
            yield Finding(("headers", name), f'"{name}" is no header of yours to set')
        elif not _is_text(value.reveal()):
            yield Finding(("headers", name), "a header is one line of printable characters")


def _is_free(name: str) -> bool:
    return bool(_HEADER.fullmatch(name)) and name.lower() not in (*_OURS, *_OURS_TOO)


def _is_text(value: str) -> bool:
    return value.isascii() and value.isprintable()
