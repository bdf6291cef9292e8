"""Writes what the rules of one tenant gave to its backend, in order, from a bounded queue.

The queue is in memory: what waits in it is lost with the process, but not from this process'
own store, which has it as well. A backend that is away is tried again until it takes the
samples; what it refuses for good (4xx) is dropped and told at the next write of the same rule.
A full queue refuses the newest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tocsin.metrics_collector.backend.answer import quoted
from tocsin.metrics_collector.backend.encode import write_request
from tocsin.metrics_collector.backend.instruments import BackendInstruments
from tocsin.metrics_collector.backend.upstream import Rng, may_pass
from tocsin.metrics_collector.backend.way import Way
from tocsin.metrics_collector.ports import Page
from tocsin.model.errors import LimitExceeded, NotDurable, Unreachable
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.series import Layout, Values
from tocsin.model.tenant import TenantId
from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger

AT_ONCE = 2_000  # samples in a request, as Prometheus sends
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_WITHIN_S = 30.0  # one request
_log = get_logger("backend")


@dataclass(slots=True, eq=False)
class _Batch:
    """Samples of one rule at one time."""

    group: str
    labels: Sequence[Labels]
    ts_ms: int
    values: Sequence[float]
    names: frozenset[str]


@dataclass(slots=True)
class _Queue:
    """What waits, oldest first."""

    batches: deque[_Batch] = field(default_factory=deque)
    samples: int = 0

    def add(self, batch: _Batch) -> None:
        """Let a batch wait."""
        self.batches.append(batch)
        self.samples += len(batch.labels)

    def head(self) -> list[_Batch]:
        """Return the oldest batches that fit into a request, one at least."""
        taken: list[_Batch] = []
        size = 0
        for batch in self.batches:
            size += len(batch.labels)
            if taken and size > AT_ONCE:
                break
            taken.append(batch)
        return taken

    def drop(self, batches: Sequence[_Batch]) -> None:
        """Take the oldest batches off."""
        for batch in batches:
            self.batches.popleft()
            self.samples -= len(batch.labels)


class Forwarder:
    """The writing side of a tenant's backend. One event loop; `start` it there, `close` it there.

    `way` and `capacity` may be changed while it runs.
    """

    def __init__(
        self,
        tenant: TenantId,
        way: Way,
        *,
        capacity: int,
        instruments: BackendInstruments,
        rng: Rng,
    ) -> None:
        """Let at most `capacity` samples wait."""
        self.way = way
        self.capacity = capacity
        self._tenant = tenant
        self._told = instruments
        self._rng = rng
        self._queue = _Queue()
        self._more = asyncio.Event()
        self._attempt = asyncio.Event()
        self._hurry = asyncio.Event()
        self._trouble = ""
        self._is_held_off = False
        self._faults: dict[str, str] = {}
        self._last_fault = ""
        self._pause_s = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name=f"backend-write/{self._tenant}")

    def put(self, layout: Layout, ts_ms: int, values: Values) -> None:
        """Take samples to be written.

        Raises NotDurable when there is no room, and then they are dropped; and when the
        backend refused earlier ones of the same layout's origin, and then these are taken.
        """
        count = len(layout.labels)
        if self._queue.samples + count > self.capacity:
            self._told.written.labels(self._tenant, "dropped").inc(count)
            shown = self.way.place.shown
            raise NotDurable(f"{shown}: {self._queue.samples} samples wait to be written, no room")
        for batch in _batches(layout, ts_ms, values):
            self._queue.add(batch)
        self._more.set()
        self._show()
        fault = self._faults.pop(layout.group, "")
        if fault:
            raise NotDurable(fault)

    async def settled(self, names: frozenset[str] | None) -> None:
        """Return once nothing waits of these metrics; None stands for any metric.

        Raises Unreachable when it cannot be written now: to read before would be to read that
        it is gone.
        """
        try:
            async with asyncio.timeout(self.way.timeout_s):
                while self._has_waiting(names):
                    await self._one_attempt()
        except TimeoutError as error:
            raise self._not_written("no answer in time") from error

    async def _one_attempt(self) -> None:
        """Wait until something was written, at once unless the backend asked for a pause."""
        if not self._is_held_off:
            self._hurry.set()
            await self._attempt.wait()
        if self._trouble:
            raise self._not_written(self._trouble)

    def _has_waiting(self, names: frozenset[str] | None) -> bool:
        waiting = self._queue.batches
        return any(names is None or not names.isdisjoint(each.names) for each in waiting)

    def _not_written(self, why: str) -> Unreachable:
        shown = self.way.place.shown
        return Unreachable(f"{shown}: not asked, what it reads is still to be written: {why}")

    async def close(self, *, within_s: float) -> None:
        """Write what waits for as long as `within_s`, then stop. Idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._queue.batches:
                    await self._attempt.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._drop(list(self._queue.batches), "dropped")

    async def _run(self) -> None:
        """Write for ever, one request after the other."""
        while True:
            await self._more.wait()
            head = self._queue.head()
            with Edge(_log, "writing to a backend failed", tenant=self._tenant) as edge:
                await self._write(head)
            if edge.error is not None:
                self._drop(head, "dropped")

    async def _write(self, head: list[_Batch]) -> None:
        request = write_request(
            (labels, ((batch.ts_ms, value),))
            for batch in head
            for labels, value in zip(batch.labels, batch.values, strict=True)
        )
        reply = await self._send(request)
        if isinstance(reply, Unreachable):
            await self._hold_off(str(reply), wanted="")
        elif may_pass(reply.status):
            wanted = reply.headers.get("retry-after", "")
            await self._hold_off(f"HTTP {reply.status}: {quoted(reply)}", wanted=wanted)
        else:
            self._over(head, reply)

    def _over(self, head: list[_Batch], reply: Page) -> None:
        """Take what was sent off the queue, whether the backend took it or not."""
        self._pause_s, self._trouble, self._is_held_off = 0.0, "", False
        if 200 <= reply.status < 300:
            self._last_fault = ""
            self._drop(head, "sent")
        else:
            self._note(head, f"samples refused: HTTP {reply.status}: {quoted(reply)}")
            self._drop(head, "rejected")

    async def _send(self, request: bytes) -> Page | Unreachable:
        try:
            return await self.way.write(request, timeout_s=_WITHIN_S)
        except Unreachable as error:
            return error
        except LimitExceeded as error:
            return Unreachable(str(error))

    async def _hold_off(self, trouble: str, *, wanted: str) -> None:
        """Wait, longer each time, or as long as the backend wants; who reads cuts it short."""
        self._trouble, self._is_held_off = trouble, wanted.isdecimal()
        self._told.write_retries.labels(self._tenant).inc()
        self._hurry.clear()
        self._signal()
        self._pause_s = min(max(_FIRST_PAUSE_S, 2 * self._pause_s), _LONGEST_PAUSE_S)
        pause = self._pause_s * (0.5 + self._rng() / 2)
        if self._is_held_off:
            pause = min(float(wanted), _LONGEST_PAUSE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._hurry.wait()

    def _note(self, head: list[_Batch], fault: str) -> None:
        told = f"{self.way.place.shown}: {fault}"
        self._faults |= {batch.group: told for batch in head}
        if told != self._last_fault:
            self._last_fault = told
            _log.warn("Backend refused samples", tenant=self._tenant, err=told)

    def _drop(self, batches: list[_Batch], outcome: str) -> None:
        count = sum(len(batch.labels) for batch in batches)
        self._queue.drop(batches)
        self._told.written.labels(self._tenant, outcome).inc(count)
        if not self._queue.batches:
            self._more.clear()
        self._show()
        self._signal()

    def _signal(self) -> None:
        """Wake those who wait for the next attempt."""
        self._attempt.set()
        self._attempt = asyncio.Event()

    def _show(self) -> None:
        self._told.waiting.labels(self._tenant).set(self._queue.samples)


def _batches(layout: Layout, ts_ms: int, values: Values) -> Iterator[_Batch]:
    names = frozenset(labels.value(METRIC_NAME) for labels in layout.labels)
    numbers = values.tolist()
    for first in range(0, len(numbers), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        yield _Batch(layout.group, layout.labels[part], ts_ms, numbers[part], names)
