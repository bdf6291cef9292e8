"""Samples of the past written straight into blocks, beside what a store holds already.

They need not come in any order. Every so many samples what has come is written, one block for
each window of time; the store merges these later as it does others. Of two samples at the same
time the one given first counts; what a store holds already is joined with it when it is read.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.sample import Sample
from tocsin.model.series import Times, Values
from tocsin.model.tenant import TenantId
from tocsin.timeseries.block_format import About, new_ulid
from tocsin.timeseries.block_index import index_of
from tocsin.timeseries.block_writer import BlockWriter, writing_block
from tocsin.timeseries.gathered import Piece
from tocsin.timeseries.segments import make_directory

AT_ONCE = 4 << 20  # samples held in memory: about 64 MiB


class Backfill:
    """Blocks being made of samples, in the folder of a tenant's blocks."""

    def __init__(self, directory: Path, tenant: TenantId, *, span_ms: int, now_ms: int) -> None:
        """Write blocks of windows of `span_ms` to `directory`, which is made if missing."""
        self.samples = 0
        self.blocks: list[Path] = []
        self._directory = directory
        self._tenant = tenant
        self._span_ms = span_ms
        self._now_ms = now_ms
        self._held: dict[Labels, tuple[array[int], array[float]]] = {}
        self._waiting = 0

    def add(self, samples: Iterable[Sample]) -> None:
        """Take samples in. Raises OSError."""
        for sample in samples:
            held = self._held.get(sample.labels)
            if held is None:
                held = self._held[sample.labels] = (array("q"), array("d"))
            held[0].append(sample.ts_ms)
            held[1].append(sample.value)
            self._waiting += 1
            if self._waiting >= AT_ONCE:
                self.flush()

    def flush(self) -> None:
        """Write what is held. Raises OSError."""
        make_directory(self._directory)
        columns = [(labels, *_ordered(*held)) for labels, held in sorted(self._held.items())]
        self._held, self._waiting = {}, 0
        starts = {
            int(start) for _, times, _ in columns for start in np.unique(times // self._span_ms)
        }
        for start in sorted(starts):
            self._write(columns, start * self._span_ms)

    def _write(self, columns: list[tuple[Labels, Times, Values]], start_ms: int) -> None:
        labels: list[Labels] = []
        ulid = new_ulid(self._now_ms)
        with writing_block(self._directory, self._tenant, ulid) as writer:
            for each, (times, values) in _within(columns, start_ms, start_ms + self._span_ms):
                writer.add(len(labels), times, values)
                labels.append(each)
            self._finish(writer, labels)

    def _finish(self, writer: BlockWriter, labels: list[Labels]) -> None:
        written = writer.finish(index_of(labels), About(written_ms=self._now_ms))
        self.samples += writer.samples
        self.blocks.append(written.path)


def _ordered(times: array[int], values: array[float]) -> Piece:
    """Return samples in order of time, the first of those at the same time."""
    found, first = np.unique(np.frombuffer(times, np.int64), return_index=True)
    return found, np.frombuffer(values, np.float64)[first]


def _within(
    columns: list[tuple[Labels, Times, Values]], start_ms: int, end_ms: int
) -> Iterator[tuple[Labels, Piece]]:
    for labels, times, values in columns:
        first, last = np.searchsorted(times, (start_ms, end_ms)).tolist()
        if first < last:
            yield labels, (times[first:last], values[first:last])
