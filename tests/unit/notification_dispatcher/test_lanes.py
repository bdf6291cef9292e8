"""Places to send from: few at one endpoint, in order within a group, in turn between tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.lanes import Lanes

A, B = TenantId("a"), TenantId("b")


class Sends:
    """Starts sends that hold their place until they are told to end."""

    def __init__(self, lanes: Lanes) -> None:
        self.under_way: list[str] = []
        self._lanes = lanes
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, name: str, tenant: TenantId, endpoint: str, group: str = "") -> None:
        self._ends[name] = asyncio.Event()
        place = self._lanes.place(tenant, endpoint, group or name)

        async def send() -> None:
            async with place:
                self.under_way.append(name)
                await self._ends[name].wait()

        self._tasks[name] = asyncio.create_task(send())
        await settled()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        self.under_way.remove(name)
        await settled()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)

    async def end_all(self) -> None:
        for end in self._ends.values():
            end.set()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def sends() -> Callable[..., Sends]:
    def make(*, per_endpoint: int = 2, in_total: int = 3) -> Sends:
        return Sends(Lanes(per_endpoint=per_endpoint, in_total=in_total))

    return make


async def test_one_endpoint_gets_only_its_share(sends: Callable[..., Sends]) -> None:
    told = sends()
    for name in ("1", "2", "3"):
        await told.begin(name, A, "slow")
    await told.begin("4", A, "quick")
    assert told.under_way == ["1", "2", "4"]
    await told.end("1")
    assert told.under_way == ["2", "4", "3"]
    await told.end_all()


async def test_the_same_endpoint_of_another_tenant_is_another_lane(
    sends: Callable[..., Sends],
) -> None:
    told = sends(per_endpoint=1)
    await told.begin("a", A, "hook")
    await told.begin("b", B, "hook")
    assert told.under_way == ["a", "b"]
    await told.end_all()


async def test_notifications_of_one_group_go_one_after_the_other(
    sends: Callable[..., Sends],
) -> None:
    told = sends()
    await told.begin("firing", A, "hook", "group")
    await told.begin("resolved", A, "hook", "group")
    await told.begin("other", A, "hook", "another")
    assert told.under_way == ["firing", "other"]
    await told.end("firing")
    assert told.under_way == ["other", "resolved"]
    await told.end_all()


async def test_free_places_go_round_the_tenants(sends: Callable[..., Sends]) -> None:
    told = sends(in_total=1)
    for number in range(3):
        await told.begin(f"a{number}", A, f"hook{number}")
    await told.begin("b0", B, "hook")
    assert told.under_way == ["a0"]
    order = []
    for _ in range(4):
        (name,) = told.under_way
        order.append(name)
        await told.end(name)
    assert order == ["a0", "a1", "b0", "a2"]


async def test_a_place_that_is_given_up_while_waiting_is_not_lost(
    sends: Callable[..., Sends],
) -> None:
    told = sends(in_total=1)
    await told.begin("a", A, "x")
    await told.begin("gone", B, "y")
    await told.begin("b", B, "z")
    await told.cancel("gone")
    await told.end("a")
    assert told.under_way == ["b"]
    await told.end("b")
    await told.begin("again", A, "x")
    assert told.under_way == ["again"]
    await told.end_all()


async def test_a_place_given_in_the_moment_of_cancellation_goes_on() -> None:
    lanes = Lanes(per_endpoint=2, in_total=1)
    told = Sends(lanes)
    await told.begin("a", A, "x")
    await told.begin("gone", B, "y")
    told._ends["a"].set()
    await asyncio.sleep(0)  # the place is handed over, its new holder has not run yet
    await told.cancel("gone")
    await told.begin("b", B, "z")
    assert told.under_way[-1] == "b"
    await told.end_all()


async def test_who_waits_is_counted_until_it_leaves(sends: Callable[..., Sends]) -> None:
    lanes = Lanes(per_endpoint=1, in_total=9)
    told = Sends(lanes)
    await told.begin("1", A, "hook")
    await told.begin("2", A, "hook")
    assert (lanes.waiting(A, "hook"), lanes.waiting(B, "hook")) == (2, 0)
    await told.end_all()
    assert lanes.waiting(A, "hook") == 0
