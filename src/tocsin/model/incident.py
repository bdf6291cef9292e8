"""An incident: alerts that belong together, from the first to the last resolution."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from tocsin.model.labels import Labels
from tocsin.model.severity import Severity


class IncidentState(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    RESOLVED = "resolved"


class Ending(StrEnum):
    """Why an incident, and the group behind it, is over."""

    RESOLVED = "resolved"  # no alert fires any more, notified of or suppressed
    REGROUPED = "regrouped"  # the configuration no longer makes this group


class Incident(msgspec.Struct, frozen=True):
    """One incident; by default it is one aggregation group from first firing to all resolved.

    `id` is random-looking and unique per tenant; `alerts` counts those firing at the last flush.
    `ending` is None while it is open, and in records older than the field.
    """

    id: str
    group_key: str
    group_labels: Labels
    receiver: str
    state: IncidentState
    severity: Severity
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None = None
    alerts: int = 0
    title: str = ""
    ending: Ending | None = None
