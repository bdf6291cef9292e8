"""Which rows of the outbox this process holds. In memory: a restart frees them all.

That is enough because the data directory belongs to one process. Leases live on the event
loop; a claim is a read in another thread, so what is let go while it runs must not be
handed out by it: it may have seen the row before it was settled.

A lease ends by itself so that a row its claimer gave up comes back; who still works on a row
when its lease ends must know that by itself, and not send it twice.
"""

from __future__ import annotations

import asyncio
from datetime import datetime


class Leases:
    """The rows of one tenant that were claimed and not settled."""

    def __init__(self) -> None:
        self.claiming = asyncio.Lock()
        self._held: dict[str, datetime] = {}
        self._released: set[str] = set()

    def held(self, now: datetime) -> list[str]:
        """Begin a claim: drop leases that have ended by `now` and return the ids of the others."""
        self._held = {row: until for row, until in self._held.items() if until > now}
        self._released.clear()
        return list(self._held)

    def take(self, row: str, until: datetime) -> bool:
        """Lease a row that the running claim found; False when it was settled meanwhile."""
        if row in self._released:
            return False
        self._held[row] = until
        return True

    def release(self, row: str) -> None:
        """End the lease of a row that was settled."""
        self._held.pop(row, None)
        if self.claiming.locked():
            self._released.add(row)

    def ids(self) -> list[str]:
        """Return what is held."""
        return list(self._held)

    def first_end(self) -> datetime | None:
        """Return when the first lease ends, None when nothing is held."""
        return min(self._held.values(), default=None)
