"""Time as a dependency: logic takes `now`, loops take a Clock."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits for it."""

    def now(self) -> datetime:
        """Return the present, an aware UTC datetime."""
        ...

    async def sleep_until(self, when: datetime) -> None:
        """Return once `now() >= when`; at once when it has passed. Cancellable."""
        ...
