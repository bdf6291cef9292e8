"""Series that share a clock: one column of times, and a block of values row by row.

Everything that always arrives together (a scrape target, a process, a rule) forms a group
(contract metrics-engine 2.2). Its samples lie in chunks of a fixed number of rows; a chunk
has one time for each row and one column for each series, time-major, so that appending is
one copy of a row and a window is a few contiguous rows.

A chunk is dense: every series of its columns has a sample in every row. When the series of a
group change, the chunk is trimmed and another begins; a row of which only a part was accepted
goes to the series one by one (`single`). So "no sample" needs no mark of its own and any bit
pattern, NaN included, is a sample.

A chunk that ended some time ago (`hot_ms`) is compressed when the group begins another one.

Times ascend strictly through all chunks of a group. Rows once written never change: arrays
given out stay valid after later appends and after the chunk has been dropped.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.series import Layout, Times, Values
from tocsin.timeseries.packed import PackedBlock
from tocsin.timeseries.postings import NO_SERIES, Mask, SeriesIds
from tocsin.timeseries.ring_feed import Feed

Chosen: TypeAlias = npt.NDArray[np.intp]
Slots: TypeAlias = npt.NDArray[np.int32]  # by series id: its place in a selection, or -1

NOTHING: Chosen = np.empty(0, np.intp)

_WORTH_PACKING = 8  # rows


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Samples of several series at the same times: `block[i]` belongs to place `places[i]`."""

    places: Slots
    times: Times
    block: Values  # shape (len(places), len(times))


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of a group as they lie in it, for some of its series; times ascend."""

    sids: SeriesIds
    times: Times
    values: Values  # shape (len(times), len(sids))


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """What a layout came to: which of its positions are stored, and why the others are not.

    `kept` is None when all are. `repeats` are (position, column) of label sets that stand
    in the layout a second time.
    """

    layout: Layout
    kept: npt.NDArray[np.intp] | None = None
    repeats: tuple[tuple[int, int], ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)


class Chunk:
    """A run of rows with the same columns."""

    __slots__ = ("_values", "columns", "times", "used")

    def __init__(self, columns: SeriesIds, slots: int) -> None:
        self.columns = columns
        self.times: Times = np.empty(slots, np.int64)
        self._values: Values | PackedBlock = np.empty((slots, len(columns)), np.float64)
        self.used = 0

    @property
    def full(self) -> bool:
        """Tell whether there is no room for another row."""
        return self.used == len(self.times)

    @property
    def last(self) -> int:
        """Return the time of the newest row."""
        return int(self.times[self.used - 1])

    @property
    def samples(self) -> int:
        """Return how many samples there are."""
        return self.used * len(self.columns)

    def add(self, ts_ms: int, row: Values) -> None:
        """Write one row behind the last; not after `trim` or `pack`."""
        self.times[self.used] = ts_ms
        self._values[self.used] = row  # type: ignore[index]  # see above
        self.used += 1

    def trim(self) -> None:
        """Give back the rows that were never written."""
        if not self.full and not isinstance(self._values, PackedBlock):
            self.times = self.times[: self.used].copy()
            self._values = self._values[: self.used].copy()

    def pack(self) -> None:
        """Compress a trimmed chunk, unless it has so few rows that there is nothing to gain."""
        if self.used >= _WORTH_PACKING and not isinstance(self._values, PackedBlock):
            self._values = PackedBlock(self._values)

    def take(self, rows: slice, chosen: Chosen) -> Values:
        """Return the given rows and ascending columns, as a view or a copy."""
        if isinstance(self._values, PackedBlock):
            return self._values.take(rows, chosen)
        values = self._values[rows]
        return values if len(chosen) == len(self.columns) else np.take(values, chosen, axis=1)

    def rows(self, start_ms: int, end_ms: int) -> slice:
        """Return the rows with start <= t <= end."""
        used = self.times[: self.used]
        first = int(np.searchsorted(used, start_ms, "left"))
        return slice(first, max(first, int(np.searchsorted(used, end_ms, "right"))))


class Group:
    """The chunks of one group, oldest first. Not thread-safe."""

    __slots__ = ("_packed", "_starts", "binding", "chunks", "columns", "feeds", "index", "name")

    def __init__(self, name: str, index: int) -> None:
        self.name = name
        self.index = index
        self.columns: SeriesIds = NO_SERIES
        self.binding: Binding | None = None
        self.feeds: tuple[Feed, ...] | None = None  # None: to be worked out
        self.chunks: list[Chunk] = []
        self._starts: list[int] = []
        self._packed = 0  # chunks before this one are compressed

    @property
    def newest(self) -> int | None:
        """Return the time of the newest row, None when there is none."""
        return self.chunks[-1].last if self.chunks else None

    def add(self, ts_ms: int, row: Values, *, slots: int, hot_ms: int) -> bool:
        """Write one row for `columns`; tell whether these columns are new to the group.

        When that begins a chunk, it has room for `slots` rows, and chunks that ended more
        than `hot_ms` ago are compressed.
        """
        last = self.chunks[-1] if self.chunks else None
        if last is not None and last.columns is self.columns and not last.full:
            last.add(ts_ms, row)
            return False
        if last is not None:
            last.trim()
        self._pack_before(ts_ms - hot_ms)
        chunk = Chunk(self.columns, slots)
        chunk.add(ts_ms, row)
        self.chunks.append(chunk)
        self._starts.append(ts_ms)
        return last is None or last.columns is not self.columns

    def between(self, start_ms: int, end_ms: int) -> Iterator[tuple[Chunk, slice]]:
        """Yield the chunks that have rows with start <= t <= end, and which rows, in order."""
        first = max(0, bisect_right(self._starts, start_ms) - 1)
        for chunk in self.chunks[first : bisect_right(self._starts, end_ms)]:
            rows = chunk.rows(start_ms, end_ms)
            if rows.stop > rows.start:
                yield chunk, rows

    def read(self, slots: Slots, start_ms: int, end_ms: int) -> Iterator[Run]:
        """Yield the samples in range of the series that have a place in `slots`."""
        found = groupby(self.between(start_ms, end_ms), key=lambda each: id(each[0].columns))
        for _, neighbours in found:
            parts = list(neighbours)
            places = slots[parts[0][0].columns]
            chosen = np.flatnonzero(places >= 0)
            if chosen.size:
                yield _run(parts, chosen, places[chosen])

    def rows(self, wanted: Mask, start_ms: int, end_ms: int) -> Iterator[Rows]:
        """Yield the rows with start <= t <= end, of the series that are marked."""
        columns, chosen, sids = NO_SERIES, NOTHING, NO_SERIES
        for chunk, rows in self.between(start_ms, end_ms):
            if chunk.columns is not columns:
                columns = chunk.columns
                chosen = np.flatnonzero(wanted[columns])
                sids = columns[chosen]
            if chosen.size:
                yield Rows(sids, chunk.times[rows], chunk.take(rows, chosen))

    def drop_before(self, horizon_ms: int) -> list[Chunk]:
        """Forget chunks that ended before `horizon_ms`, and return them."""
        keep = 0
        while keep < len(self.chunks) and self.chunks[keep].last < horizon_ms:
            keep += 1
        dropped = self.chunks[:keep]
        del self.chunks[:keep], self._starts[:keep]
        self._packed = max(0, self._packed - keep)
        return dropped

    def _pack_before(self, horizon_ms: int) -> None:
        while self._packed < len(self.chunks) and self.chunks[self._packed].last < horizon_ms:
            self.chunks[self._packed].pack()
            self._packed += 1


def _run(parts: list[tuple[Chunk, slice]], chosen: Chosen, places: Slots) -> Run:
    """Copy the chosen columns of neighbouring chunks into one series-major block."""
    pieces = [chunk.times[rows] for chunk, rows in parts]
    times = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    block = np.empty((len(chosen), len(times)), np.float64)
    upto = 0
    for chunk, rows in parts:
        wanted = chunk.take(rows, chosen)
        block[:, upto : upto + len(wanted)] = wanted.T
        upto += len(wanted)
    times.flags.writeable = False
    block.flags.writeable = False
    return Run(places, times, block)
