"""A data directory: opened by one process, kept over restarts, refused with a reason."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tocsin.alert_manager.ports import Snapshot
from tocsin.model.errors import NotDurable, StoreUnusable
from tocsin.model.events import Delta, EntryKind, LogEntry
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.labels import EMPTY
from tocsin.model.notification import Final, Notification, Reason
from tocsin.model.severity import Severity
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.ports import Attempt
from tocsin.storage.sqlite import schema
from tocsin.storage.sqlite.connection import Database
from tocsin.storage.stores import Stores, open_sqlite

A, B = TenantId("a"), TenantId("b")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
TICK = LogEntry(EntryKind.TICK, T0)


def notification(name: str) -> Notification:
    return Notification(name, A, "ops", "webhook[0]", "g", EMPTY, (), Reason.FIRST, T0)


def incident(*, state: IncidentState = IncidentState.OPEN) -> Incident:
    return Incident("i", "g", EMPTY, "ops", state, Severity.INFO, T0, T0)


def lock_elsewhere(path: Path) -> str:
    """Try to lock `path` in a process of its own and return its complaint."""
    program = "import sys; from pathlib import Path; from tocsin.storage.sqlite.lock import "
    program += "DirectoryLock; DirectoryLock(Path(sys.argv[1]))"
    other = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    return other.stderr


def files(path: Path) -> dict[str, int]:
    """Return the names in a directory and their permissions."""
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()}


async def fill(stores: Stores) -> None:
    await stores.alerts.append(A, TICK)
    both = (notification("n"), notification("m"))
    await stores.alerts.commit(A, seq=1, delta=Delta(both, incidents=(incident(),)))
    await stores.outbox.claim(A, now=T0, limit=9, lease=timedelta(minutes=1))
    await stores.outbox.settle(A, Attempt("n", 1, T0, 1.0, "HTTP 200", Final.DELIVERED))
    await stores.snapshots.save(A, Snapshot(1, b"state"))


async def test_everything_is_there_after_a_restart_and_leases_are_free(tmp_path: Path) -> None:
    stores = open_sqlite(tmp_path)
    await fill(stores)
    await stores.close()
    stores = open_sqlite(tmp_path)
    kinds = [kept.entry.kind for kept in await stores.alerts.tail(A, after=0, limit=9)]
    assert kinds == [EntryKind.TICK, EntryKind.REPORT]
    assert await stores.snapshots.load(A) == Snapshot(1, b"state")
    assert await stores.snapshots.applied(A) == 1
    assert await stores.incidents.incident(A, "i") == incident()
    found = await stores.outbox.claim(A, now=T0, limit=9, lease=timedelta(minutes=1))
    assert [row.notification.id for row in found] == ["m"]
    log = await stores.deliveries.deliveries(A, before=None, limit=9)
    assert [one.state for one in log] == ["pending", "delivered"]
    assert await stores.alerts.append(A, TICK) == 3
    await stores.close()


async def test_a_second_opening_names_the_process_that_holds_it(tmp_path: Path) -> None:
    stores = open_sqlite(tmp_path)
    with pytest.raises(StoreUnusable, match=f"in use by process {os.getpid()}:"):
        open_sqlite(tmp_path)
    await stores.close()
    await open_sqlite(tmp_path).close()


async def test_another_process_is_kept_out_as_well(tmp_path: Path) -> None:
    stores = open_sqlite(tmp_path)
    assert f"in use by process {os.getpid()}:" in lock_elsewhere(tmp_path)
    await stores.close()


async def test_the_directory_is_made_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    stores = open_sqlite(tmp_path / "deep" / "data")
    await stores.alerts.append(A, TICK)
    names = ("tocsin.db", "tocsin.db-wal", "tocsin.db-shm", "tocsin.lock")
    assert files(tmp_path / "deep" / "data") == dict.fromkeys(names, 0o600)
    await stores.close()


async def test_closing_twice_closes_once(tmp_path: Path) -> None:
    stores = open_sqlite(tmp_path)
    await stores.close()
    await stores.close()
    with pytest.raises(NotDurable, match="closed"):
        await stores.alerts.append(A, TICK)
    with pytest.raises(StoreUnusable, match="closed"):
        await stores.snapshots.load(A)


async def test_closing_leaves_one_file_and_the_lock(tmp_path: Path) -> None:
    stores = open_sqlite(tmp_path)
    await fill(stores)
    await stores.close()
    assert files(tmp_path).keys() == {"tocsin.db", "tocsin.lock"}


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    await open_sqlite(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "tocsin.db")) as connection, connection:
        connection.execute("UPDATE meta SET value = '999'")
    with pytest.raises(StoreUnusable, match="schema 999, this version of Tocsin knows"):
        open_sqlite(tmp_path)
    with pytest.raises(StoreUnusable, match="schema 999"):
        open_sqlite(tmp_path)  # the lock was given back
    with contextlib.closing(sqlite3.connect(tmp_path / "tocsin.db")) as connection:
        assert schema.schema_version(connection) == 999


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tocsin.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreUnusable, match=r"tocsin\.db cannot be opened: file is not a database"):
        open_sqlite(tmp_path)


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusable, match="cannot be used"):
        open_sqlite(tmp_path / "file" / "data")


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            schema._apply(connection, "CREATE TABLE half (n); CREATE nonsense;")
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)


def test_migrating_again_does_nothing(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        newest = schema.migrate(connection)
        assert schema.migrate(connection) == schema.schema_version(connection) == newest


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    database = Database(tmp_path)
    with pytest.raises(StoreUnusable, match="readonly"):
        await database.read(A, lambda connection: connection.execute("DELETE FROM log"))
    await database.close()


async def test_the_disk_is_written_through_at_each_commit(tmp_path: Path) -> None:
    database = Database(tmp_path)

    def settings(connection: sqlite3.Connection) -> tuple[object, object]:
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        return synchronous, mode

    assert await database.writer.submit(settings) == (2, "wal")  # 2 is FULL
    await database.close()


async def test_an_earlier_entry_never_takes_an_incident_back(tmp_path: Path) -> None:
    stores = open_sqlite(tmp_path)
    over = incident(state=IncidentState.RESOLVED)
    await stores.alerts.commit(A, seq=1, delta=Delta(incidents=(incident(),)))
    await stores.alerts.commit(A, seq=2, delta=Delta(incidents=(over,)))
    await stores.alerts.commit(A, seq=1, delta=Delta(incidents=(incident(),)))
    assert await stores.incidents.incident(A, "i") == over
    await stores.close()


async def test_an_older_snapshot_never_replaces_a_newer_one(tmp_path: Path) -> None:
    stores = open_sqlite(tmp_path)
    await stores.snapshots.save(A, Snapshot(9, b"new"))
    await stores.snapshots.save(A, Snapshot(8, b"old"))
    assert await stores.snapshots.load(A) == Snapshot(9, b"new")
    await stores.close()


async def test_a_repeated_commit_does_not_take_the_applied_offset_back(tmp_path: Path) -> None:
    stores = open_sqlite(tmp_path)
    for seq in (4, 9, 4):
        await stores.alerts.commit(A, seq=seq, delta=Delta())
    assert await stores.snapshots.applied(A) == 9
    await stores.close()


async def test_a_settle_that_is_repeated_reports_once(tmp_path: Path) -> None:
    stores = open_sqlite(tmp_path)
    await stores.alerts.commit(A, seq=1, delta=Delta((notification("n"),)))
    done = Attempt("n", 1, T0, 1500.0, "HTTP 200", Final.DELIVERED)
    for _ in range(2):
        await stores.outbox.settle(A, done)
    (report,) = await stores.alerts.tail(A, after=0, limit=9)
    assert await stores.alerts.tail(B, after=0, limit=9) == []
    assert report.entry.at == T0 + timedelta(seconds=1.5)
    (delivery,) = await stores.deliveries.deliveries(A, before=None, limit=9)
    assert delivery.attempts == (done,)
    await stores.close()


async def test_a_row_whose_lease_ended_is_given_out_again(tmp_path: Path) -> None:
    stores = open_sqlite(tmp_path)
    await stores.alerts.commit(A, seq=1, delta=Delta((notification("n"),)))
    await stores.outbox.claim(A, now=T0, limit=9, lease=timedelta(minutes=1))
    due = await stores.outbox.next_due(A)
    assert due is not None
    assert due > T0
    (row,) = await stores.outbox.claim(A, now=due, limit=9, lease=timedelta(minutes=1))
    assert row.notification.id == "n"
    await stores.close()
