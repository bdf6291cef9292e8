"""A disk that is full loses nothing that was acknowledged, and works again when it is not."""

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

A = TenantId("a")
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


async def test_a_failed_commit_keeps_nothing_and_can_be_repeated_with_more(disk: Disk) -> None:
    await disk.allow(2)
    with pytest.raises(NotDurable, match="full"):
        await disk.log.commit(A, seq=5, delta=delta("n", 200_000))
    assert await disk.snapshots.applied(A) == 0
    await disk.allow(1000)
    await disk.log.commit(A, seq=6, delta=delta("n", 200_000))
    assert await disk.snapshots.applied(A) == 6
