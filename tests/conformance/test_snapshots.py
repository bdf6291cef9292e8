"""What every keeper of snapshots promises, whatever keeps them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tocsin.alert_manager.fakes import MemoryLog, MemorySnapshots
from tocsin.alert_manager.ports import AlertLog, Snapshot, Snapshots
from tocsin.model.events import Delta
from tocsin.model.tenant import TenantId
from tocsin.storage.stores import open_sqlite

pytestmark = pytest.mark.looptime(False)

A, B = TenantId("a"), TenantId("b")


@dataclass(frozen=True, slots=True)
class Kept:
    snapshots: Snapshots
    log: AlertLog


async def sqlite(path: Path) -> AsyncIterator[Kept]:
    stores = open_sqlite(path)
    yield Kept(stores.snapshots, stores.alerts)
    await stores.close()


async def memory(_: Path) -> AsyncIterator[Kept]:
    log = MemoryLog()
    yield Kept(MemorySnapshots(log), log)


@pytest.fixture(params=[sqlite, memory])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    async for made in request.param(tmp_path):
        yield made


async def test_at_first_there_is_no_snapshot_and_nothing_is_applied(kept: Kept) -> None:
    assert await kept.snapshots.load(A) is None
    assert await kept.snapshots.applied(A) == 0


async def test_a_snapshot_reads_back_and_is_replaced_by_the_next(kept: Kept) -> None:
    await kept.snapshots.save(A, Snapshot(3, b"\x00first"))
    await kept.snapshots.save(A, Snapshot(7, b"second"))
    assert await kept.snapshots.load(A) == Snapshot(7, b"second")


async def test_an_older_snapshot_never_replaces_a_newer_one(kept: Kept) -> None:
    for seq in (7, 3):
        await kept.snapshots.save(A, Snapshot(seq, b"of %d" % seq))
    assert await kept.snapshots.load(A) == Snapshot(7, b"of 7")


async def test_snapshots_belong_to_their_tenant(kept: Kept) -> None:
    await kept.snapshots.save(A, Snapshot(3, b"of a"))
    assert await kept.snapshots.load(B) is None


async def test_the_applied_offset_is_that_of_the_last_commit(kept: Kept) -> None:
    for seq in (4, 9):
        await kept.log.commit(A, seq=seq, delta=Delta())
    assert await kept.snapshots.applied(A) == 9
    assert await kept.snapshots.applied(B) == 0


async def test_the_applied_offset_never_goes_back(kept: Kept) -> None:
    for seq in (9, 4):
        await kept.log.commit(A, seq=seq, delta=Delta())
    assert await kept.snapshots.applied(A) == 9
