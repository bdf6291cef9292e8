"""Turns of ad-hoc queries: so many at a time, and no tenant takes them all from the others.

A free turn goes to the waiting tenant that has the fewest queries running, and among equals to
the one that has waited longest; within a tenant they come in order. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tocsin.api.queries import NO_TURN
from tocsin.model.tenant import TenantId
from tocsin.promql.errors import QueryTimeout, TooManyQueries


@dataclass(frozen=True, slots=True)
class Share:
    """How many queries of a tenant may run, and how many more may wait."""

    running: int
    waiting: int


class QueryTurns:
    """Gives out `turns` turns."""

    def __init__(
        self,
        turns: int,
        share: Callable[[TenantId], Share],
        changed: Callable[[TenantId], None] = lambda _: None,
    ) -> None:
        """Ask `share` whenever a turn is free: it may change while queries wait.

        `changed` is called when other queries of a tenant run, or wait, than before.
        """
        self._free = turns
        self._share = share
        self._changed = changed
        self._running: Counter[TenantId] = Counter()
        self._waiting: dict[TenantId, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, tenant: TenantId, *, within_s: float) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for as long as the block lasts.

        Raises TooManyQueries when too many of the tenant wait already, QueryTimeout when none
        came `within_s` seconds.
        """
        await self._acquire(tenant, within_s)
        try:
            yield
        finally:
            self._end(tenant)

    def running(self, tenant: TenantId) -> int:
        """Return how many queries of a tenant hold a turn."""
        return self._running[tenant]

    def waiting(self, tenant: TenantId) -> int:
        """Return how many queries of a tenant wait for one."""
        return len(self._waiting.get(tenant, ()))

    async def _acquire(self, tenant: TenantId, within_s: float) -> None:
        share = self._share(tenant)
        if self._free and self._running[tenant] < share.running and not self.waiting(tenant):
            self._take(tenant)
            return
        if self.waiting(tenant) >= share.waiting:
            raise TooManyQueries(
                f"too many queries wait for their turn: {share.waiting} of this tenant already"
            )
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        self._changed(tenant)
        try:
            async with asyncio.timeout(within_s):
                await turn
        except TimeoutError as error:
            self._give_back(tenant, turn)
            raise QueryTimeout(NO_TURN) from error
        except asyncio.CancelledError:
            self._give_back(tenant, turn)
            raise

    def _take(self, tenant: TenantId) -> None:
        self._free -= 1
        self._running[tenant] += 1
        self._changed(tenant)

    def _end(self, tenant: TenantId) -> None:
        self._running[tenant] -= 1
        self._free += 1
        self._changed(tenant)
        self._give_out()

    def _give_back(self, tenant: TenantId, turn: asyncio.Future[None]) -> None:
        """Leave the queue; a turn that came at the very end goes to somebody else."""
        queue = self._waiting.get(tenant)
        if queue is not None and turn in queue:
            queue.remove(turn)
            self._forget_empty(tenant)
            self._changed(tenant)
        elif turn.done() and not turn.cancelled():
            self._end(tenant)

    def _give_out(self) -> None:
        while self._free and (tenant := self._next()) is not None:
            turn = self._waiting[tenant].popleft()
            # Whoever has just been served stands behind those who have not.
            self._waiting[tenant] = self._waiting.pop(tenant)
            self._forget_empty(tenant)
            self._take(tenant)
            turn.set_result(None)

    def _next(self) -> TenantId | None:
        able = [t for t in self._waiting if self._running[t] < self._share(t).running]
        return min(able, key=lambda tenant: self._running[tenant], default=None)

    def _forget_empty(self, tenant: TenantId) -> None:
        if not self._waiting[tenant]:
            del self._waiting[tenant]
