"""What providers that post JSON over HTTP share: how the server is reached, and the one request.

Part of the base of plugins: knows no provider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from tocsin.model.notification import Answer, Notification
from tocsin.model.settings import Duration, Finding
from tocsin.notification_dispatcher.config import Defaults, HttpConfig, IntegrationConfig
from tocsin.notification_dispatcher.ports import Http, HttpCall
from tocsin.notification_dispatcher.provider import DEFAULT_TIMEOUT
from tocsin.notification_dispatcher.weblink import http_url

USER_AGENT = "Alertmanager/0.34.0"


class PostingConfig(IntegrationConfig, frozen=True, kw_only=True):
    """Base of one entry of a `…_configs` list whose provider posts over HTTP."""

    http_config: HttpConfig | None = None
    """How the server is reached. Not given: `global.http_config`."""
    timeout: Duration = Duration(0)
    """How long one request may take; 0: 30 s."""


async def post(
    http: Http, config: PostingConfig, url: str, *, body: bytes, headers: Mapping[str, str]
) -> Answer:
    """Post `body` once; what `http_config` says of headers wins. Raises Unreachable."""
    how = config.http_config or HttpConfig()
    sent = {**headers, **how.headers()}
    limit_s = timeout_of(config).total_seconds()
    return await http.send(HttpCall("POST", http_url(url), body, sent, limit_s), how.options())


def json_headers(notification: Notification) -> dict[str, str]:
    """Return the headers of JSON; the key is the same in every attempt."""
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Idempotency-Key": notification.id,
    }


def timeout_of(config: PostingConfig) -> timedelta:
    """Return how long a request may take."""
    return config.timeout or DEFAULT_TIMEOUT


def http_of(config: PostingConfig, defaults: Defaults) -> HttpConfig:
    """Return how the server is reached: the entry's own way, else that of `global`."""
    return config.http_config or defaults.http_config or HttpConfig()


def http_findings(config: PostingConfig) -> Iterator[Finding]:
    """Return what is wrong with `http_config`."""
    if config.http_config:
        yield from (f.under("http_config") for f in config.http_config.findings())
