"""An alert: a label set that is wrong between two times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tocsin.model.labels import EMPTY, Labels


class AlertState(StrEnum):
    """Where an alert stands towards notification (Alertmanager API v2 spelling)."""

    UNPROCESSED = "unprocessed"
    ACTIVE = "active"
    SUPPRESSED = "suppressed"


class Phase(StrEnum):
    """Whether the condition still holds."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of one tenant; identity is its label set.

    `ends_at` is always set: the end that was sent, or now + `resolve_timeout`, in which
    case `timeout` is true. `updated_at` is when it was accepted.
    """

    labels: Labels
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    annotations: Labels = EMPTY
    generator_url: str = ""
    timeout: bool = False

    def resolved_at(self, now: datetime) -> bool:
        """Tell whether the alert has ended by `now` (its end is not after it)."""
        return self.ends_at <= now

    def phase(self, now: datetime) -> Phase:
        """Return firing or resolved, as of `now`."""
        return Phase.RESOLVED if self.resolved_at(now) else Phase.FIRING
