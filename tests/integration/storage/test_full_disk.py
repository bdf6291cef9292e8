"""A disk that is full loses nothing that was acknowledged, and works again when it is not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tocsin.model.errors import NotDurable
from tocsin.model.events import Delta, EntryKind, LogEntry, LoggedEntry
from tocsin.model.labels import EMPTY
from tocsin.model.notification import Notification, Reason
from tocsin.model.tenant import TenantId
from tocsin.storage.signals import Followers, Watchers
from tocsin.storage.sqlite.alerts import SqliteAlertLog, SqliteSnapshots
from tocsin.storage.sqlite.connection import Database

A, B = TenantId("a"), TenantId("b")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
BIG = LogEntry(EntryKind.ALERTS, T0, b"x" * 200_000)
SMALL = LogEntry(EntryKind.ALERTS, T0, b"x")


class Disk:
    """A database on a disk of settable size."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.log = SqliteAlertLog(self.database, Followers(), Watchers())
        self.snapshots = SqliteSnapshots(self.database)

    async def allow(self, more_pages: int) -> None:
        def limit(connection: object) -> None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()  # type: ignore[attr-defined]
            connection.execute(f"PRAGMA max_page_count = {pages + more_pages}")  # type: ignore[attr-defined]

        await self.database.writer.submit(limit)


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    made = Disk(tmp_path)
    yield made
    await made.database.close()


def delta(name: str, size: int = 1) -> Delta:
    key = "g" * size
    return Delta((Notification(name, A, "ops", "w", key, EMPTY, (), Reason.FIRST, T0),))


async def test_a_full_disk_refuses_and_the_next_batch_tries_again(disk: Disk) -> None:
    seen: list[LoggedEntry] = []
    disk.log.follow(A, seen.append)
    first = await disk.log.append(A, SMALL)
    await disk.allow(2)
    with pytest.raises(NotDurable, match="full"):
        await disk.log.append(A, BIG)
    await disk.allow(1000)
    last = await disk.log.append(A, BIG)
    assert [logged.seq for logged in seen] == [first, last]
    assert seen == await disk.log.tail(A, after=0, limit=9)


async def test_a_failed_commit_holds_back_later_ones_of_its_tenant(disk: Disk) -> None:
    await disk.allow(2)
    with pytest.raises(NotDurable, match="full"):
        await disk.log.commit(A, seq=5, delta=delta("n", 200_000))
    await disk.allow(1000)
    with pytest.raises(NotDurable, match="entry 6 must wait until the failed commit of entry 5"):
        await disk.log.commit(A, seq=6, delta=delta("m"))
    await disk.log.commit(B, seq=7, delta=Delta())
    assert await disk.snapshots.applied(A) == 0
    await disk.log.commit(A, seq=5, delta=delta("n", 200_000))
    await disk.log.commit(A, seq=6, delta=delta("m"))
    assert await disk.snapshots.applied(A) == 6
    assert await disk.snapshots.applied(B) == 7


async def test_commits_in_flight_behind_a_failed_one_fail_with_it(disk: Disk) -> None:
    await disk.allow(2)
    futures = [disk.log.commit(A, seq=1, delta=delta("n", 200_000))]
    futures += [disk.log.commit(A, seq=seq, delta=Delta()) for seq in (2, 3)]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(result) for result in results] == [NotDurable] * 3
    assert await disk.snapshots.applied(A) == 0
