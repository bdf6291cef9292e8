"""The dispatcher: claims what is due, sends it, and tells the outbox how it went.

One loop a tenant. A claimed notification is sent in a task of its own once `Lanes` gives it a
place; its result is settled until the outbox has it. Nothing here is the truth: after a crash
the rows are claimed again, and sent with the same idempotency key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from tocsin.model.clock import Clock
from tocsin.model.errors import NotDurable
from tocsin.model.notification import Final, Notification, Rejected, Retry
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.backoff import MAX_AGE, Rng
from tocsin.notification_dispatcher.instruments import Instruments
from tocsin.notification_dispatcher.lanes import IN_TOTAL, PER_ENDPOINT, Lanes
from tocsin.notification_dispatcher.outcome import Result, Timing, attempt_of, counts_as_failed
from tocsin.notification_dispatcher.ports import Attempt, Outbox, OutboxRow
from tocsin.notification_dispatcher.provider import Wire
from tocsin.notification_dispatcher.receivers import Receivers, Ways
from tocsin.notification_dispatcher.sending import send_once
from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger
from tocsin.telemetry.metrics import Registry

T = TypeVar("T")

_log = get_logger("dispatcher")

BATCH = 128  # rows of one claim, at most
HELD = 256  # rows of a tenant being sent or waiting, before claiming waits for some to be done
ROOM = 64  # how many must then be done: a claim is a transaction
BACKED_UP = 256  # rows at one endpoint from which on further ones are put off
PATIENCE_S = 1.0  # how long claiming waits for room before it looks past what does not move
LEASE = timedelta(minutes=1)  # longer than any attempt takes
PUT_OFF = timedelta(seconds=2)  # rows behind an endpoint that does not move; doubles each time
LONGEST_PUT_OFF = LEASE
LOOK_AGAIN = timedelta(seconds=30)  # the longest rest: a missed wake-up costs no more
BREATHE = timedelta(milliseconds=50)  # the shortest: rows that are due may be leased already
STORE_PAUSE = timedelta(seconds=0.5)  # between two tries at a store that fails


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of sending; `lanes` and `backoff` say what they mean."""

    per_endpoint: int = PER_ENDPOINT
    in_total: int = IN_TOTAL
    max_age: timedelta = MAX_AGE


class Dispatcher:
    """Sends the notifications of every tenant that was started. Use on one event loop."""

    def __init__(
        self,
        wire: Wire,
        *,
        outbox: Outbox,
        clock: Clock,
        rng: Rng,
        registry: Registry,
        limits: Limits | None = None,
    ) -> None:
        """Send through `wire` what `outbox` holds; `rng` draws the jitter of retries."""
        limits = limits or Limits()
        self._wire = wire
        self._tools = _Tools(
            outbox=outbox,
            clock=clock,
            rng=rng,
            max_age=limits.max_age,
            lanes=Lanes(per_endpoint=limits.per_endpoint, in_total=limits.in_total),
            instruments=Instruments(registry),
        )
        self._workers: dict[TenantId, _Worker] = {}
        self._tasks: dict[TenantId, set[asyncio.Task[None]]] = {}

    async def start(self, tenant: TenantId, receivers: Receivers) -> None:
        """Begin to send for `tenant`; a tenant that is running is reloaded instead."""
        if tenant in self._workers:
            self.reload(tenant, receivers)
            return
        worker = _Worker(tenant, Ways(receivers, self._wire), self._tools)
        self._workers[tenant] = worker
        self._tools.outbox.watch(tenant, worker.wake)
        task = asyncio.create_task(worker.run(), name=f"dispatch {tenant}")
        running = self._tasks.setdefault(tenant, set())
        running.add(task)
        task.add_done_callback(running.discard)

    def reload(self, tenant: TenantId, receivers: Receivers) -> None:
        """Use `receivers` from the next attempt on; attempts under way end as they began."""
        self._workers[tenant].ways = Ways(receivers, self._wire)

    async def stop_tenant(self, tenant: TenantId, *, deadline_s: float = 10.0) -> None:
        """Stop sending for one tenant, as `stop` does for all."""
        await self._stop((tenant,), deadline_s)

    async def stop(self, *, deadline_s: float = 10.0) -> None:
        """Claim no more, let what is being sent end within `deadline_s`, then cut it off.

        What was claimed and not sent stays in the outbox. Calling again does nothing.
        """
        await self._stop(tuple(self._tasks), deadline_s)

    async def _stop(self, tenants: Iterable[TenantId], deadline_s: float) -> None:
        tasks: set[asyncio.Task[None]] = set()
        for tenant in tenants:
            if worker := self._workers.pop(tenant, None):
                worker.stop()
            tasks |= self._tasks.get(tenant, set())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=deadline_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Tools:
    """What all workers share."""

    outbox: Outbox
    clock: Clock
    rng: Rng
    max_age: timedelta
    lanes: Lanes
    instruments: Instruments

    async def pause(self, wait: timedelta) -> None:
        await self.clock.sleep_until(self.clock.now() + wait)


class _Worker:
    """Sends for one tenant, until `stop`."""

    def __init__(self, tenant: TenantId, ways: Ways, tools: _Tools) -> None:
        self.ways = ways
        self._tenant = tenant
        self._tools = tools
        self._held: set[str] = set()  # ids of claimed rows
        self._rows = asyncio.Event()  # rows may have fallen due
        self._done = asyncio.Event()  # a row left `_held`
        self._stopping = False
        self._stuck = False  # what is held does not move
        self._put_off = PUT_OFF  # how long rows behind it are left alone
        self._retry_at: datetime | None = None  # the next retry settled since the last claim
        self._alarm: asyncio.Task[None] | None = None  # runs while resting
        self._alarm_at = tools.clock.now()

    def wake(self) -> None:
        """Look for due rows now."""
        self._rows.set()

    def stop(self) -> None:
        """Claim no more; `run` returns once what is being sent has ended."""
        self._stopping = True
        self._rows.set()
        self._done.set()

    async def run(self) -> None:
        """Claim and send until stopped."""
        async with asyncio.TaskGroup() as sends:
            while not self._stopping:
                if await self._guarded(self._claim(sends), "claim failed") is None:
                    self._tools.instruments.store_errors.inc()
                    await self._tools.pause(STORE_PAUSE)

    async def _claim(self, sends: asyncio.TaskGroup) -> bool:
        """Take what is due, as far as there is room; rest when there is no more."""
        room = await self._room()
        self._rows.clear()
        self._retry_at = None
        now = self._tools.clock.now()
        lease = self._put_off if self._stuck else LEASE
        rows = await self._tools.outbox.claim(self._tenant, now=now, limit=room, lease=lease)
        for row in rows:
            if self._takes(row):
                self._held.add(row.notification.id)
                sends.create_task(self._deliver(row))
        if len(rows) < room:
            await self._rest()
        return True

    async def _room(self) -> int:
        """Return how many rows to claim, after waiting for room as long as sends keep ending."""
        while len(self._held) > HELD - ROOM and not self._stopping:
            self._done.clear()
            try:
                async with asyncio.timeout(0 if self._stuck else PATIENCE_S):
                    await self._done.wait()
            except TimeoutError:
                self._stuck = True
                return BATCH
        self._stuck, self._put_off = False, PUT_OFF
        return min(BATCH, HELD - len(self._held))

    def _takes(self, row: OutboxRow) -> bool:
        if row.notification.id in self._held:
            return False  # its lease ended while it waited here
        if self._tools.lanes.waiting(self._tenant, self._endpoint(row)) >= BACKED_UP:
            self._tools.instruments.deferred.inc()
            return False  # claimed again when its lease ends
        return True

    def _endpoint(self, row: OutboxRow) -> str:
        way = self.ways.find(row.notification)
        return way.endpoint if way else ""

    async def _rest(self) -> None:
        """Sleep until rows are committed, or the next one falls due."""
        if self._stuck:
            self._put_off = min(2 * self._put_off, LONGEST_PUT_OFF)
        due = await self._tools.outbox.next_due(self._tenant)
        now = self._tools.clock.now()
        soonest = min(at for at in (due, self._retry_at, now + LOOK_AGAIN) if at)
        self._set_alarm(max(soonest, now + BREATHE))
        try:
            await self._rows.wait()
        finally:
            self._clear_alarm()

    def _set_alarm(self, at: datetime) -> None:
        self._clear_alarm()
        self._alarm_at = at
        self._alarm = asyncio.create_task(self._tools.clock.sleep_until(at))
        self._alarm.add_done_callback(self._ring)

    def _clear_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
        self._alarm = None

    def _ring(self, alarm: asyncio.Task[None]) -> None:
        if not alarm.cancelled():
            self._rows.set()

    def _falls_due(self, at: datetime) -> None:
        """Note that a row of ours will be due at `at`, which no commit of others will tell."""
        self._retry_at = min(at, self._retry_at or at)
        if self._alarm and at < self._alarm_at:
            self._set_alarm(at)

    async def _deliver(self, row: OutboxRow) -> None:
        with self._tools.instruments.in_flight.track_inprogress():
            await self._guarded(self._in_turn(row), "delivery failed")
        self._held.discard(row.notification.id)
        self._done.set()

    async def _in_turn(self, row: OutboxRow) -> None:
        told = row.notification
        group = (told.receiver, told.integration, told.group_key)
        async with self._tools.lanes.place(self._tenant, self._endpoint(row), group):
            if not self._stopping:
                await self._attempt(row)

    async def _attempt(self, row: OutboxRow) -> None:
        at = self._tools.clock.now()
        result = await self._send(row.notification)
        timing = Timing(at, self._tools.clock.now())
        attempt = attempt_of(row, result, timing, self._tools.rng, max_age=self._tools.max_age)
        self._count(row, attempt, result, timing)
        await self._settle(attempt)
        if attempt.next_at:
            self._falls_due(attempt.next_at)

    async def _send(self, notification: Notification) -> Result:
        way = self.ways.find(notification)
        if way is None:
            return Result(Rejected(_gone(notification)), "no receiver")
        context = self.ways.context(notification)
        sent = send_once(way, notification, context, clock=self._tools.clock)
        result = await self._guarded(sent, "provider failed", integration=way.spec.name)
        if result is None:
            self._tools.instruments.provider_errors.labels(way.spec.name).inc()
            return Result(Retry("internal error of the provider"), "error")
        return result

    async def _settle(self, attempt: Attempt) -> None:
        """Report until the outbox has it; a row that is never settled is sent again."""
        while True:
            try:
                await self._tools.outbox.settle(self._tenant, attempt)
            except NotDurable as error:
                self._tools.instruments.store_errors.inc()
                _log.error("outbox did not record an attempt", tenant=self._tenant, err=error)
                await self._tools.pause(STORE_PAUSE)
            else:
                return

    async def _guarded(self, work: Awaitable[T], event: str, **fields: object) -> T | None:
        """Return what `work` gives, None after a bug in it: one bad row must not end the loop."""
        with Edge(_log, event, tenant=self._tenant, **fields):
            return await work
        return None

    def _count(self, row: OutboxRow, attempt: Attempt, result: Result, timing: Timing) -> None:
        told, meters = row.notification, self._tools.instruments
        kind = told.integration.partition("[")[0]
        meters.requests.labels(kind).inc()
        meters.latency.labels(kind).observe(attempt.took_ms / 1000)
        if row.attempts == 0:
            meters.notifications.labels(kind).inc()
            waited = (timing.at - told.flushed_at).total_seconds()
            meters.waited.labels(kind).observe(max(waited, 0.0))
        if attempt.final is Final.DELIVERED:
            return
        meters.requests_failed.labels(kind).inc()
        if counts_as_failed(row, attempt, timing):
            meters.failed.labels(kind, result.failure).inc()
        if attempt.final is Final.DEAD:
            meters.dead.labels(kind).inc()
        self._tell(told, attempt)

    def _tell(self, told: Notification, attempt: Attempt) -> None:
        where = _log.bind(
            tenant=self._tenant,
            receiver=told.receiver,
            integration=told.integration,
            notification=told.id,
            attempts=attempt.number,
            err=attempt.reason,
        )
        if attempt.final is Final.DEAD:
            where.error("notification given up")
        elif attempt.final is Final.REJECTED:
            where.error("notification rejected")
        else:
            where.debug("notification will be tried again", next_at=attempt.next_at)


def _gone(notification: Notification) -> str:
    return (
        f"the configuration has no {notification.integration} "
        f"in a receiver named {notification.receiver!r} any more"
    )
