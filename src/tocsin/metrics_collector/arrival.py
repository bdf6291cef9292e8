"""When a sample that somebody sends may have been taken: not long ago, and hardly ahead of us.

A sample that is ahead of the clock would bar its series until then, so Prometheus refuses what
is more than ten minutes ahead, and so do we unless a tenant says otherwise.
"""

from __future__ import annotations

from datetime import timedelta

from tocsin.model.clock import Clock
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId

LATE = timedelta(minutes=5)  # behind the newest sample of the series (contract metrics-engine 2.6)
AHEAD = timedelta(minutes=10)  # of the clock


class Arrival:
    """How far ahead of the clock samples may be, by tenant."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead: dict[TenantId, timedelta] = {}

    def configure(self, tenant: TenantId, ahead: timedelta) -> None:
        """Allow a tenant's samples to be so far ahead."""
        self._ahead[tenant] = ahead

    def forget(self, tenant: TenantId) -> None:
        """Drop what is remembered of a tenant that is gone."""
        self._ahead.pop(tenant, None)

    def latest_ms(self, tenant: TenantId) -> int:
        """Return the latest time a sample may have now, in Unix milliseconds."""
        return to_ms(self._clock.now() + self._ahead.get(tenant, AHEAD))
