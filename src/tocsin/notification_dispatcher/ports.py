"""What the dispatcher needs of the world: an outbox, and HTTP and SMTP that never retry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from tocsin.model.notification import Final, HttpAnswer, Notification, SmtpAnswer
from tocsin.model.tenant import TenantId

PENDING = "pending"
"""The state of a notification that has not ended, whether it waits or is on its way."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A notification that is due; `attempts` were made before, the first at `first_at`."""

    notification: Notification
    attempts: int
    first_at: datetime | None


class Attempt(msgspec.Struct, frozen=True):
    """One try at one notification, as the delivery log keeps it.

    `final` is None while it will be tried again, at `next_at`. `reason` never holds a secret.
    """

    notification: str
    number: int
    at: datetime
    took_ms: float
    status: str
    final: Final | None = None
    next_at: datetime | None = None
    reason: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """One line of the delivery log: a notification, its state and its attempts, oldest first.

    `state` is PENDING until the notification has ended, then the value of its `Final`.
    """

    notification: Notification
    state: str
    attempts: tuple[Attempt, ...]
    next_at: datetime | None = None


class Outbox(Protocol):
    """Notifications waiting to be sent, durable."""

    async def claim(
        self, tenant: TenantId, *, now: datetime, limit: int, lease: timedelta
    ) -> list[OutboxRow]:
        """Lease at most `limit` due rows to this process for `lease`, oldest first.

        What was never tried is due at once, and comes before what is tried again. A row is
        given out once until `settle` is called for it or its lease ends.
        """
        ...

    async def settle(self, tenant: TenantId, attempt: Attempt) -> None:
        """Record an attempt: end the row when `attempt.final` is set, else make it due again.

        With `final` the same transaction appends a REPORT entry to the alert log, so that the
        group hears of it. A row that has ended, by a replacement or by an earlier `settle`,
        stays as it ended. Settling the same attempt again changes nothing. Raises NotDurable,
        and InvalidInput when `tenant` has no such notification.
        """
        ...

    async def next_due(self, tenant: TenantId) -> datetime | None:
        """Return when the next row falls due or a lease ends, None when nothing waits.

        A row that was never tried is due already: its time is in the past.
        """
        ...

    def watch(self, tenant: TenantId, wake: Callable[[], None]) -> None:
        """Call `wake` on the event loop whenever rows of `tenant` came or are due again later.

        A later call takes the place of an earlier one.
        """
        ...


class DeliveryLog(Protocol):
    """What was sent, to whom, and how it went."""

    async def deliveries(
        self, tenant: TenantId, *, before: str | None, limit: int, receiver: str = ""
    ) -> list[Delivery]:
        """Return at most `limit` deliveries, newest first, older than the id `before`.

        An empty page when `before` is no notification of `tenant`.
        """
        ...


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One outgoing request; `timeout_s` covers connecting, sending and reading the answer."""

    method: str
    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    timeout_s: float


class Http(Protocol):
    """Outgoing HTTP. Follows no redirect, reads at most 64 KiB, never retries."""

    async def send(self, call: HttpCall, options: HttpOptions) -> HttpAnswer:
        """Return the answer, whatever its status. Raises Unreachable when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How to reach a server: TLS and proxy. `ca` is PEM text; versions are written `TLS12`."""

    insecure_skip_verify: bool = False
    ca: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    min_version: str = ""
    max_version: str = ""
    proxy_url: str = field(default="", repr=False)


DIRECT = HttpOptions()


@dataclass(frozen=True, slots=True)
class Mail:
    """One message ready for the wire, and how to hand it over; `message` is RFC 5322 bytes."""

    sender: str
    recipients: tuple[str, ...]
    message: bytes


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where and how to submit mail: implicit TLS, STARTTLS (`require_tls`), credentials.

    `secret` is for CRAM-MD5, `password` for PLAIN and LOGIN, `identity` for PLAIN.
    """

    host: str
    port: int
    hello: str
    require_tls: bool
    implicit_tls: bool
    username: str = ""
    password: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    identity: str = ""
    tls: HttpOptions = DIRECT
    timeout_s: float = 30.0


class Smtp(Protocol):
    """Outgoing mail."""

    async def submit(self, server: SmtpServer, mail: Mail) -> SmtpAnswer:
        """Return the server's last reply. Raises Unreachable when there is no conversation."""
        ...
