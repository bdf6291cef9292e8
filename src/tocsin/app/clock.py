"""The clock of the running process; everything below gets it as an argument."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from tocsin.model.clock import Clock

_LONGEST_NAP = timedelta(seconds=60)  # wake now and then, so that a set wall clock is noticed


class SystemClock(Clock):
    """Wall-clock time in UTC."""

    def now(self) -> datetime:
        """Return the present, an aware UTC datetime."""
        return datetime.now(UTC)

    async def sleep_until(self, when: datetime) -> None:
        """Return once the wall clock reads `when` or later."""
        while (left := when - self.now()) > timedelta(0):  # noqa: ASYNC110 - time, not an event
            await asyncio.sleep(min(left, _LONGEST_NAP).total_seconds())
