"""How many requests may be under way at one address at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Lets so many through at a time; the others wait in order."""

    def __init__(self, most: int) -> None:
        """Let `most` through."""
        self._most = most
        self._places = asyncio.Semaphore(most)

    def set(self, most: int) -> None:
        """Let `most` through from now on; those under way do not count towards it."""
        if most != self._most:
            self._most, self._places = most, asyncio.Semaphore(most)

    @asynccontextmanager
    async def passed(self) -> AsyncIterator[None]:
        """Wait for a place and hold it."""
        async with self._places:
            yield


class Gates:
    """The gates of one address: one for rules, one for people, so that neither waits for both."""

    def __init__(self) -> None:
        """Begin with narrow gates; `set` opens them."""
        self.rules = Gate(1)
        self.people = Gate(1)

    def set(self, most: int) -> None:
        """Let `most` requests through either gate."""
        self.rules.set(most)
        self.people.set(most)
