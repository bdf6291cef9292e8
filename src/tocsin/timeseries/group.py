"""Series that share a clock: one column of times, and a block of values row by row.

Everything that always arrives together (a scrape target, a process, a rule) forms a group
(contract metrics-engine 2.2). Its samples lie in chunks of some rows, one behind the other;
times ascend strictly through all of them.

The rows of a layout are whole: every series has a sample in each, and when the series change
another chunk begins. What is pushed comes in parts: a row is begun by the first part (`row`),
the others are put into it while it is open, and a series that is new widens the chunk. So a
group keeps some rows open, in its last two chunks. Of what such rows do not hold, nothing is
known but that there is no sample (`chunk`).

Arrays given out stay as they are whatever is appended or forgotten later.
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
from tocsin.timeseries.chunk import Chosen, Chunk, Packing, present
from tocsin.timeseries.packed import Opening
from tocsin.timeseries.postings import NO_SERIES, Mask, SeriesIds
from tocsin.timeseries.ring_feed import Feed

Slots: TypeAlias = npt.NDArray[np.int32]  # by series id: its place in a selection, or -1

NOTHING: Chosen = np.empty(0, np.intp)
KEEP = 16  # open rows of a group whose rows come in parts

_SPARSE = 16  # rows are nearly empty when fewer than one in so many cells has a sample
_LONG = 2 * KEEP  # rows after which that is known


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
class Part:
    """Neighbouring chunks with the same columns: some rows of each, and some columns of all."""

    home: int  # index of the group
    chunks: list[tuple[Chunk, slice]]
    chosen: Chosen

    @property
    def sids(self) -> SeriesIds:
        """Return the series of the columns chosen."""
        found: SeriesIds = self.chunks[0][0].columns[self.chosen]
        return found

    def ask(self, opening: Opening) -> None:
        """Ask for what reading has to open; parts that are opened together cost less."""
        for chunk, rows in self.chunks:
            chunk.ask(rows, self.chosen, opening)

    def runs(self, places: Slots, opening: Opening) -> Iterator[Run]:
        """Yield the samples, those of the i-th series with the place `places[i]`."""
        pieces = [chunk.times[rows] for chunk, rows in self.chunks]
        times = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        block = np.empty((len(self.chosen), len(times)), np.float64)
        upto = 0
        for chunk, rows in self.chunks:
            wanted = chunk.take(rows, self.chosen, opening)
            block[:, upto : upto + len(wanted)] = wanted.T
            upto += len(wanted)
        run = _given(places, times, block)
        if any(chunk.absent for chunk, _ in self.chunks):
            return _without_gaps(run)
        return iter((run,))

    def rows(self, opening: Opening) -> Iterator[Rows]:
        """Yield the rows as they lie in the group, cells without a sample and all."""
        sids = self.sids
        for chunk, rows in self.chunks:
            yield Rows(sids, chunk.times[rows], chunk.take(rows, self.chosen, opening))


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


class Group:
    """The chunks of one group, oldest first. Not thread-safe."""

    __slots__ = (
        "_closed", "_packing", "_starts", "binding", "chunks", "columns", "feeds", "index", "keep",
        "name", "sparse",
    )  # fmt: skip

    def __init__(self, name: str, index: int, *, keep: int, packing: Packing) -> None:
        """Begin a group whose newest `keep` rows at least stay open; `packing` packs the others."""
        self.name = name
        self.index = index
        self.keep = keep
        self._packing = packing
        self.columns: SeriesIds = NO_SERIES  # of the rows to come
        self.binding: Binding | None = None
        self.feeds: tuple[Feed, ...] | None = None  # None: to be worked out
        self.chunks: list[Chunk] = []
        self.sparse = False  # rows stay nearly empty
        self._starts: list[int] = []
        self._closed = 0  # chunks before this one are closed

    @property
    def newest(self) -> int | None:
        """Return the time of the newest row, None when there is none."""
        return self.chunks[-1].last if self.chunks else None

    @property
    def oldest(self) -> int | None:
        """Return the time of the oldest row, None when there is none."""
        return self._starts[0] if self._starts else None

    # -- writing -----------------------------------------------------------------------------

    def add(self, ts_ms: int, row: Values, *, slots: int) -> bool:
        """Write a whole row behind the last; tell whether `columns` are new to the group.

        A chunk takes `slots` rows.
        """
        last = self.chunks[-1] if self.chunks else None
        if last is not None and last.columns is self.columns and last.used < slots:
            last.add(ts_ms, row)
            return False
        self._follow(ts_ms).add(ts_ms, row)
        return last is None or last.columns is not self.columns

    def extend(self, times: Times, rows: Values, *, slots: int) -> bool:
        """Write whole rows behind the last, as `add` does."""
        before = self.chunks[-1].columns if self.chunks else None
        done = 0
        while done < len(times):
            chunk = self.chunks[-1] if self.chunks else None
            if chunk is None or chunk.columns is not self.columns or chunk.used >= slots:
                chunk = self._follow(int(times[done]))
            upto = min(len(times), done + slots - chunk.used)
            chunk.extend(times[done:upto], rows[done:upto])
            done = upto
        return before is not self.columns

    def row(self, ts_ms: int, count: int, *, slots: int) -> tuple[Chunk, int] | None:
        """Return an open row at this time and its chunk; it is made when there is none.

        None when it would be among rows that are not open any more. While rows stay nearly
        empty, none is made for only `count` samples either.
        """
        chunk = self.chunks[-1] if self.chunks else None
        if chunk is not None and ts_ms <= chunk.last:
            return self._row_among(ts_ms, count)
        if self.sparse and self._wasteful(count):
            return None
        if chunk is None or chunk.used >= slots or chunk.columns is not self.columns:
            chunk = self._follow(ts_ms)
        elif chunk.used % KEEP == 0:
            self._look(chunk)
        return chunk, chunk.begin(ts_ms)

    def widen(self, sids: SeriesIds) -> None:
        """Add series to the rows to come and, if it is open, to the last chunk."""
        before, self.columns = self.columns, np.concatenate((self.columns, sids))
        self.feeds = None
        if self._closed < len(self.chunks) and self.chunks[-1].columns is before:
            self.chunks[-1].widen(self.columns)

    def _row_among(self, ts_ms: int, count: int) -> tuple[Chunk, int] | None:
        """Return an open row that is not behind the last; see `row`."""
        at = max(0, bisect_right(self._starts, ts_ms) - 1)
        if ts_ms > self.chunks[at].last:
            at += 1  # between two chunks: before the first row of the later
        chunk = self.chunks[at]
        row = int(np.searchsorted(chunk.times, ts_ms))
        if at < self._closed or row < chunk.packed:
            return None
        if chunk.times[row] == ts_ms:
            return chunk, row
        if self.sparse and self._wasteful(count):
            return None
        chunk.insert(row, ts_ms)
        self._starts[at] = chunk.first
        return chunk, row

    def _look(self, chunk: Chunk) -> None:
        """See now and then what the last chunk has come to."""
        self._close(len(self.chunks) - 1)
        if chunk.used >= _LONG:
            self.sparse = chunk.samples * _SPARSE < chunk.used * len(chunk.columns)

    def _wasteful(self, count: int) -> bool:
        return count * _SPARSE < len(self.columns)

    def _follow(self, ts_ms: int) -> Chunk:
        """Begin a chunk behind the last."""
        last = self.chunks[-1] if self.chunks else None
        self._close(len(self.chunks) - bool(self.keep))
        if self.keep and last is not None and last.columns is self.columns:
            some = last.filled(slice(0, last.used))
            if not some.all():
                self.columns = self.columns[some]  # the others have ended
        chunk = Chunk(self.columns, keep=self.keep, packing=self._packing)
        self.chunks.append(chunk)
        self._starts.append(ts_ms)
        return chunk

    def _close(self, upto: int) -> None:
        while self._closed < upto:
            self.chunks[self._closed].close()
            self._closed += 1

    # -- reading -----------------------------------------------------------------------------

    def between(self, start_ms: int, end_ms: int) -> Iterator[tuple[Chunk, slice]]:
        """Yield the chunks that have rows with start <= t <= end, and which rows, in order."""
        first = max(0, bisect_right(self._starts, start_ms) - 1)
        for chunk in self.chunks[first : bisect_right(self._starts, end_ms)]:
            rows = chunk.rows(start_ms, end_ms)
            if rows.stop > rows.start:
                yield chunk, rows

    def parts(self, wanted: Mask, start_ms: int, end_ms: int) -> Iterator[Part]:
        """Yield the rows with start <= t <= end, of the series that are marked."""
        found = groupby(self.between(start_ms, end_ms), key=lambda each: id(each[0].columns))
        for _, neighbours in found:
            chunks = list(neighbours)
            chosen = np.flatnonzero(wanted[chunks[0][0].columns])
            if chosen.size:
                yield Part(self.index, chunks, chosen)

    def drop_before(self, horizon_ms: int) -> list[Chunk]:
        """Forget chunks that ended before `horizon_ms`, and return them."""
        count = 0
        while count < len(self.chunks) and self.chunks[count].last < horizon_ms:
            count += 1
        return self.drop(count)

    def drop(self, count: int) -> list[Chunk]:
        """Forget the first chunks, and return them."""
        dropped = self.chunks[:count]
        del self.chunks[:count], self._starts[:count]
        self._closed = max(0, self._closed - count)
        return dropped


def _without_gaps(run: Run) -> Iterator[Run]:
    """Yield the samples of a run that has cells without; series with the same rows together."""
    held = present(run.block)
    if held.all():
        yield run
        return
    keys = np.packbits(held, axis=1)
    _, firsts, kinds = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    for kind, first in enumerate(firsts.tolist()):
        series, rows = np.flatnonzero(kinds.reshape(-1) == kind), np.flatnonzero(held[first])
        if rows.size:
            yield _given(run.places[series], run.times[rows], run.block[np.ix_(series, rows)])


def _given(places: Slots, times: Times, block: Values) -> Run:
    times.flags.writeable = False
    block.flags.writeable = False
    return Run(places, times, block)
