"""Takes OTLP metrics of tenants in: decodes, adds up deltas, stores, and says what became of it.

A request that cannot be read stores nothing. Of one that can, every point is stored that may
be, and `Exported` tells the rest. Times are judged as in remote write. Returning means that the
store has written the samples to its log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from tocsin.metrics_collector.arrival import AHEAD, LATE, Arrival
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.known_series import Samples
from tocsin.metrics_collector.otlp.body import Encoding, unpacked
from tocsin.metrics_collector.otlp.config import OtlpConfig
from tocsin.metrics_collector.otlp.deltas import Deltas
from tocsin.metrics_collector.otlp.json_form import as_protobuf
from tocsin.metrics_collector.otlp.points import Block, Request
from tocsin.metrics_collector.otlp.reader import read
from tocsin.metrics_collector.otlp.streams import Directory
from tocsin.metrics_collector.ports import SampleSink
from tocsin.model.clock import Clock
from tocsin.model.errors import InvalidInput
from tocsin.model.sample import Metadata
from tocsin.model.tenant import TenantId

ROOM_LATER = "active_series_limit"  # the store's reason that time may remove
_SOURCE = "otlp"
_AHEAD = "out_of_bounds"
_LARGE = 128 << 10  # bytes; more is decoded in a thread: about 5 ms of work
_AT_ONCE = 20_000  # samples stored before others get their turn
_MOST_DESCRIBED = 20_000  # metrics of a tenant whose metadata is remembered here


@dataclass(slots=True)
class Exported:
    """What became of a request that could be read, in data points.

    `rejected` counts points by reason, `faults` say what is wrong with the first of a reason.
    `samples` were stored, which is more than points where there are histograms.
    """

    samples: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Tell whether every point was taken."""
        return not self.rejected

    @property
    def later(self) -> bool:
        """Tell whether nothing was stored for want of room, so that it may come again."""
        return not self.samples and set(self.rejected) == {ROOM_LATER}

    def reject(self, points: int, reason: str) -> None:
        """Count points."""
        if points:
            self.rejected[reason] = self.rejected.get(reason, 0) + points


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it came."""

    body: bytes
    encoding: Encoding = Encoding.PROTOBUF
    gzip: bool = False


class _Sender:
    """What is remembered of one tenant; its requests are taken one after the other."""

    def __init__(self, tenant: TenantId, config: OtlpConfig) -> None:
        self.tenant = tenant
        self.turn = asyncio.Lock()
        self.deltas = Deltas()
        self.configure(config)

    def configure(self, config: OtlpConfig) -> None:
        """Begin anew with names, under a new configuration or because there are too many."""
        self.config = config
        self.known = Directory(config)
        self.told: dict[str, Metadata] = {}
        self.deltas.forget_slots()


class OtlpReceiver:
    """The receiving end of OTLP, for all tenants. One event loop."""

    def __init__(self, sink: SampleSink, *, clock: Clock, instruments: MetricInstruments) -> None:
        """Store into `sink`."""
        self._sink = sink
        self._clock = clock
        self._arrival = Arrival(clock)
        self._instruments = instruments
        self._senders: dict[TenantId, _Sender] = {}
        self._configs: dict[TenantId, OtlpConfig] = {}

    def configure(self, tenant: TenantId, config: OtlpConfig, *, ahead: timedelta = AHEAD) -> None:
        """Put a tenant's configuration in force from its next request on.

        `ahead` is how far its points may be ahead of the clock.
        """
        self._configs[tenant] = config
        self._arrival.configure(tenant, ahead)

    def forget(self, tenant: TenantId) -> None:
        """Drop what is remembered of a tenant that is gone."""
        self._senders.pop(tenant, None)
        self._configs.pop(tenant, None)
        self._arrival.forget(tenant)

    async def receive(self, tenant: TenantId, sent: Sent) -> Exported:
        """Store a request as it came.

        Raises InvalidInput when it cannot be read (TooLarge when it is too large), and then
        nothing is stored; NotDurable when the store failed: the sender must send it again.
        """
        outcome = "failed"
        try:
            sender = self._sender(tenant)
            async with sender.turn:
                exported = await self._take(sender, sent)
            outcome = "stored" if exported.complete else "partial"
        except InvalidInput:
            outcome = "malformed"
            raise
        finally:
            self._instruments.otlp_requests.labels(tenant, sent.encoding, outcome).inc()
        return exported

    def _sender(self, tenant: TenantId) -> _Sender:
        if tenant not in self._senders:
            self._senders[tenant] = _Sender(tenant, self._config(tenant))
        return self._senders[tenant]

    def _config(self, tenant: TenantId) -> OtlpConfig:
        return self._configs.get(tenant) or OtlpConfig()

    async def _take(self, sender: _Sender, sent: Sent) -> Exported:
        config = self._config(sender.tenant)
        if sender.known.full or sender.config != config:
            sender.configure(config)
        if sent.gzip or len(sent.body) > _LARGE:
            request = await asyncio.to_thread(decode, sent, sender.known)
        else:
            request = decode(sent, sender.known)
        exported = Exported(0, dict(request.rejected), dict(request.faults))
        sender.deltas.tidy(self._clock.now().timestamp())
        done = False
        try:
            await self._store(sender, request, exported)
            done = not exported.later
        finally:
            sender.deltas.settle(keep=done)
        self._describe(sender, request)
        self._count(sender, request, exported)
        return exported

    async def _store(self, sender: _Sender, request: Request, exported: Exported) -> None:
        for block in self._summed(sender, request.blocks, exported):
            for part in block.in_order().parts(_AT_ONCE):
                self._append(sender, part, exported)
                if len(block) > len(part):
                    await asyncio.sleep(0)
        if request.info is not None and exported.samples:
            told = Exported()
            self._append(
                sender, _timely(request.info, self._arrival.latest_ms(sender.tenant), told), told
            )
            exported.samples += told.samples

    def _summed(self, sender: _Sender, blocks: Sequence[Block], exported: Exported) -> list[Block]:
        """Return the blocks as they are stored: of points not ahead of the clock, deltas summed."""
        latest = self._arrival.latest_ms(sender.tenant)
        now_s = self._clock.now().timestamp()
        found: list[Block] = []
        for block in blocks:
            timely = _timely(block, latest, exported)
            if not block.delta:
                found.append(timely)
                continue
            summed = sender.deltas.add(timely, sender.known.series.labels, now_s=now_s)
            found += summed.blocks
            for reason, count in summed.refused.items():
                exported.reject(count, reason)
        return [block for block in found if len(block)]

    def _append(self, sender: _Sender, block: Block, exported: Exported) -> None:
        """Store one block; a point of which not everything could be stored counts as rejected."""
        width = block.slots.shape[1]
        times = np.repeat(block.times(), width)
        samples = Samples(block.slots.ravel(), times, block.values.ravel())
        done = sender.known.series.store(self._sink, sender.tenant, samples, window=LATE)
        exported.samples += done.stored
        for reason, count in done.refused.items():
            exported.reject(-(-count // width), reason)

    def _describe(self, sender: _Sender, request: Request) -> None:
        for name, told in request.metadata.items():
            if sender.told.get(name) != told:
                self._sink.set_metadata(sender.tenant, name, told)
                sender.told[name] = told
        if len(sender.told) > _MOST_DESCRIBED:
            sender.told.clear()

    def _count(self, sender: _Sender, request: Request, exported: Exported) -> None:
        told, tenant = self._instruments, sender.tenant
        told.samples.labels(tenant, _SOURCE).inc(exported.samples)
        told.exemplars.labels(tenant).inc(request.exemplars)
        told.histograms.labels(tenant).inc(request.histograms)
        told.delta_series.labels(tenant).set(len(sender.deltas))
        for reason, count in exported.rejected.items():
            told.points_rejected.labels(tenant, reason).inc(count)


def decode(sent: Sent, known: Directory) -> Request:
    """Return what a request holds. Raises InvalidInput; a body beyond measure is TooLarge."""
    content = unpacked(sent.body) if sent.gzip else sent.body
    if sent.encoding is Encoding.JSON:
        content = as_protobuf(content)
    return read(content, known)


def _timely(block: Block, latest_ms: int, exported: Exported) -> Block:
    """Return the points that have a time, and one that is not too far ahead of the clock."""
    timed: npt.NDArray[np.bool_] = block.nanos > 0
    due: npt.NDArray[np.bool_] = block.times() <= latest_ms
    exported.reject(int((~timed).sum()), "no_time")
    exported.reject(int((~due).sum()), _AHEAD)
    kept = timed & due
    return block if kept.all() else block.take(kept)
