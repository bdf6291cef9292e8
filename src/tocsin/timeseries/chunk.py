"""A run of rows of one group: a time for each row, a column for each series.

The newest rows lie open in memory, time-major. When there are enough of them they are packed,
and when the chunk is finished all its rows are packed together. A cell without a sample holds
`ABSENT`, which is no sample's bits; a chunk knows how many it has, and most have none.

A row keeps its number unless one is put in before it, and a column its place. What a row holds
changes only while it is open, by `put` and `insert`; but for these another thread may read rows
while this one writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.ring import ABSENT, ABSENT_BITS
from tocsin.model.series import Times, Values
from tocsin.timeseries.packed import Opening, PackedBlock, PackedTimes
from tocsin.timeseries.postings import Mask, SeriesIds

Chosen: TypeAlias = npt.NDArray[np.intp]
Positions: TypeAlias = npt.NDArray[np.int32]
Offsets: TypeAlias = npt.NDArray[np.signedinteger]

_FEWEST = 4  # rows a chunk begins with room for
_PIECE_CELLS = 256  # rows are packed when together they have so many cells,
_PIECE_ROWS = 16  # but not fewer rows at a time
_MANY_TOGETHER = 4  # times as many rows are packed where many come at once
_JOINED = 3  # so many small pieces are packed anew with what comes next
_WORTH_PACKING = 8  # rows

_FAR = int(np.iinfo(np.int32).max)

_NO_ROWS: Values = np.empty((0, 0), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The values of a chunk: packed rows, then open ones. It may have room beyond both ends."""

    pieces: tuple[PackedBlock, ...]
    packed: int  # rows
    tail: Values

    def ask(self, rows: slice, chosen: Chosen, opening: Opening) -> None:
        """Ask for what `take` of the same rows and columns has to open."""
        begin = 0
        for piece in self.pieces:
            if begin < rows.stop and rows.start < begin + piece.rows:
                opening.ask(piece, _within(chosen, piece.width))
            begin += piece.rows

    def take(self, rows: slice, chosen: Chosen, opening: Opening) -> Values:
        """Return the given rows and ascending columns, as a view or a copy."""
        if rows.start >= self.packed:
            return _columns(self.tail[rows.start - self.packed : rows.stop - self.packed], chosen)
        first = self.pieces[0]
        if rows.stop <= first.rows:
            held = _within(chosen, first.width)
            if len(held) == len(chosen):
                return opening.take(first, chosen)[rows]
        found = np.full((rows.stop - rows.start, len(chosen)), ABSENT)
        begin = 0
        for piece in self.pieces:
            low, high = max(0, rows.start - begin), min(piece.rows, rows.stop - begin)
            if low < high:
                held = _within(chosen, piece.width)
                to = slice(begin + low - rows.start, begin + high - rows.start)
                found[to, : len(held)] = opening.take(piece, held)[low:high]
            begin += piece.rows
        if rows.stop > begin:
            found[begin - rows.stop :] = _columns(self.tail[: rows.stop - begin], chosen)
        return found


class Chunk:
    """Rows with the same columns, times ascending. Not thread-safe."""

    __slots__ = (
        "_base", "_body", "_keep", "_packing", "_times", "absent", "closed", "columns", "first",
        "last", "used",
    )  # fmt: skip

    def __init__(self, columns: SeriesIds, *, keep: int, packing: Packing) -> None:
        """Begin a chunk whose newest `keep` rows at least stay open; `packing` packs the others."""
        self.columns = columns
        self.used = 0
        self.absent = 0  # cells without a sample
        self.closed = False  # no row is written any more
        self.first = self.last = 0  # times, when there are rows
        self._keep = keep
        self._packing = packing
        self._times: Offsets | PackedTimes = np.empty(_FEWEST, np.int32)  # ms since `_base`
        self._base = 0
        self._body = Body((), 0, np.empty((_FEWEST, len(columns)), np.float64))

    @property
    def samples(self) -> int:
        """Return how many samples there are."""
        return self.used * len(self.columns) - self.absent

    @property
    def packed(self) -> int:
        """Return how many rows, the oldest, can no longer be written to."""
        return self.used if self.closed else self._body.packed

    @property
    def times(self) -> Times:
        """Return the times of all rows; read-only."""
        held = self._times
        if isinstance(held, PackedTimes):
            return held.all()
        times = self._base + held[: self.used].astype(np.int64)
        times.flags.writeable = False
        return times

    def rows(self, start_ms: int, end_ms: int) -> slice:
        """Return the rows with start <= t <= end."""
        if start_ms <= self.first and end_ms >= self.last:
            return slice(0, self.used)
        first, last = np.searchsorted(self.times, (start_ms, end_ms + 1)).tolist()
        return slice(first, max(first, last))

    def ask(self, rows: slice, chosen: Chosen, opening: Opening) -> None:
        """Ask for what `take` of the same rows and columns has to open."""
        self._body.ask(rows, chosen, opening)

    def take(self, rows: slice, chosen: Chosen, opening: Opening | None = None) -> Values:
        """Return the given rows and ascending columns, as a view or a copy."""
        return self._body.take(rows, chosen, opening or Opening())

    def filled(self, rows: slice) -> Mask:
        """Mark the columns that have a sample in the given rows."""
        if not self.absent:
            return np.ones(len(self.columns), np.bool_)
        values = self.take(rows, np.arange(len(self.columns)))
        some: Mask = np.logical_or.reduce(present(values), axis=0)
        return some

    # -- writing -----------------------------------------------------------------------------

    def add(self, ts_ms: int, row: Values) -> None:
        """Write a row behind the last."""
        at = self._next(ts_ms)
        self._body.tail[at, : len(row)] = row

    def extend(self, times: Times, rows: Values) -> None:
        """Write rows behind the last; times ascend."""
        self.add(int(times[0]), rows[0])
        count, begin = len(times), self.used
        open_rows, body = begin - self._body.packed, self._body
        if open_rows + count - 1 > len(body.tail):
            tail = np.empty((open_rows + count - 1, body.tail.shape[1]), np.float64)
            tail[:open_rows] = body.tail[:open_rows]
            body = self._body = Body(body.pieces, body.packed, tail)
        body.tail[open_rows : open_rows + count - 1, : rows.shape[1]] = rows[1:]
        self._times = np.concatenate((self.times, times[1:])) - self._base
        self.used, self.last = begin + count - 1, int(times[-1])
        if open_rows + count > _MANY_TOGETHER * self._together() + self._keep:
            self._packing.ripen(self)

    def begin(self, ts_ms: int) -> int:
        """Begin a row without samples behind the last, and return its number."""
        at = self._next(ts_ms)
        self._body.tail[at, : len(self.columns)] = ABSENT
        self.absent += len(self.columns)
        return self.used - 1

    def insert(self, row: int, ts_ms: int) -> None:
        """Put a row without samples before `row`, which is open."""
        before = self.times
        if self.used - self._body.packed == len(self._body.tail):
            self._body = self._longer()  # and nothing is packed: `row` stays open
        self._next(self.last)
        body, width = self._body, len(self.columns)
        at, end = row - body.packed, self.used - body.packed
        body.tail[at + 1 : end, :width] = body.tail[at : end - 1, :width].copy()
        body.tail[at, :width] = ABSENT
        self.absent += width
        self._times = np.insert(before, row, ts_ms) - self._base  # given out may be the old ones
        self.first = min(self.first, ts_ms)

    def put(self, row: int, positions: Positions | slice, values: Values) -> None:
        """Put samples into cells of an open row that have none."""
        self._body.tail[row - self._body.packed, positions] = values
        self.absent -= len(values)

    def widen(self, columns: SeriesIds) -> None:
        """Add columns without samples; `columns` begins with those there are."""
        body, width = self._body, len(self.columns)
        self.absent += self.used * (len(columns) - width)
        if len(columns) > body.tail.shape[1]:
            room = len(columns) + len(columns) // 4
            tail = np.full((len(body.tail), room), ABSENT)
            tail[:, :width] = body.tail[:, :width]
            self._body = Body(body.pieces, body.packed, tail)
        else:
            body.tail[:, width : len(columns)] = ABSENT
        self.columns = columns

    def _next(self, ts_ms: int) -> int:
        """Make room for a row and note its time; return its place in the tail."""
        used, body, times = self.used, self._body, self._times
        if used - body.packed == len(body.tail):
            body = self._room()
        assert not isinstance(times, PackedTimes)  # noqa: S101  # a closed chunk takes no rows
        if not used:
            self.first = self._base = ts_ms
        offset = ts_ms - self._base
        if used == len(times) or (offset > _FAR and times.dtype == np.int32):
            times = self._times = _longer(times, far=offset > _FAR)
        times[used] = offset
        self.last = ts_ms
        self.used = used + 1
        return used - body.packed

    def _room(self) -> Body:
        """Have rows packed if there are enough of them; return the body with room for one."""
        if len(self._body.tail) >= self._together() + self._keep:
            self._packing.ripen(self)
        if self.used - self._body.packed == len(self._body.tail):
            self._body = self._longer()
        return self._body

    def _longer(self) -> Body:
        body, together = self._body, self._together()
        rows, room = body.tail.shape
        tail = np.empty((min(2 * rows, rows + together), room), np.float64)
        tail[:rows] = body.tail
        return Body(body.pieces, body.packed, tail)

    def _together(self) -> int:
        """Return how many rows are packed together."""
        return max(_PIECE_ROWS, _PIECE_CELLS // max(1, len(self.columns)))

    # -- packing -----------------------------------------------------------------------------

    def ripe(self) -> slice | None:
        """Return rows that may be packed together, None when there are too few.

        Those are open rows and, now and then, the small pieces before them.
        """
        body, together = self._body, self._together()
        rows = self.used - body.packed - self._keep
        if self.closed or rows < together:
            return None
        small = [piece.rows for piece in body.pieces[-_JOINED:] if piece.rows < _JOINED * together]
        before = sum(small) if len(small) == _JOINED else 0
        return slice(body.packed - before, body.packed + rows)

    def pack(self, rows: slice, piece: PackedBlock) -> None:
        """Replace the rows that `ripe` has returned by the same packed."""
        body, moved, keep = self._body, rows.stop - self._body.packed, self.used - rows.stop
        tail = np.empty((self._together() + self._keep, body.tail.shape[1]), np.float64)
        tail[:keep] = body.tail[moved : moved + keep]
        kept = body.pieces if rows.start == body.packed else body.pieces[:-_JOINED]
        self._body = Body((*kept, piece), rows.stop, tail)

    def close(self) -> None:
        """Write no row any more, and have all packed together."""
        self.closed = True
        if self.used >= _WORTH_PACKING:
            self._packing.close(self)
        else:
            self._body = Body((), 0, self._body.tail[: self.used].copy())
            self._times = PackedTimes(self.times)

    def replace(self, block: PackedBlock) -> None:
        """Replace the values of all rows by the same packed."""
        self._body = Body((block,), self.used, _NO_ROWS)
        self._times = PackedTimes(self.times)


class Packing(Protocol):
    """Packs rows of chunks sooner or later: many small ones at a time cost little more than one."""

    def ripen(self, chunk: Chunk) -> None:
        """Pack what is `ripe` of an open chunk."""
        ...

    def close(self, chunk: Chunk) -> None:
        """Pack all of a chunk that is closed."""
        ...


def _longer(times: Offsets, *, far: bool) -> Offsets:
    """Return times with room for as many again; `far` needs 64 bits for each."""
    longer: Offsets = np.empty(2 * len(times), np.int64 if far else times.dtype)
    longer[: len(times)] = times
    return longer


def present(values: Values) -> Mask:
    """Mark the cells that hold a sample."""
    bits = np.ascontiguousarray(values).view(np.uint64)
    return np.not_equal(bits, ABSENT_BITS)


def _columns(rows: Values, chosen: Chosen) -> Values:
    return rows if len(chosen) == rows.shape[1] else np.take(rows, chosen, axis=1)


def _within(chosen: Chosen, width: int) -> Chosen:
    """Return those of ascending columns that are less than `width`."""
    if not len(chosen) or chosen.item(-1) < width:
        return chosen
    return chosen[: int(np.searchsorted(chosen, width))]
