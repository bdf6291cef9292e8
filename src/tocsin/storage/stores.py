"""Everything durable of one process, opened and closed as one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tocsin.alert_manager.ports import AlertLog, Snapshots
from tocsin.correlation_engine.ports import IncidentStore
from tocsin.notification_dispatcher.ports import DeliveryLog, Outbox
from tocsin.storage.signals import Followers, Watchers
from tocsin.storage.sqlite.alerts import SqliteAlertLog, SqliteSnapshots
from tocsin.storage.sqlite.connection import QUEUE_BYTES, Database
from tocsin.storage.sqlite.history import SqliteHistory
from tocsin.storage.sqlite.incidents import SqliteIncidents
from tocsin.storage.sqlite.outbox import SqliteDeliveryLog, SqliteOutbox


@dataclass(frozen=True, slots=True)
class Stores:
    """The ports of the stages, kept by one backend."""

    alerts: AlertLog
    snapshots: Snapshots
    outbox: Outbox
    deliveries: DeliveryLog
    incidents: IncidentStore
    history: SqliteHistory
    _close: Callable[[], Awaitable[None]]

    async def close(self) -> None:
        """Finish what is queued and let go of the store. Idempotent."""
        await self._close()


def open_sqlite(data_dir: Path, *, queue_bytes: int = QUEUE_BYTES) -> Stores:
    """Open the embedded store in `data_dir`, made when missing; call on the event loop.

    Blocks until the schema is current. `queue_bytes` bounds what may wait for the disk.
    Raises StoreUnusable when the directory is in use, not writable, or of a newer version.
    """
    database = Database(data_dir, queue_bytes=queue_bytes)
    followers, watchers = Followers(), Watchers()
    return Stores(
        alerts=SqliteAlertLog(database, followers, watchers),
        snapshots=SqliteSnapshots(database),
        outbox=SqliteOutbox(database, followers, watchers),
        deliveries=SqliteDeliveryLog(database),
        incidents=SqliteIncidents(database),
        history=SqliteHistory(database),
        _close=database.close,
    )
