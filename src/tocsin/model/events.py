"""What one stage hands to the next. Records, not callbacks: they can be stored and replayed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from tocsin.model.incident import Ending, Incident
from tocsin.model.labels import Labels
from tocsin.model.notification import Notification, NotifiedAlert, Reason


class EntryKind(StrEnum):
    """What a log entry holds."""

    ALERTS = "alerts"  # body: the JSON array of POST /api/v2/alerts, as it came
    SILENCE = "silence"  # body: one silence as put, and an id to spare (JSON)
    EXPIRE = "expire"  # body: a silence id
    REPORT = "report"  # body: a DeliveryReport (JSON)
    TICK = "tick"  # body: empty; only `at` matters (every entry flushes the groups due by then)
    CONFIG = "config"  # body: hash and source of the alert configuration; groups are rebuilt


class LogEntry(msgspec.Struct, frozen=True):
    """One input of the alert pipeline: `at` is its `now`, in live work and in every replay."""

    kind: EntryKind
    at: datetime
    body: bytes = b""


class LoggedEntry(msgspec.Struct, frozen=True):
    """A log entry that is durable; `seq` orders all entries of a store."""

    seq: int
    entry: LogEntry


@dataclass(frozen=True, slots=True)
class Target:
    """One integration that must be told; `replaces` is an unfinished notification it makes void."""

    integration: str
    alerts: tuple[NotifiedAlert, ...]
    reason: Reason
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class GroupFlush:
    """One flush of one aggregation group, after silences, inhibition and mute times.

    `alerts` holds every unsuppressed alert of the group; `targets` may be empty when nothing
    is to be said. `key` is unique and stable: the same flush has it in every replay. `void`
    names unfinished notifications that must not be sent any more and have no successor: what
    they told has been silenced since. `over` is set when the group has ended: nothing fires in
    it any more, whatever is suppressed, or a reload made groups of another kind (then with no
    alerts and no targets).
    """

    key: str
    group_key: str
    group_labels: Labels
    receiver: str
    alerts: tuple[NotifiedAlert, ...]
    targets: tuple[Target, ...]
    at: datetime
    route_labels: Labels
    void: tuple[str, ...] = ()
    over: Ending | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """What one applied entry changes outside the pipeline's state, committed in one transaction."""

    notifications: tuple[Notification, ...] = ()
    replaced: tuple[str, ...] = ()
    incidents: tuple[Incident, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.notifications or self.replaced or self.incidents)
