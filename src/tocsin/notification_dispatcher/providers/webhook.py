"""Webhook: POSTs Alertmanager's payload, or one written in the configuration, to a URL.

The headers `Idempotency-Key` and `webhook-id` (Standard Webhooks) carry the notification's
id, the same in every attempt, so that a receiver can drop what it has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from tocsin.model.notification import Answer, Notification
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration, Finding
from tocsin.notification_dispatcher.config import (
    Defaults,
    HttpConfig,
    IntegrationConfig,
    plain,
)
from tocsin.notification_dispatcher.payload import go_json, payload
from tocsin.notification_dispatcher.ports import Http, HttpCall
from tocsin.notification_dispatcher.provider import (
    DEFAULT_TIMEOUT,
    Context,
    Provider,
    ProviderSpec,
    Renderer,
)
from tocsin.notification_dispatcher.weblink import http_url, origin, url_findings

USER_AGENT = "Alertmanager/0.34.0"


class WebhookConfig(IntegrationConfig, frozen=True, kw_only=True):
    """One entry of `webhook_configs`.

    `max_alerts` 0 sends all. `timeout` 0 means the default of 30 s. `payload` replaces the
    body: every text in it is a template; a single text is sent as it comes out.
    """

    send_resolved: bool = True
    http_config: HttpConfig | None = None
    """How the server is reached. Not given: `global.http_config`."""
    url: Secret | None = None
    """Where to post; a template."""
    url_file: str = ""
    """File that holds `url`."""
    max_alerts: int = 0
    """How many alerts one request holds at most; 0: all of them."""
    timeout: Duration = Duration(0)
    """How long one request may take; 0: 30 s."""
    payload: Any = None
    """Body in place of Alertmanager's. Every text in it is a template; a single text is sent as it
    comes out."""


@dataclass(frozen=True, slots=True)
class Webhook(Provider):
    """Posts JSON to one URL."""

    config: WebhookConfig
    http: Http

    async def send(self, notification: Notification, context: Context) -> Answer:
        """Post the payload once."""
        config = self.config.http_config or HttpConfig()
        call = HttpCall(
            "POST",
            http_url(context.render.text(plain(self.config.url))),
            self._body(notification, context),
            {**_headers(notification), **config.headers()},
            _timeout(self.config).total_seconds(),
        )
        return await self.http.send(call, config.options())

    def _body(self, notification: Notification, context: Context) -> bytes:
        own = self.config.payload
        if own is None:
            most = self.config.max_alerts
            return payload(notification, external_url=context.external_url, max_alerts=most)
        rendered = _rendered(own, context.render)
        return rendered.encode() if isinstance(rendered, str) else go_json(rendered)


def _headers(notification: Notification) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Idempotency-Key": notification.id,
        "webhook-id": notification.id,
    }


def _rendered(value: Any, render: Renderer) -> Any:
    if isinstance(value, str):
        return render.text(value)
    if isinstance(value, dict):
        return {name: _rendered(member, render) for name, member in value.items()}
    return [_rendered(item, render) for item in value] if isinstance(value, list) else value


def _timeout(config: WebhookConfig) -> timedelta:
    return config.timeout or DEFAULT_TIMEOUT


def _merge(config: WebhookConfig, defaults: Defaults) -> WebhookConfig:
    return msgspec.structs.replace(
        config, http_config=config.http_config or defaults.http_config or HttpConfig()
    )


def _check(config: WebhookConfig) -> tuple[Finding, ...]:
    found = list(url_findings(config.url, field="url"))
    if config.max_alerts < 0:
        found.append(Finding(("max_alerts",), "max_alerts must not be negative"))
    if config.http_config:
        found += [f.under("http_config") for f in config.http_config.findings()]
    return tuple(found)


def _endpoint(config: WebhookConfig) -> str:
    return origin(plain(config.url))


SPEC = ProviderSpec(
    "webhook_configs",
    WebhookConfig,
    lambda config, wire: Webhook(config, wire.http),
    merge=_merge,
    check=_check,
    endpoint=_endpoint,
    timeout=_timeout,
)
