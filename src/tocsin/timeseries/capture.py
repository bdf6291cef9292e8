"""What is to go from the head into blocks, taken hold of with hardly any copying.

Packed rows of a chunk never change, and arrays of a single series are replaced, not changed,
by late samples. So a capture holds these, copies the few rows that are still open, and can be
read in another thread while the head goes on.

Afterwards the head forgets what was captured, but no chunk and no single series to which a
late sample has come since: that one is sealed once more the next time, and readers see its
samples once. A chunk of which only some rows were sealed stays in the head whole; `Partly`
remembers those rows, so that they are not sealed again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels
from tocsin.model.series import Series, Times, Values
from tocsin.timeseries.chunk import Chosen, Chunk, present
from tocsin.timeseries.group import Group, Run, Slots
from tocsin.timeseries.head import Head
from tocsin.timeseries.postings import SeriesIds
from tocsin.timeseries.retention import Window, window_of
from tocsin.timeseries.selection import Selection
from tocsin.timeseries.single import SingleSeries
from tocsin.timeseries.sorting import in_order
from tocsin.timeseries.work import REST, Work

Single: TypeAlias = tuple[int, Times, Values]
Counts: TypeAlias = npt.NDArray[np.int64]

_EVER = int(np.iinfo(np.int64).min)
_STEP = 50  # groups between two rests: some milliseconds
_SERIES_STEP = 2000  # series between two rests
_AT_ONCE = 8 << 20  # samples put together at a time: 64 MiB


@dataclass(frozen=True, slots=True, eq=False)
class Sealed:
    """Rows of a chunk that are in blocks: those before a time, which were so many samples.

    `samples` tells whether a late sample has come since; None: none can.
    """

    chunk: Chunk
    before_ms: int
    samples: int | None

    @classmethod
    def of(cls, chunk: Chunk, before_ms: int) -> Sealed:
        """Note the rows as they are now."""
        rows = chunk.rows(_EVER, before_ms - 1)
        return cls(chunk, before_ms, None if rows.stop <= chunk.packed else _count(chunk, rows))

    def holds(self) -> bool:
        """Tell whether the rows are as they were."""
        rows = self.chunk.rows(_EVER, self.before_ms - 1)
        return self.samples is None or _count(self.chunk, rows) == self.samples

    def whole(self) -> bool:
        """Tell whether the rows are all of the chunk, and as they were."""
        return self.chunk.last < self.before_ms and self.holds()


class Partly:
    """The chunks in the head that have rows which are in blocks."""

    def __init__(self) -> None:
        self._sealed: dict[int, Sealed] = {}  # by identity; the chunk is held, so it stays

    def rows(self, chunk: Chunk, before_ms: int) -> slice:
        """Return the rows before a time that are in no block."""
        known = self._sealed.get(id(chunk))
        since_ms = known.before_ms if known is not None and known.holds() else _EVER
        return chunk.rows(since_ms, before_ms - 1)

    def replace(self, sealed: Iterable[Sealed]) -> None:
        """Note which rows are in blocks; what was noted before is forgotten."""
        self._sealed = {id(each.chunk): each for each in sealed}


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """Rows as they were when they were captured; `take` gives some ascending columns of them."""

    columns: SeriesIds
    times: Times
    sparse: bool
    take: Callable[[Chosen], Values]

    def within(self, window: Window) -> Frozen | None:
        """Return the rows in a window, None when there are none."""
        span = np.searchsorted(self.times, (window.start_ms, window.end_ms)).tolist()
        rows = slice(*span)
        if rows.stop <= rows.start:
            return None
        if rows.stop - rows.start == len(self.times):
            return self
        return Frozen(self.columns, self.times[rows], self.sparse, partial(_part, self.take, rows))


@dataclass(frozen=True, slots=True, eq=False)
class CapturedGroup:
    """Rows of a group that are in no block, and all chunks they or sealed rows lie in."""

    group: Group
    rows: list[Frozen]
    sealed: list[Sealed]


@dataclass(frozen=True, slots=True, eq=False)
class CapturedSingle:
    """Samples of a single series."""

    sid: int
    single: SingleSeries
    times: Times
    values: Values


@dataclass(slots=True, eq=False)
class Capture:
    """Everything in a head before `end_ms` that is in no block."""

    end_ms: int
    groups: list[CapturedGroup] = field(default_factory=list)
    singles: list[CapturedSingle] = field(default_factory=list)
    labels: dict[int, Labels] = field(default_factory=dict)

    def take(self, head: Head, partly: Partly) -> Generator[Work]:
        """Take hold of it, resting now and then."""
        for at, group in enumerate(head.groups()):
            self._take_group(group, partly)
            if at % _STEP == _STEP - 1:
                yield REST
        everyone = np.flatnonzero(head.catalog.in_use).astype(np.int32)
        for some in _batches(everyone):
            self._take_singles(head, some)
            yield REST
        held = {id(rows.columns): rows.columns for each in self.groups for rows in each.rows}
        alone = np.asarray([single.sid for single in self.singles], np.int32)
        for some in _batches(np.unique(np.concatenate((alone, *held.values())))):
            self.labels.update((sid, head.catalog.labels(sid)) for sid in some.tolist())
            yield REST

    def release(self, head: Head, partly: Partly) -> Generator[Work]:
        """Let the head forget it, resting now and then."""
        left: list[Sealed] = []
        for begin in range(0, len(self.groups), _STEP):
            for each in self.groups[begin : begin + _STEP]:
                gone = head.release(each.group, [s.chunk for s in each.sealed if s.whole()])
                left += each.sealed[gone:]
            yield REST
        for begin in range(0, len(self.singles), _SERIES_STEP):
            few = self.singles[begin : begin + _SERIES_STEP]
            head.release_singles([(s.sid, s.single, len(s.times)) for s in few], self.end_ms)
            yield REST
        partly.replace(left)

    def windows(self, span_ms: int) -> list[Window]:
        """Return the windows of time there are samples of, oldest first; any thread."""
        rows = [rows.times for each in self.groups for rows in each.rows]
        starts: set[int] = set()
        for times in (*rows, *(single.times for single in self.singles)):
            first, last = int(times[0]) // span_ms, int(times[-1]) // span_ms
            starts.update({first} if first == last else np.unique(times // span_ms).tolist())
        return [window_of(start * span_ms, span_ms) for start in sorted(starts)]

    def series(self, window: Window) -> Iterator[Series]:
        """Yield the series that have samples in a window, in label order; any thread."""
        groups = [_within(each.rows, window) for each in self.groups]
        singles = [_single_within(each, window) for each in self.singles]
        counts = _counts(groups, singles, size=max(self.labels, default=-1) + 1)
        sids = in_order(np.flatnonzero(counts).tolist(), lambda sid: self.labels[sid].pairs)
        ordered = np.asarray(sids, np.int32)
        heaps = np.cumsum(counts[ordered]) // _AT_ONCE
        for part in np.split(ordered, np.flatnonzero(np.diff(heaps)) + 1):
            yield from self._read(part, groups, singles, size=len(counts))

    def _take_group(self, group: Group, partly: Partly) -> None:
        """Take hold of the rows of a group that there are now: later ones are not sealed."""
        newest = group.newest
        if newest is None:
            return
        before_ms = min(self.end_ms, newest + 1)
        chunks = [chunk for chunk in group.chunks if chunk.first < before_ms]
        rows = [each for c in chunks for each in _frozen(c, partly.rows(c, before_ms))]
        sealed = [Sealed.of(chunk, before_ms) for chunk in chunks]
        self.groups.append(CapturedGroup(group, rows, sealed))

    def _take_singles(self, head: Head, sids: SeriesIds) -> None:
        for sid, single in head.singles(sids):
            times, values = single.read(_EVER, self.end_ms - 1)
            if times.size:
                self.singles.append(CapturedSingle(sid, single, times, values))

    def _read(
        self, sids: SeriesIds, groups: list[list[Frozen]], singles: list[Single], *, size: int
    ) -> list[Series]:
        """Return the samples of some of the series, in the order of `sids`."""
        selection = Selection(sids)
        slots: Slots = np.full(size, -1, np.int32)
        slots[sids] = np.arange(len(sids), dtype=np.int32)
        for rows in groups:
            for _, neighbours in groupby(rows, key=lambda each: id(each.columns)):
                _add_rows(selection, list(neighbours), slots)
        for sid, times, values in singles:
            if slots[sid] >= 0:
                selection.add_single(int(slots[sid]), times, values)
        return selection.series(self.labels.__getitem__)


def _count(chunk: Chunk, rows: slice) -> int:
    """Return how many samples there are in rows of a chunk."""
    count, width = int(rows.stop - rows.start), len(chunk.columns)
    if count == chunk.used:
        return chunk.samples
    if not chunk.absent:
        return count * width
    return int(np.count_nonzero(present(chunk.take(rows, np.arange(width)))))


def _frozen(chunk: Chunk, rows: slice) -> Iterator[Frozen]:
    """Yield rows of a chunk: packed ones as they lie there, open ones as a copy."""
    columns, sparse, times = chunk.columns, chunk.absent > 0, chunk.times
    packed = slice(rows.start, min(rows.stop, chunk.packed))
    if packed.start < packed.stop:
        yield Frozen(columns, times[packed], sparse, partial(chunk.take, packed))
    still = slice(max(rows.start, chunk.packed), rows.stop)
    if still.start < still.stop:
        values = chunk.take(still, np.arange(len(columns))).copy()
        yield Frozen(columns, times[still].copy(), sparse, partial(_columns, values))


def _columns(values: Values, chosen: Chosen) -> Values:
    return values if len(chosen) == values.shape[1] else np.take(values, chosen, axis=1)


def _part(take: Callable[[Chosen], Values], rows: slice, chosen: Chosen) -> Values:
    return take(chosen)[rows]


def _batches(sids: SeriesIds) -> Iterator[SeriesIds]:
    return (sids[begin : begin + _SERIES_STEP] for begin in range(0, len(sids), _SERIES_STEP))


def _within(rows: list[Frozen], window: Window) -> list[Frozen]:
    return [found for each in rows if (found := each.within(window)) is not None]


def _single_within(captured: CapturedSingle, window: Window) -> Single:
    first, last = np.searchsorted(captured.times, (window.start_ms, window.end_ms)).tolist()
    return captured.sid, captured.times[first:last], captured.values[first:last]


def _counts(groups: list[list[Frozen]], singles: list[Single], *, size: int) -> Counts:
    """Return about how many samples each series has, by id; 0 for none at all."""
    counts = np.zeros(size, np.int64)
    for group in groups:
        for rows in group:
            counts[rows.columns] += len(rows.times)
    for sid, times, _ in singles:
        counts[sid] += len(times)
    return counts


def _add_rows(selection: Selection, parts: list[Frozen], slots: Slots) -> None:
    """Add the series that have a place in `slots` from neighbouring rows of the same columns."""
    places = slots[parts[0].columns]
    chosen = np.flatnonzero(places >= 0)
    if not chosen.size:
        return
    times = np.concatenate([each.times for each in parts])
    block = np.concatenate([each.take(chosen) for each in parts]).T
    if not any(each.sparse for each in parts):
        selection.add_run(Run(places[chosen], times, np.ascontiguousarray(block)))
        return
    for place, values in zip(places[chosen].tolist(), block, strict=True):
        held = present(values)
        selection.add_single(place, times[held], values[held])
