"""Turns of queries go round among the tenants, and nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from tocsin.app.query_turns import QueryTurns, Share
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.promql.errors import QueryTimeout, TooManyQueries

A, B, C = (tenant_id(name) for name in "abc")


class Hall:
    """Queries that hold their turn until they are told to end; `order` is who began when."""

    def __init__(self, turns: int, *, running: int = 9, waiting: int = 9) -> None:
        self.share = Share(running, waiting)
        self.turns = QueryTurns(turns, lambda _: self.share)
        self.order: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, tenant: TenantId, name: str, *, within_s: float = 100) -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._hold(tenant, name, within_s))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._tasks[name]

    async def outcome(self, name: str) -> None:
        await self._tasks[name]

    async def _hold(self, tenant: TenantId, name: str, within_s: float) -> None:
        async with self.turns.turn(tenant, within_s=within_s):
            self.order.append(name)
            await self._ends[name].wait()


async def test_queries_run_while_there_are_turns_and_then_in_order() -> None:
    hall = Hall(2)
    for name in ("a1", "a2", "a3", "a4"):
        await hall.come(A, name)
    assert (hall.order, hall.turns.running(A), hall.turns.waiting(A)) == (["a1", "a2"], 2, 2)
    await hall.end("a2")
    assert hall.order == ["a1", "a2", "a3"]
    await hall.end("a1")
    assert (hall.order[-1], hall.turns.waiting(A)) == ("a4", 0)
    await hall.end("a3")
    await hall.end("a4")
    assert hall.turns.running(A) == 0


async def test_a_tenant_never_has_more_than_its_share() -> None:
    hall = Hall(4, running=2)
    for name in ("a1", "a2", "a3"):
        await hall.come(A, name)
    await hall.come(B, "b1")
    assert hall.order == ["a1", "a2", "b1"]
    await hall.end("b1")
    assert hall.order == ["a1", "a2", "b1"]
    await hall.end("a1")
    assert hall.order[-1] == "a3"
    for name in ("a2", "a3"):
        await hall.end(name)


async def test_a_free_turn_goes_to_who_has_the_fewest() -> None:
    hall = Hall(3)
    for name in ("a1", "a2", "a3", "a4", "a5"):
        await hall.come(A, name)
    await hall.come(B, "b1")
    await hall.come(C, "c1")
    await hall.end("a1")
    await hall.end("a2")
    assert hall.order[-2:] == ["b1", "c1"]
    await hall.end("b1")
    assert hall.order[-1] == "a4"
    for name in ("a3", "c1", "a4", "a5"):
        await hall.end(name)


async def test_equals_take_turns() -> None:
    hall = Hall(1)
    await hall.come(C, "first")
    for name in ("a1", "a2"):
        await hall.come(A, name)
    for name in ("b1", "b2"):
        await hall.come(B, name)
    for ended in ("first", "a1", "b1", "a2", "b2"):
        await hall.end(ended)
    assert hall.order == ["first", "a1", "b1", "a2", "b2"]


async def test_one_more_than_may_wait_is_refused() -> None:
    hall = Hall(1, waiting=1)
    await hall.come(A, "a1")
    await hall.come(A, "a2")
    await hall.come(A, "a3")
    with pytest.raises(TooManyQueries, match="1 of this tenant already"):
        await hall.outcome("a3")
    await hall.end("a1")
    await hall.end("a2")


async def test_a_turn_that_does_not_come_is_a_timeout() -> None:
    hall = Hall(1)
    await hall.come(A, "a1")
    await hall.come(A, "a2", within_s=5)
    with pytest.raises(QueryTimeout, match="query timed out in query queue"):
        await hall.outcome("a2")
    assert hall.turns.waiting(A) == 0
    await hall.end("a1")


async def test_who_leaves_the_queue_is_not_served() -> None:
    hall = Hall(1)
    await hall.come(A, "a1")
    await hall.come(A, "a2")
    await hall.come(B, "b1")
    await hall.cancel("a2")
    await hall.end("a1")
    assert hall.order == ["a1", "b1"]
    await hall.end("b1")


async def test_a_turn_that_came_while_its_query_was_called_off_goes_to_the_next() -> None:
    hall = Hall(1)
    await hall.come(A, "a1")
    await hall.come(A, "a2")
    await hall.come(A, "a3")
    hall._ends["a1"].set()
    await asyncio.sleep(0)  # a2 has its turn now, and does not know it yet
    await hall.cancel("a2")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert hall.order == ["a1", "a3"]
    await hall.end("a3")
    assert hall.turns.running(A) == 0


async def test_a_larger_share_counts_at_the_next_turn() -> None:
    hall = Hall(3, running=1)
    for name in ("a1", "a2", "a3"):
        await hall.come(A, name)
    hall.share = Share(3, 9)
    await hall.end("a1")
    assert hall.order == ["a1", "a2", "a3"]
    for name in ("a2", "a3"):
        await hall.end(name)
