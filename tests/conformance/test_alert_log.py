"""What every alert log promises, whatever keeps it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tocsin.alert_manager.fakes import MemoryLog
from tocsin.alert_manager.ports import AlertLog
from tocsin.model.events import Delta, EntryKind, LogEntry, LoggedEntry
from tocsin.model.tenant import TenantId
from tocsin.storage.stores import open_sqlite

pytestmark = pytest.mark.looptime(False)

A, B = TenantId("a"), TenantId("b")
T0 = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)


def entry(text: str, kind: EntryKind = EntryKind.ALERTS) -> LogEntry:
    return LogEntry(kind, T0, text.encode())


async def sqlite(path: Path) -> AsyncIterator[AlertLog]:
    stores = open_sqlite(path)
    yield stores.alerts
    await stores.close()


async def memory(_: Path) -> AsyncIterator[AlertLog]:
    yield MemoryLog()


@pytest.fixture(params=[sqlite, memory])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AlertLog]:
    async for made in request.param(tmp_path):
        yield made


async def test_an_appended_entry_reads_back_as_it_was(log: AlertLog) -> None:
    for kind in EntryKind:
        await log.append(A, entry(f"body of {kind}", kind))
    kept = await log.tail(A, after=0, limit=100)
    assert [logged.entry for logged in kept] == [entry(f"body of {k}", k) for k in EntryKind]


async def test_seq_rises_with_every_append_over_all_tenants(log: AlertLog) -> None:
    seqs = [await log.append(tenant, entry("x")) for tenant in (A, B, A, B)]
    assert seqs == sorted(set(seqs))


async def test_entries_appended_at_once_keep_the_order_of_the_calls(log: AlertLog) -> None:
    futures = [log.append(A, entry(str(n))) for n in range(1000)]
    seqs = await asyncio.gather(*futures)
    kept = await log.tail(A, after=0, limit=2000)
    assert [(logged.seq, logged.entry.body) for logged in kept] == [
        (seq, str(n).encode()) for n, seq in enumerate(seqs)
    ]
    assert seqs == sorted(seqs)


async def test_the_tail_begins_behind_a_seq_and_ends_at_the_limit(log: AlertLog) -> None:
    seqs = [await log.append(A, entry(str(n))) for n in range(5)]
    assert [kept.seq for kept in await log.tail(A, after=seqs[1], limit=2)] == seqs[2:4]
    assert await log.tail(A, after=seqs[-1], limit=2) == []


async def test_a_tenant_reads_only_its_own_entries(log: AlertLog) -> None:
    await log.append(A, entry("of a"))
    await log.append(B, entry("of b"))
    assert [kept.entry.body for kept in await log.tail(B, after=0, limit=9)] == [b"of b"]


async def test_the_consumer_has_an_entry_before_its_append_returns(log: AlertLog) -> None:
    seen: list[LoggedEntry] = []
    log.follow(A, seen.append)
    future = log.append(A, entry("x"))
    seen_first: list[bool] = []
    future.add_done_callback(lambda _: seen_first.append(bool(seen)))
    seq = await future
    assert seen_first == [True]
    assert seen == [LoggedEntry(seq, entry("x"))]


async def test_the_consumer_has_each_entry_once_in_order(log: AlertLog) -> None:
    seen: list[int] = []
    log.follow(A, lambda logged: seen.append(logged.seq))
    others = [log.append(B, entry("of b")) for _ in range(50)]
    seqs = await asyncio.gather(*(log.append(A, entry(str(n))) for n in range(200)))
    await asyncio.gather(*others)
    assert seen == seqs


async def test_a_cancelled_wait_takes_nothing_back(log: AlertLog) -> None:
    seen: list[bytes] = []
    log.follow(A, lambda logged: seen.append(logged.entry.body))
    log.append(A, entry("nobody waits")).cancel()
    await log.append(A, entry("next"))
    assert seen == [b"nobody waits", b"next"]


async def test_a_consumer_may_append_and_commit_again(log: AlertLog) -> None:
    follow_ups: list[asyncio.Future[None]] = []
    log.follow(A, lambda it: follow_ups.append(log.commit(A, seq=it.seq, delta=Delta())))
    await asyncio.gather(*(log.append(A, entry(str(n))) for n in range(20)))
    await asyncio.gather(*follow_ups)
    assert len(follow_ups) == 20


async def test_times_keep_their_microseconds_whatever_their_zone(log: AlertLog) -> None:
    for at in (T0, datetime(1969, 7, 20, tzinfo=UTC), T0 + timedelta(microseconds=1)):
        await log.append(A, LogEntry(EntryKind.TICK, at))
    kept = await log.tail(A, after=0, limit=9)
    assert [logged.entry.at for logged in kept] == [
        T0,
        datetime(1969, 7, 20, tzinfo=UTC),
        T0 + timedelta(microseconds=1),
    ]
