"""Takes remote write requests of tenants in: decodes, stores, and says what became of them.

A request that cannot be read stores nothing. Of one that can, everything is stored that may
be, and `Written` tells the rest: a sender that hears of samples refused does not send them
again. Exemplars are dropped and counted, native histograms are not stored.

Samples may be late by up to `LATE` (contract metrics-engine 2.6); one that is ahead of the
clock by more than `AHEAD` is refused, as by Prometheus, because it would bar its series until
then. Returning means that the store has written the samples to its log.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from tocsin.metrics_collector.arrival import LATE, Arrival
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.known_series import KnownSeries
from tocsin.metrics_collector.ports import SampleSink
from tocsin.metrics_collector.remote_write import Version, decoder, decompressed
from tocsin.metrics_collector.write_request import Request
from tocsin.model.clock import Clock
from tocsin.model.errors import InvalidInput
from tocsin.model.sample import Metadata
from tocsin.model.tenant import TenantId

_SOURCE = "remote_write"
_INVALID = "invalid_labels"
_AHEAD = "out_of_bounds"
_SMALL = 128 << 10  # bytes; takes some ms to decode whatever it holds
_LARGE = 1 << 20  # bytes; more is decoded in a thread
_MOST_NEW = 200  # series in a request between these sizes, else it is decoded in a thread
_AT_ONCE = 10_000  # samples stored before others get their turn
_MOST_DESCRIBED = 20_000  # metrics of a tenant whose metadata is remembered here


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a request that could be read.

    `refused` counts samples by the store's reasons, `histograms` native histograms that are
    not kept, `fault` describes the first invalid label set.
    """

    samples: int
    refused: dict[str, int] = field(default_factory=dict)
    histograms: int = 0
    fault: str = ""

    @property
    def complete(self) -> bool:
        """Tell whether everything was stored that can be asked for (exemplars cannot)."""
        return not self.refused and not self.histograms


@dataclass(slots=True)
class _Sender:
    """What is remembered of a tenant; its requests are taken one after the other."""

    known: KnownSeries = field(default_factory=KnownSeries)
    described: dict[str, Metadata] = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Receiver:
    """The receiving end of remote write, for all tenants. One event loop."""

    def __init__(self, sink: SampleSink, *, clock: Clock, instruments: MetricInstruments) -> None:
        """Store into `sink`."""
        self._sink = sink
        self._arrival = Arrival(clock)
        self._instruments = instruments
        self._senders: dict[TenantId, _Sender] = {}

    async def receive(self, tenant: TenantId, body: bytes, version: Version) -> Written:
        """Store a request as it came, snappy and all.

        Raises InvalidInput when it cannot be read, and then nothing is stored; NotDurable
        when the store failed: the sender must send it again, repeats are harmless.
        """
        outcome = "failed"
        try:
            async with self._sender(tenant).turn:
                written = await self._take(tenant, body, version)
            outcome = "stored" if written.complete else "partial"
        except InvalidInput:
            outcome = "malformed"
            raise
        finally:
            self._instruments.requests.labels(tenant, version, outcome).inc()
        return written

    def configure(self, tenant: TenantId, *, ahead: timedelta) -> None:
        """Allow a tenant's samples to be so far ahead of the clock."""
        self._arrival.configure(tenant, ahead)

    def forget(self, tenant: TenantId) -> None:
        """Drop what is remembered of a tenant that is gone."""
        self._arrival.forget(tenant)
        self._senders.pop(tenant, None)

    def _sender(self, tenant: TenantId) -> _Sender:
        found = self._senders.get(tenant)
        if found is None:
            found = self._senders[tenant] = _Sender()
        return found

    async def _take(self, tenant: TenantId, body: bytes, version: Version) -> Written:
        sender = self._sender(tenant)
        request = await _decoded(decompressed(body), version, sender.known)
        written = await self._store(tenant, sender.known, request)
        self._describe(tenant, sender.described, request.metadata)
        self._count(tenant, request, written)
        return written

    async def _store(self, tenant: TenantId, known: KnownSeries, request: Request) -> Written:
        samples, came = request.samples, len(request.samples)
        latest_ms = self._arrival.latest_ms(tenant)
        if came and samples.times.max() > latest_ms:
            samples = samples[samples.times <= latest_ms]
        stored, refused = 0, {_AHEAD: came - len(samples), _INVALID: request.invalid}
        for first in range(0, len(samples), _AT_ONCE):
            if first:
                await asyncio.sleep(0)
            part = samples[first : first + _AT_ONCE]
            done = known.store(self._sink, tenant, part, window=LATE)
            stored += done.stored
            for reason, count in done.refused.items():
                refused[reason] = refused.get(reason, 0) + count
        named = {reason: count for reason, count in refused.items() if count}
        return Written(stored, named, request.histograms, request.fault)

    def _describe(
        self, tenant: TenantId, before: dict[str, Metadata], metadata: dict[str, Metadata]
    ) -> None:
        """Tell the store what is not known from `before`."""
        for name, each in metadata.items():
            if before.get(name) != each:
                self._sink.set_metadata(tenant, name, each)
                before[name] = each
        if len(before) > _MOST_DESCRIBED:
            before.clear()

    def _count(self, tenant: TenantId, request: Request, written: Written) -> None:
        told = self._instruments
        told.samples.labels(tenant, _SOURCE).inc(written.samples)
        told.exemplars.labels(tenant).inc(request.exemplars)
        told.histograms.labels(tenant).inc(request.histograms)
        for reason, count in written.refused.items():
            told.refused.labels(tenant, _SOURCE, reason).inc(count)


async def _decoded(content: bytes, version: Version, known: KnownSeries) -> Request:
    """Return what a request holds; what takes long is done in a thread. Raises InvalidInput."""
    reader = decoder(content, version, known)
    if len(content) <= _SMALL:
        return reader.decode()
    found = reader.decode_known(most_new=_MOST_NEW) if len(content) <= _LARGE else None
    return await asyncio.to_thread(reader.decode) if found is None else found
