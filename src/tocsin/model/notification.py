"""What a receiver is told, and what became of telling it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from tocsin.model.alert import Phase
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.tenant import TenantId


class Reason(StrEnum):
    """Why a group notifies now (Alertmanager 0.33 `notification_reason`)."""

    FIRST = "first_notification"
    NEW_ALERTS = "new_alerts"
    RESOLVED = "resolved_alerts"
    ALL_RESOLVED = "all_alerts_resolved"
    REPEAT = "repeat_interval"
    TEST = "test"


class NotifiedAlert(msgspec.Struct, frozen=True):
    """One alert as it stood when its group was flushed; `ends_at` is None while it fires."""

    status: Phase
    labels: Labels
    annotations: Labels
    starts_at: datetime
    ends_at: datetime | None
    fingerprint: str
    generator_url: str = ""


class Notification(msgspec.Struct, frozen=True):
    """One message to one integration of one receiver, complete enough to be sent later.

    `id` is the idempotency key: the same in every attempt, over crashes and workers.
    `integration` names the entry in the receiver, for example `webhook[0]`.
    """

    id: str
    tenant: TenantId
    receiver: str
    integration: str
    group_key: str
    group_labels: Labels
    alerts: tuple[NotifiedAlert, ...]
    reason: Reason
    flushed_at: datetime
    incident: str = ""
    route_labels: Labels = EMPTY

    @property
    def status(self) -> Phase:
        """Return resolved when every alert is, else firing."""
        firing = any(a.status is Phase.FIRING for a in self.alerts)
        return Phase.FIRING if firing else Phase.RESOLVED


def notification_id(tenant: TenantId, flush_key: str, integration: str) -> str:
    """Return the id of what one flush tells one integration: 32 hex digits, same in every replay.

    SHA-256 over the parts, each with its length before it, so that no two lists of parts
    run together.
    """
    digest = hashlib.sha256()
    for part in (tenant, flush_key, integration):
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again, not before `after` from now; None leaves it to the back-off."""

    reason: str
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Trying again cannot help."""

    reason: str


Outcome = Delivered | Retry | Rejected


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP answer; header names are lower case, the body is cut at 64 KiB."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class SmtpAnswer:
    """The last reply of an SMTP conversation (RFC 5321 section 4.2)."""

    code: int
    text: str = ""


Answer = HttpAnswer | SmtpAnswer


class Final(StrEnum):
    """How a notification ended; the alert pipeline hears of it as a `DeliveryReport`."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    DEAD = "dead"


class DeliveryReport(msgspec.Struct, frozen=True):
    """The end of one notification, told to the group it came from."""

    notification: str
    group_key: str
    integration: str
    final: Final
    reason: str = ""
