"""Who may send now: a bulkhead for each endpoint, order within a group, turns between tenants.

A notification first waits for its elders of the same group and integration, then for one of
the few places at its endpoint, then for one of the places of the process, which are handed
round the tenants. A slow endpoint so holds up neither another endpoint nor another tenant.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from tocsin.model.tenant import TenantId

PER_ENDPOINT = 8  # one endpoint of one tenant
IN_TOTAL = 256  # of the process


class Lanes:
    """Places to send from. Use on one event loop."""

    def __init__(self, *, per_endpoint: int = PER_ENDPOINT, in_total: int = IN_TOTAL) -> None:
        """Allow `per_endpoint` sends at a time to one endpoint of a tenant, `in_total` in all."""
        self._order = _Keyed(1)
        self._endpoints = _Keyed(per_endpoint)
        self._turns = Turns(in_total)

    @asynccontextmanager
    async def place(self, tenant: TenantId, endpoint: str, group: Hashable) -> AsyncIterator[None]:
        """Hold a place while sending; first come, first served within `group` and `endpoint`."""
        async with (
            self._order.hold((tenant, group)),
            self._endpoints.hold((tenant, endpoint)),
            self._turns.hold(tenant),
        ):
            yield

    def waiting(self, tenant: TenantId, endpoint: str) -> int:
        """Return how many hold or wait for a place at `endpoint`."""
        return self._endpoints.users((tenant, endpoint))


class _Keyed:
    """A semaphore for each key in use."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._used: dict[Hashable, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        semaphore, users = self._used.get(key) or (asyncio.Semaphore(self._places), 0)
        self._used[key] = (semaphore, users + 1)
        try:
            async with semaphore:
                yield
        finally:
            self._leave(key, semaphore)

    def _leave(self, key: Hashable, semaphore: asyncio.Semaphore) -> None:
        users = self._used[key][1] - 1
        if users:
            self._used[key] = (semaphore, users)
        else:
            del self._used[key]

    def users(self, key: Hashable) -> int:
        return self._used[key][1] if key in self._used else 0


class Turns:
    """A number of places, handed to the waiting tenants in turn."""

    def __init__(self, places: int) -> None:
        """Start with all `places` free."""
        self._free = places
        self._queues: OrderedDict[TenantId, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def hold(self, tenant: TenantId) -> AsyncIterator[None]:
        """Hold one place."""
        await self._take(tenant)
        try:
            yield
        finally:
            self._give()

    async def _take(self, tenant: TenantId) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(tenant, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give()  # the place came with the cancellation
            raise

    def _give(self) -> None:
        while self._queues:
            tenant, queue = self._queues.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._queues[tenant] = queue  # to the end of the round
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
