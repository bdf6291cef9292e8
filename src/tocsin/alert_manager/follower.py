"""One tenant's log, followed: apply each entry in order, commit what it caused, tick, snapshot.

The consumer is called by the log and applies at once; everything that waits happens in one
owner task with two loops. Commits keep the order of entries: while one transaction runs, the
next ones are gathered into one. A snapshot is taken only when nothing waits to be committed,
so that recovery never skips a notification.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from tocsin.alert_manager.apply import Changes, apply
from tocsin.alert_manager.config import EngineConfig, encode_source
from tocsin.alert_manager.ports import AlertLog, Grouped, Snapshot, Snapshots
from tocsin.alert_manager.state import TenantState
from tocsin.model.clock import Clock
from tocsin.model.errors import NotDurable
from tocsin.model.events import Delta, EntryKind, LogEntry, LoggedEntry
from tocsin.model.tenant import TenantId
from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger

_log = get_logger("alert_manager")

_PAGE = 1_000  # entries read at a time during recovery
_FIRST_DELAY = timedelta(milliseconds=100)
_LONGEST_DELAY = timedelta(seconds=30)


class Follower:
    """Owns the state of one tenant. Use on the event loop only."""

    def __init__(
        self,
        tenant: TenantId,
        *,
        log: AlertLog,
        snapshots: Snapshots,
        grouped: Grouped,
        clock: Clock,
        snapshot_every: int,
    ) -> None:
        self.state = TenantState(tenant)
        self.seq = 0
        self._tenant = tenant
        self._log = log
        self._snapshots = snapshots
        self._grouped = grouped
        self._clock = clock
        self._snapshot_every = snapshot_every
        self._saved_seq = 0
        self._work_since = 0
        self._snapshot_asked = False
        self._waiting: list[tuple[int, Delta]] = []
        self._early: list[LoggedEntry] | None = []
        self._due_changed = asyncio.Event()
        self._work = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self, config: EngineConfig) -> None:
        """Recover, follow the log, put `config` in force if it differs, and begin to flush.

        Raises NotDurable when the configuration could not be logged.
        """
        self._log.follow(self._tenant, self._consume)
        await self._recover()
        self._owner = asyncio.create_task(self._run(), name=f"alerts-{self._tenant}")
        if config.hash != self.state.config.hash or config.source.start_delay:
            await self.append(EntryKind.CONFIG, encode_source(config.source))

    def append(self, kind: EntryKind, body: bytes = b"") -> asyncio.Future[int]:
        """Queue one entry as of now; it is applied when the future resolves."""
        return self._log.append(self._tenant, LogEntry(kind, self._clock.now(), body))

    def ask_for_snapshot(self) -> None:
        """Have a snapshot saved as soon as nothing waits to be committed."""
        self._snapshot_asked = True
        self._work.set()

    async def stop(self) -> None:
        """End the loops, commit what waits, save a snapshot. Idempotent.

        A store that fails now costs nothing but time: the log is replayed at the next start.
        """
        if self._stopped:
            return
        self._stopped = True
        await self._end_owner()
        try:
            await self._commit_waiting()
            await self._save()
        except NotDurable as error:
            _log.warn("state not saved at stop", tenant=self._tenant, reason=str(error))

    async def _end_owner(self) -> None:
        if self._owner is None:
            return
        self._owner.cancel()
        await asyncio.gather(self._owner, return_exceptions=True)

    async def _recover(self) -> None:
        snapshot = await self._snapshots.load(self._tenant)
        if snapshot is not None:
            self.state = TenantState.restore(self._tenant, snapshot.body)
            self.seq = self._saved_seq = snapshot.seq
        committed = await self._snapshots.applied(self._tenant)
        while page := await self._log.tail(self._tenant, after=self.seq, limit=_PAGE):
            for logged in page:
                self._apply(logged, committed=committed)
        early, self._early = self._early or [], None
        for logged in early:
            self._apply(logged, committed=committed)

    def _consume(self, logged: LoggedEntry) -> None:
        """Take one entry from the log; those that come during recovery wait for its end."""
        if self._stopped:
            return
        if self._early is not None:
            self._early.append(logged)
        else:
            self._apply(logged, committed=0)

    def _apply(self, logged: LoggedEntry, *, committed: int) -> None:
        """Apply one entry; what it causes is due unless it was committed before."""
        if logged.seq <= self.seq:
            return
        before, delta = self.state.next_due(), Delta()
        place = {"tenant": self._tenant, "seq": logged.seq, "kind": logged.entry.kind}
        with Edge(_log, "entry failed", **place):  # one bad entry must not end the log
            changes = apply(self.state, (logged,))
            self._work_since += changes.work
            delta = self._caused(changes, logged, committed)
        self.seq = logged.seq
        self._note(delta, moved=self.state.next_due() != before)

    def _caused(self, changes: Changes, logged: LoggedEntry, committed: int) -> Delta:
        for problem in changes.skipped:
            _log.error("entry unreadable", tenant=self._tenant, problem=problem)
        if not changes.flushes or logged.seq <= committed:
            return Delta()
        return self._grouped(self._tenant, changes.flushes)

    def _note(self, delta: Delta, *, moved: bool) -> None:
        if delta:
            self._waiting.append((self.seq, delta))
        if delta or self._work_since >= self._snapshot_every:
            self._work.set()
        if moved:
            self._due_changed.set()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_committing())
            tasks.create_task(self._keep_ticking())

    async def _keep_committing(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            await self._insisting(self._commit_waiting)
            if self._snapshot_asked or self._work_since >= self._snapshot_every:
                await self._insisting(self._save)

    async def _commit_waiting(self) -> None:
        """Commit everything that waits, in order; raises NotDurable and keeps what failed."""
        while self._waiting:
            batch = list(self._waiting)
            seq = batch[-1][0]
            delta = joined([delta for _, delta in batch])
            await self._log.commit(self._tenant, seq=seq, delta=delta)
            del self._waiting[: len(batch)]

    async def _save(self) -> None:
        """Save a snapshot of this very moment; entries that come meanwhile are in the tail."""
        if self._waiting or self.seq == self._saved_seq:
            return
        self._snapshot_asked, self._work_since = False, 0
        snapshot = Snapshot(self.seq, self.state.snapshot())
        await self._snapshots.save(self._tenant, snapshot)
        self._saved_seq = snapshot.seq

    async def _keep_ticking(self) -> None:
        while True:
            self._due_changed.clear()
            due = self.state.next_due()
            if due is None:
                await self._due_changed.wait()
            elif due <= self._clock.now():
                await self._insisting(self._tick)
            else:
                await _first(self._clock.sleep_until(due), self._due_changed.wait())

    async def _tick(self) -> None:
        await self.append(EntryKind.TICK)

    async def _insisting(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do `work` until the store takes it, waiting longer each time."""
        delay = _FIRST_DELAY
        while not await self._tried(work):
            await self._clock.sleep_until(self._clock.now() + delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _tried(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Do `work` once; False when the store did not take it, or after a bug in it."""
        with Edge(_log, "stage failed", tenant=self._tenant):
            try:
                await work()
            except NotDurable as error:
                _log.warn("store failing", tenant=self._tenant, reason=str(error))
            else:
                return True
        return False


def joined(deltas: list[Delta]) -> Delta:
    """Return several deltas as one; a notification replaced among them is never written.

    Of an incident changed twice the last version stays.
    """
    replaced = tuple(i for d in deltas for i in d.replaced)
    gone = frozenset(replaced)
    notifications = tuple(n for d in deltas for n in d.notifications if n.id not in gone)
    latest = {i.id: i for d in deltas for i in d.incidents}
    return Delta(notifications, replaced, tuple(latest.values()))


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when the first of `waits` is done; the others are cancelled and awaited."""
    tasks = [asyncio.ensure_future(w) for w in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
