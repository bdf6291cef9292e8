"""Which rows of each clock lie in a window.

A round asks for the same windows as the round before, a little later, so the edges move on by
a row or two; a jump is looked up by halves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tocsin.model.ring import Places, Ring
from tocsin.promql.grid import Bools, Ints
from tocsin.promql.plans.rows import Rows

_STEPS = 4  # rows an edge walks before it is looked up instead


class Edge:
    """For each clock, the newest row at or before a time that moves."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._epoch = -1
        self._time_ms = 0
        self._rows: Ints = np.zeros(0, dtype=np.int64)

    def at(self, time_ms: int) -> Ints:
        """Return the rows (clocks,); one before the oldest that is held where none is so old."""
        ring = self._ring
        written = ring.written[: ring.clocks]
        same = self._epoch == ring.epoch and len(self._rows) == ring.clocks
        if same and time_ms >= self._time_ms:
            rows = self._walked(time_ms, written)
        else:
            rows = _found(ring, time_ms, written)
        self._epoch, self._time_ms, self._rows = ring.epoch, time_ms, rows
        return rows

    def _walked(self, time_ms: int, written: Ints) -> Ints:
        rows = self._rows
        if len(rows) and int((written - rows).max()) > self._ring.depth:
            rows = np.maximum(rows, written - self._ring.depth - 1)
        for _ in range(_STEPS):
            after = Rows(self._ring, rows + 1)
            times = after.times()
            if int(times.min(initial=time_ms + 1)) > time_ms:
                return rows
            rows = rows + ((times <= time_ms) & (after.numbers < written))
            if np.array_equal(rows, after.numbers - 1):
                return rows
        return _found(self._ring, time_ms, written)


def _found(ring: Ring, time_ms: int, written: Ints) -> Ints:
    """Return the newest row at or before a time, by halves."""
    low, high = np.maximum(written - ring.depth, 0) - 1, written - 1
    while (low < high).any():
        middle = (low + high + 1) >> 1
        fits = Rows(ring, middle).times() <= time_ms
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    return low


@dataclass(slots=True, eq=False)
class Window:
    """The rows of each clock with start < t <= end, or start <= t if `closed`.

    `first` and `last` are rows, `count` (clocks,) says how many there are.
    """

    ring: Ring
    start_ms: int
    end_ms: int
    closed: bool
    first: Rows
    last: Rows
    count: Ints
    _ends: tuple[Ints, Ints] | None = None

    def ends(self) -> tuple[Ints, Ints]:
        """Return the times of the first and the last row (clocks,), in ms.

        They mean nothing where there is no row.
        """
        if self._ends is None:
            self._ends = self.first.times(), self.last.times()
        return self._ends

    def follows(self, clock: Places, rows: Ints) -> Bools:
        """Tell which rows lie in the window, behind the first; `clock` is whose they are."""
        return (rows > self.first.numbers[clock]) & (rows <= self.last.numbers[clock])


class Windows:
    """The windows of one ring that rules look at: each is worked out once for a time."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._edges: dict[tuple[int, int], Edge] = {}
        self._kept: dict[tuple[int, int], Window] = {}
        self._version = -1
        self._newest: int | None = None

    def newest_ms(self) -> int | None:
        """Return the time of the newest row, None when there is none."""
        self._follow()
        return self._newest

    def of(self, end_ms: int, range_ms: int, offset_ms: int, *, closed: bool) -> Window:
        """Return the window of `range_ms` that ends `offset_ms` before the evaluation time.

        `end_ms` is where it ends, with the offset taken off.
        """
        self._follow()
        key = (range_ms, offset_ms)
        known = self._kept.get(key)
        if known is None or known.end_ms != end_ms:
            known = self._kept[key] = self._window(end_ms, key, closed=closed)
        return known

    def _follow(self) -> None:
        ring = self._ring
        if self._version == ring.version:
            return
        self._version = ring.version
        self._kept.clear()
        written = ring.written[: ring.clocks]
        times = Rows(ring, written - 1).times()
        held = written > 0
        times = times if held.all() else times[held]
        self._newest = int(times.max()) if times.size else None

    def _window(self, end_ms: int, key: tuple[int, int], *, closed: bool) -> Window:
        ring, start_ms = self._ring, end_ms - key[0]
        last = self._last(end_ms, key[1])
        first = Rows(ring, self._edge(key).at(start_ms - 1 if closed else start_ms) + 1)
        return Window(
            ring=ring,
            start_ms=start_ms,
            end_ms=end_ms,
            closed=closed,
            first=first,
            last=last,
            count=last.numbers - first.numbers + 1,
        )

    def _last(self, end_ms: int, offset_ms: int) -> Rows:
        for window in self._kept.values():
            if window.end_ms == end_ms:
                return window.last
        ring = self._ring
        if self._newest is not None and self._newest <= end_ms:
            return Rows(ring, ring.written[: ring.clocks] - 1)
        return Rows(ring, self._edge((0, offset_ms)).at(end_ms))

    def _edge(self, key: tuple[int, int]) -> Edge:
        edge = self._edges.get(key)
        if edge is None:
            edge = self._edges[key] = Edge(self._ring)
        return edge
