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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.ports import SampleSink
from tocsin.metrics_collector.remote_write import Version, decode, decompressed
from tocsin.metrics_collector.write_request import KnownLabels, Request
from tocsin.model.clock import Clock
from tocsin.model.errors import InvalidInput
from tocsin.model.sample import Metadata
from tocsin.model.series import Series
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId

LATE = timedelta(minutes=5)
AHEAD = timedelta(minutes=10)
_SOURCE = "remote_write"
_INVALID = "invalid_labels"
_AHEAD = "out_of_bounds"
_LARGE = 256 << 10  # bytes; more is decoded in a thread: about 5 ms of work
_AT_ONCE = 2_000  # series stored before others get their turn


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

    known: KnownLabels = field(default_factory=KnownLabels)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Receiver:
    """The receiving end of remote write, for all tenants. One event loop."""

    def __init__(self, sink: SampleSink, *, clock: Clock, instruments: MetricInstruments) -> None:
        """Store into `sink`."""
        self._sink = sink
        self._clock = clock
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

    def forget(self, tenant: TenantId) -> None:
        """Drop what is remembered of a tenant that is gone."""
        self._senders.pop(tenant, None)

    def _sender(self, tenant: TenantId) -> _Sender:
        return self._senders.setdefault(tenant, _Sender())

    async def _take(self, tenant: TenantId, body: bytes, version: Version) -> Written:
        content = decompressed(body)
        known = self._sender(tenant).known
        if len(content) > _LARGE:
            request = await asyncio.to_thread(decode, content, version, known)
        else:
            request = decode(content, version, known)
        written = await self._store(tenant, request)
        self._describe(tenant, request.metadata)
        self._count(tenant, request, written)
        return written

    async def _store(self, tenant: TenantId, request: Request) -> Written:
        series, ahead = _until(request.series, to_ms(self._clock.now() + AHEAD))
        stored, refused = 0, {_AHEAD: ahead, _INVALID: request.invalid}
        for part in _parts(series):
            done = self._sink.append_series(tenant, part, out_of_order_window=LATE)
            stored += done.stored
            for reason, count in done.refused.items():
                refused[reason] = refused.get(reason, 0) + count
            if len(series) > _AT_ONCE:
                await asyncio.sleep(0)
        named = {reason: count for reason, count in refused.items() if count}
        return Written(stored, named, request.histograms, request.fault)

    def _describe(self, tenant: TenantId, metadata: dict[str, Metadata]) -> None:
        for name, each in metadata.items():
            self._sink.set_metadata(tenant, name, each)

    def _count(self, tenant: TenantId, request: Request, written: Written) -> None:
        told = self._instruments
        told.samples.labels(tenant, _SOURCE).inc(written.samples)
        told.exemplars.labels(tenant).inc(request.exemplars)
        told.histograms.labels(tenant).inc(request.histograms)
        for reason, count in written.refused.items():
            told.refused.labels(tenant, _SOURCE, reason).inc(count)


def _until(series: list[Series], latest_ms: int) -> tuple[list[Series], int]:
    """Return the samples up to a time, and how many are later."""
    if not series or max(int(each.times[-1]) for each in series) <= latest_ms:
        return series, 0
    kept, later = [], 0
    for each in series:
        count = int(np.searchsorted(each.times, latest_ms, "right"))
        later += len(each.times) - count
        if count:
            kept.append(Series(each.labels, each.times[:count], each.values[:count]))
    return kept, later


def _parts(series: list[Series]) -> Iterator[Sequence[Series]]:
    for first in range(0, len(series), _AT_ONCE):
        yield series[first : first + _AT_ONCE]
