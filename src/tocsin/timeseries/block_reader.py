"""Reading samples out of a block file: the chunks asked for, and no others.

A `BlockReader` holds the file open, so that a thread can read on although the block has been
replaced and removed meanwhile. Chunks are read one by one and never kept.

A frame whose checksum is wrong raises nothing while samples are read: its samples are left
out, the fault is noted, and all else is answered.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tocsin.model.series import Times, Values
from tocsin.timeseries import block_format as form
from tocsin.timeseries.block import Block, Contents, Fault
from tocsin.timeseries.block_codec import BadBlock, Decoder, Ints
from tocsin.timeseries.block_format import SectionKind, Table
from tocsin.timeseries.block_index import read_index
from tocsin.timeseries.postings import SeriesIds

_ALWAYS = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
_FEW = 4  # columns are copied out of a chunk when fewer than one in four are wanted


class Column(NamedTuple):
    """Samples of one series, by its number in the block."""

    series: int
    times: Times
    values: Values


@dataclass(frozen=True, slots=True, eq=False)
class ChunkHeads:
    """The front of a chunk: series, clock and length of each column; `data` are the samples."""

    series: Ints
    clocks: Ints
    lengths: Ints
    data: memoryview


class BlockReader:
    """A block file held open. Belongs to one thread at a time."""

    def __init__(self, block: Block) -> None:
        """Open the file of `block`. Raises OSError."""
        self.block = block
        self._clocks: dict[int, list[Times]] = {}  # by row of their table
        self._fd = os.open(block.path, os.O_RDONLY | os.O_CLOEXEC)
        self._closing = weakref.finalize(self, os.close, self._fd)

    def __enter__(self) -> BlockReader:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the file."""
        self.close()

    def close(self) -> None:
        """Let go of the file. Idempotent; done as well when the reader is forgotten."""
        self._closing()

    def contents(self) -> Contents:
        """Return index and tables. Raises BadBlock, OSError."""
        return self.block.cache.get(self.block.name.ulid, self._read_contents)

    def columns(self, wanted: SeriesIds, start_ms: int, end_ms: int) -> Iterator[Column]:
        """Yield the samples with start <= t <= end of `wanted`, which ascend.

        Columns of one series come in order of time; series with the same clock have the same
        object as times. Raises BadBlock when the index is damaged, OSError.
        """
        windows = _Windows(self, start_ms, end_ms)
        marks = self.contents().index.marks(wanted)
        for row in self.rows(wanted, start_ms, end_ms).tolist():
            try:
                heads = self.heads(row)
                hits = np.flatnonzero(marks[heads.series])
                if len(hits):
                    yield from _columns(heads, hits, windows)
            except BadBlock as fault:
                self._note(fault, row)

    def chunk(self, row: int) -> Iterator[Column]:
        """Yield every column of a chunk, by its row in the table. Raises BadBlock, OSError."""
        heads = self.heads(row)
        everything = _Windows(self, *_ALWAYS)
        return _columns(heads, np.arange(len(heads.series)), everything)

    def present(self, wanted: SeriesIds, start_ms: int, end_ms: int) -> SeriesIds:
        """Return which of `wanted`, which ascend, have a sample with start <= t <= end."""
        if start_ms <= self.block.name.mint and end_ms >= self.block.name.maxt:
            return wanted
        windows = _Windows(self, start_ms, end_ms)
        marks = self.contents().index.marks(wanted)
        found = np.zeros_like(marks)
        for row in self.rows(wanted, start_ms, end_ms).tolist():
            try:
                heads = self.heads(row)
                filled = [bool(windows.of(clock)[1].size) for clock in heads.clocks.tolist()]
                found[heads.series[np.asarray(filled)]] = True
            except BadBlock as fault:
                self._note(fault, row)
        return np.flatnonzero(found & marks).astype(np.int32)

    def rows(self, wanted: SeriesIds, start_ms: int, end_ms: int) -> Ints:
        """Return the rows of the table of chunks that may hold samples of `wanted` in range."""
        chunks = self.contents().chunks
        before = np.searchsorted(wanted, chunks.first, "left")
        some = before < np.searchsorted(wanted, chunks.last, "right")
        return np.flatnonzero(some & (chunks.mint <= end_ms) & (chunks.maxt >= start_ms))

    def heads(self, row: int) -> ChunkHeads:
        """Return the front of a chunk, by its row in the table. Raises BadBlock, OSError."""
        chunks = self.contents().chunks
        frame = memoryview(self._frame(chunks, row))
        ahead = 4 + int.from_bytes(frame[:4], "little")
        decoder = Decoder(frame[4:ahead])
        count = int(chunks.count[row])
        series, clocks, lengths = (decoder.numbers(count) for _ in range(3))
        return ChunkHeads(series, clocks, lengths, frame[ahead:])

    def clock(self, number: int) -> Times:
        """Return the times of a clock, the same object each time. Raises BadBlock, OSError."""
        clocks = self.contents().clocks
        row = int(np.searchsorted(clocks.last, number))
        if number < 0 or row == len(clocks):
            raise BadBlock(f"clock {number} is missing")
        held = self._clocks.get(row)
        if held is None:
            held = self._clocks[row] = self._read_clocks(clocks, row)
        return held[number - int(clocks.first[row])]

    def section(self, kind: SectionKind) -> bytes:
        """Return a section. Raises BadBlock, OSError."""
        section = self.block.sections[kind]
        return self._read(section.offset, section.size, section.crc)

    def _read_contents(self) -> Contents:
        return Contents(
            read_index(self.section(SectionKind.LABELS)),
            form.read_table(self.section(SectionKind.CHUNKS)),
            form.read_table(self.section(SectionKind.CLOCKS)),
        )

    def _read_clocks(self, clocks: Table, row: int) -> list[Times]:
        decoder = Decoder(self._frame(clocks, row))
        lengths = decoder.numbers(int(clocks.count[row]))
        times = decoder.ints(lengths)
        times.flags.writeable = False
        return np.split(times, np.cumsum(lengths)[:-1])

    def _frame(self, table: Table, row: int) -> bytes:
        return self._read(int(table.offset[row]), int(table.size[row]), int(table.crc[row]))

    def _read(self, offset: int, size: int, crc: int) -> bytes:
        data = os.pread(self._fd, size, offset)
        if len(data) != size or form.checksum(data) != crc:
            raise BadBlock(f"offset {offset}: checksum of {size} bytes does not match")
        return data

    def _note(self, fault: BadBlock, row: int) -> None:
        what = str(fault)
        if not what.startswith("offset"):
            what = f"offset {self.contents().chunks.offset[row]}: {what}"
        self.block.note(Fault(self.block.path, what))


class _Windows:
    """What lies within a range of time of each clock a reader meets."""

    def __init__(self, reader: BlockReader, start_ms: int, end_ms: int) -> None:
        self._reader = reader
        self._range = (start_ms, end_ms)
        self._known: dict[int, tuple[int, Times]] = {}

    def of(self, clock: int) -> tuple[int, Times]:
        """Return how many times of a clock are before the range, and those within."""
        known = self._known.get(clock)
        if known is None:
            times = self._reader.clock(clock)
            first = int(np.searchsorted(times, self._range[0], "left"))
            last = int(np.searchsorted(times, self._range[1], "right"))
            known = self._known[clock] = (first, times[first : max(first, last)])
        return known


def _columns(heads: ChunkHeads, hits: Ints, windows: _Windows) -> Iterator[Column]:
    """Yield the columns at `hits` of one chunk."""
    values = Decoder(heads.data).floats(heads.lengths)
    values.flags.writeable = False
    few = len(hits) * _FEW < len(heads.series)
    starts = (np.cumsum(heads.lengths) - heads.lengths)[hits]
    rows = zip(
        heads.series[hits].tolist(), heads.clocks[hits].tolist(), starts.tolist(), strict=True
    )
    for series, clock, start in rows:
        skipped, times = windows.of(clock)
        if times.size:
            begin = start + skipped
            found = values[begin : begin + len(times)]
            yield Column(series, times, _copied(found) if few else found)


def _copied(values: Values) -> Values:
    copy = values.copy()
    copy.flags.writeable = False
    return copy
