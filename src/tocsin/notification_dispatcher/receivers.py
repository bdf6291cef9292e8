"""The receivers of one tenant, ready to be sent to: configuration, templates and providers.

Built anew at every reload and swapped as one value, so that a notification sees either the
old configuration or the new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tocsin.model.notification import Notification
from tocsin.model.secret import MASK
from tocsin.notification_dispatcher.config import Defaults, secrets_of
from tocsin.notification_dispatcher.provider import AnySpec, Context, Provider, Wire
from tocsin.notification_dispatcher.registry import Integration, Providers, Receiver
from tocsin.notification_dispatcher.render import GroupRenderer
from tocsin.templating.engine import TemplateSet


@dataclass(frozen=True, slots=True)
class Receivers:
    """What a tenant's configuration says about its receivers; `external_url` is our own."""

    receivers: Sequence[Receiver]
    defaults: Defaults
    templates: TemplateSet
    external_url: str
    providers: Providers


@dataclass(frozen=True, slots=True)
class Way:
    """One way out: a provider with its configuration. `endpoint` keys the bulkhead."""

    spec: AnySpec
    provider: Provider
    endpoint: str = field(repr=False)
    timeout: timedelta
    secrets: tuple[str, ...] = field(repr=False)

    def scrubbed(self, text: str) -> str:
        """Return `text` with every secret of this configuration masked."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text


class Ways:
    """Every way out of one tenant, by receiver and integration."""

    def __init__(self, receivers: Receivers, wire: Wire) -> None:
        """Make the providers of `receivers`, which send through `wire`."""
        self._templates = receivers.templates
        self._external_url = receivers.external_url
        self._ways = {
            (receiver.name, integration.name): _way(integration, wire)
            for receiver in receivers.receivers
            for integration in receivers.providers.integrations(receiver, receivers.defaults)
        }

    def find(self, notification: Notification) -> Way | None:
        """Return the way of a notification, None when the configuration no longer has it."""
        return self._ways.get((notification.receiver, notification.integration))

    def context(self, notification: Notification) -> Context:
        """Return what the provider gets beside the notification."""
        url = self._external_url
        return Context(GroupRenderer(self._templates, notification, external_url=url), url)


def _way(integration: Integration, wire: Wire) -> Way:
    spec, config = integration.spec, integration.config
    return Way(
        spec,
        spec.make(config, wire),
        spec.endpoint(config),
        spec.timeout(config),
        tuple(sorted(secrets_of(config), key=len, reverse=True)),
    )
