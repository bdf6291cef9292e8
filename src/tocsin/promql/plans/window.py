"""Which rows of each clock lie in a window.

A round asks for the same windows as the round before, a little later, so the edges move on by
a row or two; a jump is looked up by halves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tocsin.model.ring import Ring
from tocsin.promql.grid import Ints
from tocsin.promql.plans.view import times_of

_STEPS = 4  # rows an edge walks before it is looked up instead


class Edge:
    """For each clock, the newest row at or before a time that moves."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._epoch = ring.epoch
        self._rows: Ints = np.zeros(0, dtype=np.int64)

    def at(self, time_ms: int) -> Ints:
        """Return the rows (clocks,); one before the oldest that is held where none is so old."""
        ring = self._ring
        written = ring.written[: ring.clocks]
        oldest = np.maximum(written - ring.depth, 0)
        rows = self._known(oldest, written)
        for _ in range(_STEPS):
            after = rows + 1
            moves = (after < written) & (times_of(ring, after) <= time_ms)
            if not moves.any():
                break
            rows = rows + moves
        else:
            rows = _found(ring, time_ms, oldest, written)
        behind = (rows >= oldest) & (times_of(ring, rows) > time_ms)
        if behind.any():
            rows = _found(ring, time_ms, oldest, written)
        self._rows = rows
        return rows

    def _known(self, oldest: Ints, written: Ints) -> Ints:
        known = self._rows
        if self._epoch != self._ring.epoch:
            self._epoch, known = self._ring.epoch, known[:0]
        missing = len(written) - len(known)
        if missing > 0:
            known = np.concatenate([known, np.full(missing, -1, dtype=np.int64)])
        return np.clip(known, oldest - 1, written - 1)


def _found(ring: Ring, time_ms: int, oldest: Ints, written: Ints) -> Ints:
    """Return the newest row at or before a time, by halves."""
    low, high = oldest - 1, written - 1
    while (low < high).any():
        middle = (low + high + 1) >> 1
        fits = times_of(ring, middle) <= time_ms
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    return low


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The rows of each clock with start < t <= end, or start <= t if `closed`.

    `first` and `last` are row numbers, `count` says how many there are; times are those of the
    first and the last row, in ms, and mean nothing where there is none. All are (clocks,).
    """

    ring: Ring
    start_ms: int
    end_ms: int
    closed: bool
    first: Ints
    last: Ints
    count: Ints
    first_ms: Ints
    last_ms: Ints


class Windows:
    """The windows of one ring that rules look at: each is worked out once for a time."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._edges: dict[tuple[int, int], Edge] = {}
        self._kept: dict[tuple[int, int], Window] = {}
        self._version = -1

    def of(self, end_ms: int, range_ms: int, offset_ms: int, *, closed: bool) -> Window:
        """Return the window of `range_ms` that ends `offset_ms` before the evaluation time.

        `end_ms` is where it ends, with the offset taken off.
        """
        ring, key = self._ring, (range_ms, offset_ms)
        if self._version != ring.version:
            self._kept.clear()
            self._version = ring.version
        known = self._kept.get(key)
        if known is None or known.end_ms != end_ms:
            known = self._kept[key] = self._window(end_ms, key, closed=closed)
        return known

    def _window(self, end_ms: int, key: tuple[int, int], *, closed: bool) -> Window:
        ring, start_ms = self._ring, end_ms - key[0]
        last = self._edge((0, key[1])).at(end_ms)
        first = self._edge(key).at(start_ms - 1 if closed else start_ms) + 1
        return Window(
            ring=ring,
            start_ms=start_ms,
            end_ms=end_ms,
            closed=closed,
            first=first,
            last=last,
            count=last - first + 1,
            first_ms=times_of(ring, first),
            last_ms=times_of(ring, last),
        )

    def _edge(self, key: tuple[int, int]) -> Edge:
        edge = self._edges.get(key)
        if edge is None:
            edge = self._edges[key] = Edge(self._ring)
        return edge
