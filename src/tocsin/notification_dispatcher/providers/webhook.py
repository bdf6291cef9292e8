"""Webhook: POSTs Alertmanager's payload, or one written in the configuration, to a URL.

The headers `Idempotency-Key` and `webhook-id` (Standard Webhooks) carry the notification's
id, the same in every attempt, so that a receiver can drop what it has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from tocsin.model.notification import Answer, Notification
from tocsin.model.secret import Secret
from tocsin.model.settings import Finding
from tocsin.notification_dispatcher.config import Defaults, plain
from tocsin.notification_dispatcher.payload import go_json, payload
from tocsin.notification_dispatcher.ports import Http
from tocsin.notification_dispatcher.posting import (
    PostingConfig,
    http_findings,
    http_of,
    json_headers,
    post,
    timeout_of,
)
from tocsin.notification_dispatcher.provider import Context, Provider, ProviderSpec, Renderer
from tocsin.notification_dispatcher.weblink import origin, url_findings


class WebhookConfig(PostingConfig, frozen=True, kw_only=True):
    """One entry of `webhook_configs`."""

    send_resolved: bool = True
    url: Secret | None = None
    """Where to post; a template."""
    url_file: str = ""
    """File that holds `url`."""
    max_alerts: int = 0
    """How many alerts one request holds at most; 0: all of them."""
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
        url = context.render.text(plain(self.config.url))
        headers = {**json_headers(notification), "webhook-id": notification.id}
        body = self._body(notification, context)
        return await post(self.http, self.config, url, body=body, headers=headers)

    def _body(self, notification: Notification, context: Context) -> bytes:
        own = self.config.payload
        if own is None:
            most = self.config.max_alerts
            return payload(notification, external_url=context.external_url, max_alerts=most)
        rendered = _rendered(own, context.render)
        return rendered.encode() if isinstance(rendered, str) else go_json(rendered)


def _rendered(value: Any, render: Renderer) -> Any:
    if isinstance(value, str):
        return render.text(value)
    if isinstance(value, dict):
        return {name: _rendered(member, render) for name, member in value.items()}
    return [_rendered(item, render) for item in value] if isinstance(value, list) else value


def _merge(config: WebhookConfig, defaults: Defaults) -> WebhookConfig:
    return msgspec.structs.replace(config, http_config=http_of(config, defaults))


def _check(config: WebhookConfig) -> tuple[Finding, ...]:
    found = list(url_findings(config.url, field="url"))
    if config.max_alerts < 0:
        found.append(Finding(("max_alerts",), "max_alerts must not be negative"))
    return (*found, *http_findings(config))


def _endpoint(config: WebhookConfig) -> str:
    return origin(plain(config.url))


SPEC = ProviderSpec(
    "webhook_configs",
    WebhookConfig,
    lambda config, wire: Webhook(config, wire.http),
    merge=_merge,
    check=_check,
    endpoint=_endpoint,
    timeout=timeout_of,
)
