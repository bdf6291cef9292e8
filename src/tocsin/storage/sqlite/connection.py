"""The database of one data directory: one connection that writes, a few that read.

WAL with `synchronous=FULL`: a commit that returned survives a power cut, and readers never
wait for the writer. All of it belongs to one process (`lock`), which is why leases can live
in memory.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from tocsin.model.errors import StoreUnusable
from tocsin.model.tenant import TenantId
from tocsin.storage.sqlite.lock import DirectoryLock
from tocsin.storage.sqlite.schema import migrate
from tocsin.storage.sqlite.writer import Writer

T = TypeVar("T")

FILE = "tocsin.db"
QUEUE_BYTES = 64 * 2**20
READERS = 2

_SHARED = (
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA busy_timeout = 5000",  # ms; only a foreign program can hold the file
)
_WRITING = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 4000",  # pages
    "PRAGMA journal_size_limit = 67108864",
)
_READING = ("PRAGMA query_only = ON",)


class Database:
    """An open data directory. Made, used and closed on one event loop."""

    def __init__(self, data_dir: Path, *, queue_bytes: int = QUEUE_BYTES) -> None:
        """Lock, open and migrate; blocks for that long. Raises StoreUnusable."""
        self._path = data_dir / FILE
        self._lock = _lock(data_dir)
        with ExitStack() as undo:
            undo.callback(self._lock.release)
            self._connection = _open_writing(self._path)
            undo.pop_all()
        loop = asyncio.get_running_loop()
        self.writer = Writer(self._connection, loop, queue_bytes=queue_bytes)
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="tocsin-sqlite-reader")
        self._closing: asyncio.Event | None = None

    async def read(self, tenant: TenantId, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a reader thread; it sees every commit whose future has resolved.

        `tenant` is whose rows are read: the place where connections guarded per tenant come
        in. Raises StoreUnusable when the database cannot be read, or is closed.
        """
        if self._closing is not None:
            raise StoreUnusable(f"the store is closed: no rows of tenant {tenant} can be read")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers, self._read, work)
        except sqlite3.Error as error:
            raise StoreUnusable(f"{self._path} cannot be read: {error}") from error

    async def close(self) -> None:
        """Finish queued writes and reads, checkpoint, unlock. Idempotent."""
        if self._closing is not None:
            await self._closing.wait()
            return
        self._closing = asyncio.Event()
        await self.writer.close()
        await asyncio.to_thread(self._shut)
        self._closing.set()

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = _connect(self._path, _READING)
            self._local.connection = connection
            self._opened.append(connection)
        return work(connection)

    def _shut(self) -> None:
        self._readers.shutdown(wait=True)
        for connection in self._opened:
            connection.close()
        self._connection.close()  # the last one: SQLite checkpoints and removes the WAL
        self._lock.release()


def _lock(data_dir: Path) -> DirectoryLock:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return DirectoryLock(data_dir)
    except OSError as error:
        raise StoreUnusable(f"data directory {data_dir} cannot be used: {error}") from error


def _open_writing(path: Path) -> sqlite3.Connection:
    connection = None
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = _connect(path, _WRITING)
        migrate(connection)
    except (sqlite3.Error, OSError, StoreUnusable) as error:
        if connection is not None:
            connection.close()
        raise StoreUnusable(f"{path} cannot be opened: {error}") from error
    return connection


def _connect(path: Path, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in (*_SHARED, *pragmas):
        connection.execute(pragma)
    return connection
