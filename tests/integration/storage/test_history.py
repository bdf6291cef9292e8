"""Old rows go when no replay needs them, and what waits can be counted."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tocsin.alert_manager.ports import Snapshot
from tocsin.model.events import Delta, EntryKind, LogEntry
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.labels import EMPTY
from tocsin.model.notification import Final, Notification, Reason
from tocsin.model.severity import Severity
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.ports import Attempt
from tocsin.storage.sqlite.history import CHUNK, OutboxDepth, Pruned
from tocsin.storage.stores import Stores, open_sqlite

A, B = TenantId("a"), TenantId("b")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    made = open_sqlite(tmp_path)
    yield made
    await made.close()


def notification(name: str, at: datetime = T0) -> Notification:
    return Notification(name, A, "ops", "webhook[0]", "g", EMPTY, (), Reason.FIRST, at)


async def append(stores: Stores, tenant: TenantId, at: datetime) -> int:
    return await stores.alerts.append(tenant, LogEntry(EntryKind.TICK, at))


async def seqs(stores: Stores, tenant: TenantId) -> list[int]:
    return [kept.seq for kept in await stores.alerts.tail(tenant, after=0, limit=9999)]


async def test_only_old_entries_behind_the_snapshot_go(stores: Stores) -> None:
    kept = [await append(stores, A, T0 + hour * HOUR) for hour in range(4)]
    await stores.snapshots.save(A, Snapshot(kept[2], b""))
    pruned = await stores.history.prune(A, before=T0 + 2 * HOUR)
    assert pruned == Pruned(entries=2, notifications=0)
    assert await seqs(stores, A) == kept[2:]
    await stores.history.prune(A, before=T0 + 9 * HOUR)
    assert await seqs(stores, A) == kept[3:]


async def test_without_a_snapshot_nothing_goes(stores: Stores) -> None:
    kept = [await append(stores, A, T0)]
    assert await stores.history.prune(A, before=T0 + HOUR) == Pruned(0, 0)
    assert await seqs(stores, A) == kept


async def test_pruning_one_tenant_leaves_the_others(stores: Stores) -> None:
    for tenant in (A, B):
        seq = await append(stores, tenant, T0)
        await stores.snapshots.save(tenant, Snapshot(seq, b""))
    await stores.history.prune(A, before=T0 + HOUR)
    assert await seqs(stores, A) == []
    assert len(await seqs(stores, B)) == 1


async def test_ended_notifications_go_with_their_attempts_and_waiting_ones_stay(
    stores: Stores,
) -> None:
    names = ("delivered", "replaced", "waiting", "late")
    await stores.alerts.commit(A, seq=1, delta=Delta(tuple(map(notification, names))))
    await stores.alerts.commit(A, seq=2, delta=Delta(replaced=("replaced",)))
    for name, at in (("delivered", T0), ("late", T0 + 9 * HOUR)):
        await stores.outbox.settle(A, Attempt(name, 1, at, 1.0, "HTTP 200", Final.DELIVERED))
    await stores.snapshots.save(A, Snapshot(2, b""))
    assert (await stores.history.prune(A, before=T0 + HOUR)).notifications == 2
    log = await stores.deliveries.deliveries(A, before=None, limit=9)
    assert [one.notification.id for one in log] == ["late", "waiting"]


def incident(name: str, state: IncidentState) -> Incident:
    return Incident(
        id=name,
        group_key=name,
        group_labels=EMPTY,
        receiver="ops",
        state=state,
        severity=Severity.WARNING,
        opened_at=T0,
        updated_at=T0,
    )


async def test_resolved_incidents_go_once_their_last_change_is_old(stores: Stores) -> None:
    old, late = await append(stores, A, T0), await append(stores, A, T0 + 2 * HOUR)
    opened, resolved = IncidentState.OPEN, IncidentState.RESOLVED
    gone, stays = incident("gone", resolved), incident("open", opened)
    await stores.alerts.commit(A, seq=old, delta=Delta(incidents=(gone, stays)))
    await stores.alerts.commit(A, seq=late, delta=Delta(incidents=(incident("late", resolved),)))
    await stores.snapshots.save(A, Snapshot(late, b""))
    assert (await stores.history.prune(A, before=T0 + HOUR)).incidents == 1
    kept = await stores.incidents.incidents(A, state=None, before=None, limit=9)
    assert {one.id for one in kept} == {"open", "late"}


async def test_a_notification_a_replay_would_bring_back_stays(stores: Stores) -> None:
    await stores.snapshots.save(A, Snapshot(4, b""))
    await stores.alerts.commit(A, seq=5, delta=Delta((notification("n"),)))
    await stores.outbox.settle(A, Attempt("n", 1, T0, 1.0, "HTTP 200", Final.DELIVERED))
    assert (await stores.history.prune(A, before=T0 + HOUR)).notifications == 0


async def test_much_goes_in_several_transactions(stores: Stores) -> None:
    futures = [stores.alerts.append(A, LogEntry(EntryKind.TICK, T0)) for _ in range(2 * CHUNK + 1)]
    last = [await future for future in futures][-1]
    await stores.snapshots.save(A, Snapshot(last, b""))
    assert (await stores.history.prune(A, before=T0 + HOUR)).entries == 2 * CHUNK + 1


async def test_the_outbox_is_counted_by_what_waits(stores: Stores) -> None:
    assert await stores.history.outbox_depth(A) == OutboxDepth(0, None)
    rows = (notification("1"), notification("2", T0 + HOUR), notification("3", T0 + 2 * HOUR))
    await stores.alerts.commit(A, seq=1, delta=Delta(rows))
    await stores.outbox.settle(A, Attempt("1", 1, T0, 1.0, "HTTP 200", Final.DELIVERED))
    assert await stores.history.outbox_depth(A) == OutboxDepth(2, T0 + HOUR)
    assert await stores.history.outbox_depth(B) == OutboxDepth(0, None)
