"""Group commit: one thread writes, and everything queued while it commits shares the next commit.

A job is a function of the connection. All jobs of a batch run in one transaction. One that
fails by itself (a constraint, a bug) takes nobody with it: the batch is run again with a
savepoint a job, so a job must bear running twice. When the transaction itself fails (disk
full, I/O error) every job of the batch fails with NotDurable and nothing of it was kept;
the next batch tries again.

Results reach the event loop by one callback a batch, in the order of the queue. No timer is
needed: under load batches grow by themselves, without load a job is a batch of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tocsin.model.errors import LimitExceeded, NotDurable
from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger

_log = get_logger("storage")
T = TypeVar("T")

MAX_BATCH = 4096  # jobs; bounds how long the first of a batch waits for the last
RETRY_AFTER_S = 1.0

# Primary result codes that say the disk or the file failed, not the statement
# (https://sqlite.org/rescode.html).
_BROKEN_WORLD = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


@dataclass(slots=True)
class Job(Generic[T]):
    """One piece of work, and where its result goes.

    `committed` runs on the event loop before the future resolves.
    """

    work: Callable[[sqlite3.Connection], T]
    future: asyncio.Future[T]
    size: int
    committed: Callable[[T], None] | None
    result: T | None = None
    error: BaseException | None = None

    def resolve(self) -> None:
        """Tell who listens, then who waits. Runs on the event loop."""
        if self.error is not None:
            if not self.future.done():
                self.future.set_exception(self.error)
            return
        if self.committed is not None:
            self.committed(self.result)  # type: ignore[arg-type]  # set: there was no error
        if not self.future.done():
            self.future.set_result(self.result)  # type: ignore[arg-type]  # set: as above


class Writer:
    """The thread that owns the writing connection of one database.

    `submit` and `close` belong to the event loop given; `queue_bytes` bounds what waits.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        loop: asyncio.AbstractEventLoop,
        *,
        queue_bytes: int,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._queue_bytes = queue_bytes
        self._waiting_bytes = 0
        self._queue: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._closing = False
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="tocsin-sqlite-writer", daemon=True)
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """Bytes submitted and not yet committed."""
        return self._waiting_bytes

    def submit(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        size: int = 0,
        committed: Callable[[T], None] | None = None,
    ) -> asyncio.Future[T]:
        """Queue `work`; the future has what it returned once that is on disk.

        Work with a `size` (bytes) is refused by LimitExceeded when that much more may not
        wait. Cancelling the future does not take the work back. An exception of `work`
        reaches the future as it is, one of the database as NotDurable.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        refusal = self._refusal(size)
        if refusal is not None:
            future.set_exception(refusal)
            return future
        self._waiting_bytes += size
        self._queue.put(Job(work, future, size, committed))
        return future

    async def close(self) -> None:
        """Refuse new work, finish what is queued, end the thread. Idempotent."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await self._ended.wait()

    def _refusal(self, size: int) -> Exception | None:
        if self._closing:
            return NotDurable("the store is closed: nothing was written")
        waiting = self._waiting_bytes
        if size and waiting and waiting + size > self._queue_bytes:
            return LimitExceeded(
                f"{waiting} bytes wait for the disk, {self._queue_bytes} may: try again shortly",
                retry_after_s=RETRY_AFTER_S,
            )
        return None

    def _run(self) -> None:
        open_ended = True
        while open_ended:
            batch, open_ended = self._collect()
            if batch:
                self._commit(batch)
            if not self._hand_over(batch, last=not open_ended):
                return

    def _collect(self) -> tuple[list[Job[Any]], bool]:
        """Wait for a job and take all that are queued; False as the second when it was the end."""
        batch: list[Job[Any]] = []
        job = self._queue.get()
        while job is not None:
            batch.append(job)
            if len(batch) == MAX_BATCH or self._queue.empty():
                return batch, True
            job = self._queue.get()
        return batch, False

    def _commit(self, batch: list[Job[Any]]) -> None:
        """Run a batch; savepoints only when a job is at fault (they cost 5 of 13 us a row)."""
        error = self._transact(batch, self._run_plain)
        if error is not None and not _breaks_batch(error):
            error = self._transact(batch, self._run_guarded)
        if error is None:
            return
        for job in batch:
            if job.error is None:
                job.error = NotDurable(f"nothing was written: {error}")

    def _transact(self, batch: list[Job[Any]], run: Callable[[Job[Any]], None]) -> Exception | None:
        """Run every job in one transaction; return why nothing of it was kept."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                run(job)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  # the edge: whatever it was, the thread goes on
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # the next BEGIN reports it
                    self._connection.execute("ROLLBACK")
            return error
        return None

    def _run_plain(self, job: Job[Any]) -> None:
        job.result = job.work(self._connection)

    def _run_guarded(self, job: Job[Any]) -> None:
        """Run one job in a savepoint. Raises what is not the fault of this job alone."""
        self._connection.execute("SAVEPOINT job")
        try:
            job.result = job.work(self._connection)
        except Exception as error:  # the edge: a faulty job fails alone
            if _breaks_batch(error):
                raise
            self._connection.execute("ROLLBACK TO job")
            job.error = _for_caller(error)
        self._connection.execute("RELEASE job")

    def _hand_over(self, batch: list[Job[Any]], *, last: bool) -> bool:
        """Pass the results to the loop; False when the loop is gone and nobody waits any more."""
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch)
            if last:
                self._loop.call_soon_threadsafe(self._ended.set)
        except RuntimeError:
            return False
        return True

    def _deliver(self, batch: list[Job[Any]]) -> None:
        for job in batch:
            self._waiting_bytes -= job.size
            with Edge(_log, "listener to the store failed"):
                job.resolve()
            if not job.future.done():
                job.future.set_result(job.result)  # it is on disk all the same


def _breaks_batch(error: Exception) -> bool:
    """Tell whether an error of one job means that no job of the transaction can be kept."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in _BROKEN_WORLD


def _for_caller(error: Exception) -> Exception:
    return NotDurable(f"not written: {error}") if isinstance(error, sqlite3.Error) else error
