"""What every outbox and its delivery log promise, whatever keeps them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tocsin.model.alert import Phase
from tocsin.model.codec import decode
from tocsin.model.errors import InvalidInput
from tocsin.model.events import Delta, EntryKind, LoggedEntry
from tocsin.model.labels import Labels
from tocsin.model.notification import (
    DeliveryReport,
    Final,
    Notification,
    NotifiedAlert,
    Reason,
)
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.fakes import MemoryOutbox
from tocsin.notification_dispatcher.ports import Attempt, DeliveryLog, Outbox
from tocsin.storage.stores import open_sqlite

pytestmark = pytest.mark.looptime(False)

A, B = TenantId("a"), TenantId("b")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)

Add = Callable[[TenantId, Delta], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Kept:
    outbox: Outbox
    log: DeliveryLog
    add: Add
    reports: list[DeliveryReport]


async def sqlite(path: Path) -> AsyncIterator[Kept]:
    stores = open_sqlite(path)
    reports: list[DeliveryReport] = []

    def hear(logged: LoggedEntry) -> None:
        assert logged.entry.kind is EntryKind.REPORT
        reports.append(decode(logged.entry.body, DeliveryReport))

    for tenant in (A, B):
        stores.alerts.follow(tenant, hear)

    async def add(tenant: TenantId, delta: Delta) -> None:
        seq = await stores.snapshots.applied(tenant) + 1
        await stores.alerts.commit(tenant, seq=seq, delta=delta)

    yield Kept(stores.outbox, stores.deliveries, add, reports)
    await stores.close()


async def memory(_: Path) -> AsyncIterator[Kept]:
    outbox = MemoryOutbox()

    async def add(tenant: TenantId, delta: Delta) -> None:
        outbox.commit(tenant, delta.notifications, delta.replaced)

    yield Kept(outbox, outbox, add, outbox.reports)


@pytest.fixture(params=[sqlite, memory])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    async for made in request.param(tmp_path):
        yield made


def notification(name: str, *, tenant: TenantId = A, receiver: str = "ops") -> Notification:
    alert = NotifiedAlert(
        status=Phase.FIRING,
        labels=Labels([("alertname", "Down"), ("é", '"\n')]),
        annotations=Labels([("summary", "it is down")]),
        starts_at=T0,
        ends_at=None,
        fingerprint="0123456789abcdef",
    )
    return Notification(
        id=name,
        tenant=tenant,
        receiver=receiver,
        integration="webhook[0]",
        group_key="{}:{}",
        group_labels=Labels(),
        alerts=(alert,),
        reason=Reason.FIRST,
        flushed_at=T0,
        incident="i-1",
    )


def rows(*ids: str) -> Delta:
    return Delta(notifications=tuple(notification(row) for row in ids))


def attempt(
    row: str, number: int = 1, *, final: Final | None = None, retry_in: timedelta = SECOND
) -> Attempt:
    return Attempt(
        notification=row,
        number=number,
        at=T0,
        took_ms=12.5,
        status="HTTP 200" if final is Final.DELIVERED else "HTTP 503",
        final=final,
        next_at=None if final else T0 + retry_in,
        reason="" if final is Final.DELIVERED else "HTTP 503",
    )


async def claimed(kept: Kept, tenant: TenantId = A, *, after: timedelta = SECOND) -> list[str]:
    found = await kept.outbox.claim(tenant, now=T0 + after, limit=10, lease=timedelta(minutes=1))
    return [row.notification.id for row in found]


async def states(kept: Kept, tenant: TenantId = A) -> dict[str, str]:
    log = await kept.log.deliveries(tenant, before=None, limit=100)
    return {one.notification.id: one.state for one in log}


async def test_a_new_row_is_due_and_reads_back_as_it_was(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    (row,) = await kept.outbox.claim(A, now=T0, limit=10, lease=timedelta(minutes=1))
    assert row.notification == notification("n")
    assert (row.attempts, row.first_at) == (0, None)


async def test_rows_are_given_out_oldest_first_up_to_the_limit(kept: Kept) -> None:
    await kept.add(A, rows("z", "y"))
    await kept.add(A, rows("x"))
    first = await kept.outbox.claim(A, now=T0, limit=2, lease=timedelta(minutes=1))
    assert [row.notification.id for row in first] == ["z", "y"]
    assert await claimed(kept) == ["x"]


async def test_a_row_is_given_out_once(kept: Kept) -> None:
    await kept.add(A, rows("n", "m"))
    both = await asyncio.gather(claimed(kept), claimed(kept))
    assert sorted(both[0] + both[1]) == ["m", "n"]
    assert await claimed(kept) == []


async def test_a_row_to_be_tried_again_is_due_at_its_time(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    await claimed(kept)
    await kept.outbox.settle(A, attempt("n", retry_in=30 * SECOND))
    assert await kept.outbox.next_due(A) == T0 + 30 * SECOND
    assert await claimed(kept, after=29 * SECOND) == []
    (row,) = await kept.outbox.claim(A, now=T0 + 30 * SECOND, limit=10, lease=timedelta(minutes=1))
    assert (row.attempts, row.first_at) == (1, T0)


async def test_the_first_attempt_stays_the_first(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    for number in (1, 2):
        await claimed(kept)
        await kept.outbox.settle(A, attempt("n", number))
    (row,) = await kept.outbox.claim(A, now=T0 + SECOND, limit=10, lease=timedelta(minutes=1))
    assert (row.attempts, row.first_at) == (2, T0)


@pytest.mark.parametrize("final", [Final.DELIVERED, Final.REJECTED, Final.DEAD])
async def test_an_ended_row_is_reported_and_never_due_again(kept: Kept, final: Final) -> None:
    await kept.add(A, rows("n"))
    await claimed(kept)
    await kept.outbox.settle(A, attempt("n", final=final))
    reason = "" if final is Final.DELIVERED else "HTTP 503"
    assert kept.reports == [DeliveryReport("n", "{}:{}", "webhook[0]", final, reason)]
    assert await claimed(kept, after=timedelta(days=9)) == []
    assert await kept.outbox.next_due(A) is None
    assert await states(kept) == {"n": final.value}


async def test_a_row_to_be_tried_again_is_not_reported(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    await claimed(kept)
    await kept.outbox.settle(A, attempt("n"))
    assert kept.reports == []
    assert await states(kept) == {"n": "pending"}


async def test_a_replaced_row_is_not_sent(kept: Kept) -> None:
    await kept.add(A, rows("old"))
    await kept.add(A, Delta(notifications=(notification("new"),), replaced=("old",)))
    assert await claimed(kept) == ["new"]
    assert await states(kept) == {"new": "pending", "old": "superseded"}


@pytest.mark.parametrize("final", [Final.DELIVERED, None])
async def test_a_row_replaced_on_its_way_stays_replaced(kept: Kept, final: Final | None) -> None:
    await kept.add(A, rows("old"))
    await claimed(kept)
    await kept.add(A, Delta(replaced=("old",)))
    await kept.outbox.settle(A, attempt("old", final=final))
    assert await states(kept) == {"old": "superseded"}
    assert kept.reports == []
    assert await claimed(kept, after=timedelta(days=9)) == []
    (delivery,) = await kept.log.deliveries(A, before=None, limit=1)
    assert delivery.attempts == (attempt("old", final=final),)


async def test_a_row_that_ended_is_not_replaced(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    await claimed(kept)
    await kept.outbox.settle(A, attempt("n", final=Final.DELIVERED))
    await kept.add(A, Delta(replaced=("n",)))
    assert await states(kept) == {"n": "delivered"}


async def test_a_row_that_is_written_again_stays_as_it_is(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    await claimed(kept)
    await kept.outbox.settle(A, attempt("n", final=Final.DELIVERED))
    await kept.add(A, rows("n"))
    assert await states(kept) == {"n": "delivered"}
    assert await claimed(kept) == []


async def test_new_rows_wake_the_watcher_of_their_tenant(kept: Kept) -> None:
    woken: list[TenantId] = []
    for tenant in (A, B):
        kept.outbox.watch(tenant, partial(woken.append, tenant))
    await kept.add(A, rows("n"))
    assert woken == [A]


async def test_a_retry_wakes_the_watcher_and_an_end_does_not(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    woken: list[str] = []
    kept.outbox.watch(A, partial(woken.append, "first"))
    kept.outbox.watch(A, partial(woken.append, "second"))
    await claimed(kept)
    await kept.outbox.settle(A, attempt("n", 1))
    await kept.outbox.settle(A, attempt("n", 2, final=Final.DELIVERED))
    await kept.add(A, Delta(replaced=("n",)))
    assert woken == ["second"]


async def test_an_attempt_settled_again_changes_nothing(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    await claimed(kept)
    for _ in range(2):
        await kept.outbox.settle(A, attempt("n", final=Final.DELIVERED))
    (delivery,) = await kept.log.deliveries(A, before=None, limit=9)
    assert delivery.attempts == (attempt("n", final=Final.DELIVERED),)
    assert len(kept.reports) == 1


async def test_an_unknown_row_cannot_be_settled(kept: Kept) -> None:
    with pytest.raises(InvalidInput, match="no notification 'n'"):
        await kept.outbox.settle(A, attempt("n"))


async def test_a_lease_that_ends_makes_its_row_due_again(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    await claimed(kept)
    end = T0 + SECOND + timedelta(minutes=1)
    assert await kept.outbox.next_due(A) == end
    assert await claimed(kept, after=timedelta(minutes=1)) == []
    assert await claimed(kept, after=end - T0) == ["n"]


async def test_what_was_never_tried_comes_before_what_is_tried_again(kept: Kept) -> None:
    await kept.add(A, rows("old"))
    await claimed(kept)
    await kept.outbox.settle(A, attempt("old"))
    await kept.add(A, rows("new"))
    assert await claimed(kept) == ["new", "old"]


async def test_nothing_waits_in_an_empty_outbox(kept: Kept) -> None:
    assert await claimed(kept) == []
    assert await kept.outbox.next_due(A) is None


async def test_what_was_never_tried_is_due_already(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    due = await kept.outbox.next_due(A)
    assert due is not None
    assert due <= T0


async def test_the_log_has_every_attempt_oldest_first(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    tries = (attempt("n", 1), attempt("n", 2, final=Final.DELIVERED))
    for one in tries:
        await claimed(kept)
        await kept.outbox.settle(A, one)
    (delivery,) = await kept.log.deliveries(A, before=None, limit=10)
    assert delivery.notification == notification("n")
    assert delivery.attempts == tries
    assert delivery.next_at is None


async def test_the_log_tells_when_a_waiting_row_is_due(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    await claimed(kept)
    await kept.outbox.settle(A, attempt("n", retry_in=30 * SECOND))
    (delivery,) = await kept.log.deliveries(A, before=None, limit=10)
    assert delivery.next_at == T0 + 30 * SECOND


async def test_a_row_never_tried_waits_since_its_flush(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    (delivery,) = await kept.log.deliveries(A, before=None, limit=9)
    assert (delivery.state, delivery.next_at) == ("pending", T0)


async def test_the_log_is_read_in_pages_newest_first(kept: Kept) -> None:
    await kept.add(A, rows("1", "2"))
    await kept.add(A, rows("3", "4"))
    first = await kept.log.deliveries(A, before=None, limit=2)
    assert [one.notification.id for one in first] == ["4", "3"]
    rest = await kept.log.deliveries(A, before="3", limit=9)
    assert [one.notification.id for one in rest] == ["2", "1"]
    assert await kept.log.deliveries(A, before="unknown", limit=9) == []


async def test_the_log_can_be_asked_for_one_receiver(kept: Kept) -> None:
    both = (notification("n"), notification("m", receiver="dev"))
    await kept.add(A, Delta(notifications=both))
    found = await kept.log.deliveries(A, before=None, limit=9, receiver="dev")
    assert [one.notification.id for one in found] == ["m"]


async def test_the_same_id_in_two_tenants_is_two_rows(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    await kept.add(B, Delta(notifications=(notification("n", tenant=B),)))
    assert await claimed(kept, A) == ["n"]
    await kept.outbox.settle(A, attempt("n", final=Final.DELIVERED))
    assert await states(kept, B) == {"n": "pending"}
    assert await claimed(kept, B) == ["n"]
    assert len(kept.reports) == 1


async def test_a_tenant_cannot_reach_the_rows_of_another(kept: Kept) -> None:
    await kept.add(A, rows("n"))
    with pytest.raises(InvalidInput, match="no notification 'n'"):
        await kept.outbox.settle(B, attempt("n", final=Final.DELIVERED))
    await kept.add(B, Delta(replaced=("n",)))
    assert await claimed(kept, B) == []
    assert await kept.outbox.next_due(B) is None
    assert await kept.log.deliveries(B, before=None, limit=9) == []
    assert await kept.log.deliveries(B, before="n", limit=9) == []
    assert await claimed(kept, A) == ["n"]
    assert kept.reports == []
