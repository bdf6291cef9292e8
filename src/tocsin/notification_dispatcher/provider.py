"""The shape of a provider: one file with its config struct, its class, and a last line `SPEC`.

A provider turns a notification into one request and hands back the answer. It never retries,
sleeps, logs or reads the clock: the dispatcher does, and decides from the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

from tocsin.model.notification import Answer, HttpAnswer, Notification, Outcome
from tocsin.model.settings import Finding
from tocsin.notification_dispatcher.config import Defaults, IntegrationConfig
from tocsin.notification_dispatcher.ports import Http, Smtp

C = TypeVar("C", bound=IntegrationConfig)

DEFAULT_TIMEOUT = timedelta(seconds=30)


class Renderer(Protocol):
    """Renders template texts over one notification. Raises InvalidInput when one fails."""

    def text(self, template: str) -> str:
        """Return the rendered text."""
        ...

    def html(self, template: str) -> str:
        """Return the rendered text, values escaped for the place they stand in."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a provider may know beside the notification and its own configuration."""

    render: Renderer
    external_url: str


@dataclass(frozen=True, slots=True)
class Wire:
    """The ways out of the process."""

    http: Http
    smtp: Smtp


class Provider(Protocol):
    """Sends one notification once."""

    async def send(self, notification: Notification, context: Context) -> Answer:
        """Return the receiver's answer. Must unblock when cancelled.

        Raises Unreachable when no answer came, InvalidInput when the notification cannot be
        put into this receiver's form (a template failed, no recipient is left).
        """
        ...


def no_verdict(answer: HttpAnswer) -> Outcome | None:
    """Leave the answer to `classify`."""
    del answer
    return None


def no_findings(config: IntegrationConfig) -> tuple[Finding, ...]:
    """Find no fault."""
    del config
    return ()


@dataclass(frozen=True, slots=True)
class ProviderSpec(Generic[C]):
    """How a provider introduces itself.

    `merge` fills what an entry leaves out from the `global` section; `check` and everything
    else see the merged entry. `endpoint` names the server that is reached, for the bulkhead:
    it is neither logged nor shown. `verdict` reads what only this service says (errors inside
    a 200); None leaves it to `classify`. `retry_statuses` are tried again beside 408, 429
    and 5xx.
    """

    key: str
    config: type[C]
    make: Callable[[C, Wire], Provider]
    merge: Callable[[C, Defaults], C]
    endpoint: Callable[[C], str]
    check: Callable[[C], tuple[Finding, ...]] = no_findings
    timeout: Callable[[C], timedelta] = field(default=lambda _: DEFAULT_TIMEOUT)
    verdict: Callable[[HttpAnswer], Outcome | None] = no_verdict
    retry_statuses: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """Return the integration's name in metrics and logs: `webhook` for `webhook_configs`."""
        return self.key.removesuffix("_configs")


AnySpec = ProviderSpec[Any]
"""A spec whose config type is not known to the reader."""
