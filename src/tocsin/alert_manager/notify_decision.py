"""Notify or not: what a group's state and the notification log mean for one integration.

Source: Alertmanager `notify.DedupStage`.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

import msgspec

from tocsin.model.notification import Reason

RETENTION = timedelta(hours=120)  # Alertmanager's --data.retention


class LogRecord(msgspec.Struct, frozen=True):
    """What an integration was last told of a group: fingerprints, and when that was flushed."""

    firing: frozenset[str]
    resolved: frozenset[str]
    at: datetime
    expires_at: datetime


class InFlight(msgspec.Struct, frozen=True):
    """A notification handed to the dispatcher whose end is not known yet."""

    id: str
    firing: frozenset[str]
    resolved: frozenset[str]
    at: datetime
    expires_at: datetime

    def delivered(self) -> LogRecord:
        """Return what the notification log says once it has arrived."""
        return LogRecord(self.firing, self.resolved, self.at, self.expires_at)


def keep_until(at: datetime, repeat_interval: timedelta) -> datetime:
    """Return when a record of `at` may be forgotten; a live group renews it long before."""
    return at + max(2 * repeat_interval, RETENTION)


def decide(
    last: LogRecord | None,
    firing: AbstractSet[str],
    resolved: AbstractSet[str],
    *,
    send_resolved: bool,
    repeat_interval: timedelta,
    now: datetime,
) -> Reason | None:
    """Return why an integration must be told, None when it need not.

    `firing` and `resolved` are fingerprints of the group's unsuppressed alerts. When nothing
    fires any more the answer does not depend on `send_resolved`: the log must be cleared even
    where nothing is sent.
    """
    if last is None:
        return Reason.FIRST if firing else None
    if not firing <= last.firing:
        return Reason.NEW_ALERTS if last.firing else Reason.FIRST
    if not firing:
        return Reason.ALL_RESOLVED if last.firing else None
    if send_resolved and not resolved <= last.resolved:
        return Reason.RESOLVED
    return Reason.REPEAT if last.at < now - repeat_interval else None
