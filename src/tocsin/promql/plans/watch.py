"""What must be known of a ring beside its samples: where series begin, have gaps, or fall.

Each row is read once, when it is new. An element is plain in a window when every row of its
clock in the window holds an ordinary number of it; the quick kernels serve plain elements, and
`extract` the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tocsin.model.ring import ABSENT_BITS, Ring
from tocsin.promql.grid import Bools, Floats, Ints
from tocsin.promql.plans.rows import Rows
from tocsin.promql.plans.view import View
from tocsin.promql.plans.window import Window

_NEVER = np.iinfo(np.int64).max
_LONG_AGO = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """What happened at single rows, in the order it was read: row, column, value before."""

    rows: Ints
    columns: Ints
    before: Floats

    def since(self, oldest: Ints) -> Events:
        """Return the events at rows the ring still holds; `oldest` is by column."""
        held = self.rows >= oldest[self.columns]
        return Events(self.rows[held], self.columns[held], self.before[held])


NO_EVENTS = Events(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))

_Happened = Callable[[Floats, Floats], Bools]  # value, value before


class Watch:
    """Follows one ring: whatever it is asked, it reads the rows that are new first.

    `born` (columns,) is the first row with a sample of a series, `gap` the newest row since then
    without an ordinary number, -1 for none. `unrest_ms` is the newest time of a birth or a gap.
    """

    def __init__(self, ring: Ring) -> None:
        """Follow `ring` from its oldest row."""
        self.ring = ring
        self._wanted: dict[str, _Happened] = {"fell": np.less}
        self._begin()

    def _begin(self) -> None:
        self.epoch = self.ring.epoch
        self._version = -1
        self._fills = self.ring.fills
        self._read: Ints = np.zeros(0, dtype=np.int64)
        self.born: Ints = np.zeros(0, dtype=np.int64)
        self.gap: Ints = np.zeros(0, dtype=np.int64)
        self._last: Floats = np.zeros(0)
        self._events: dict[str, list[Events]] = {name: [] for name in self._wanted}
        self._kept: dict[str, Events] = {}
        self.unrest_ms = _LONG_AGO

    def follow(self) -> None:
        """Read the rows that are new. After an epoch has ended, begin anew."""
        ring = self.ring
        if self._version == ring.version:
            return
        if self.epoch != ring.epoch:
            self._begin()
        self._version = ring.version
        self._grow()
        written = ring.written[: ring.clocks]
        self._read = np.maximum(self._read, written - ring.depth)
        while True:
            active = self._read < written
            if not active.any():
                break
            self._row(self._read, active)
            self._read = self._read + active
        self._look_again()

    def _grow(self) -> None:
        clocks, columns = self.ring.clocks, len(self.ring.labels)
        if len(self._read) < clocks:
            more = clocks - len(self._read)
            self._read = np.concatenate([self._read, np.zeros(more, dtype=np.int64)])
        more = columns - len(self.born)
        if more:
            self.born = np.concatenate([self.born, np.full(more, _NEVER)])
            self.gap = np.concatenate([self.gap, np.full(more, -1, dtype=np.int64)])
            self._last = np.concatenate([self._last, np.full(more, np.nan)])

    def _row(self, rows: Ints, active: Bools) -> None:
        """Read one row of each active clock."""
        ring, columns = self.ring, len(self.born)
        values = _values(ring, Rows(ring, rows), columns)
        origin = ring.origin[:columns]
        odd, unborn, skip = np.isnan(values), self.born == _NEVER, None
        if not active.all():
            here = active.take(origin)
            skip = odd | ~here
            odd, unborn = odd & here, unborn & here
        elif odd.any():
            skip = odd
        if skip is not None or unborn.any():
            self._unrest(rows, values, odd, unborn)
        for name, happened in self._wanted.items():
            found = happened(values, self._last)
            self._note(name, rows, np.flatnonzero(found if skip is None else found & ~skip))
        self._last = values.copy() if skip is None else np.where(skip, self._last, values)

    def _unrest(self, rows: Ints, values: Floats, odd: Bools, unborn: Bools) -> None:
        origin = self.ring.origin
        absent = odd & np.equal(values.view(np.int64), ABSENT_BITS)
        births = np.flatnonzero(unborn & ~absent)
        self.born[births] = rows[origin[births]]
        gaps = np.flatnonzero(odd & (self.born != _NEVER))
        self.gap[gaps] = rows[origin[gaps]]
        changed = np.concatenate([births, gaps])
        if changed.size:
            times = Rows(self.ring, rows).times()[origin[changed]]
            self.unrest_ms = max(self.unrest_ms, int(times.max()))

    def _note(self, name: str, rows: Ints, columns: Ints) -> None:
        if columns.size:
            found = Events(rows[self.ring.origin[columns]], columns, self._last[columns])
            self._events[name].append(found)
            self._kept.pop(name, None)

    def _look_again(self) -> None:
        """Take samples that came into rows already read for gaps: they are read one by one."""
        ring, columns = self.ring, len(self.born)
        if self._fills == ring.fills:
            return
        self._fills = ring.fills
        filled = ring.filled[:columns]
        late = np.flatnonzero((filled >= 0) & (filled > self.gap))
        late = late[filled[late] < self._read[ring.origin[late]]]
        self.gap[late] = filled[late]
        self.born[late] = np.minimum(self.born[late], filled[late])
        if late.size:
            spots = filled[late] & (ring.depth - 1)
            times = ring.times[spots, ring.origin[late]]
            self.unrest_ms = max(self.unrest_ms, int(times.max()))

    # -- what kernels ask ----------------------------------------------------------------------

    def events(self, name: str, happened: _Happened) -> Events:
        """Return every event of a kind the ring still holds; a new kind is looked for anew."""
        if name not in self._wanted:
            self._wanted[name] = happened
            self._begin()
        self.follow()
        known = self._kept.get(name)
        if known is None:
            known = self._kept[name] = self._joined(name)
        return known

    def _joined(self, name: str) -> Events:
        parts = self._events[name]
        if not parts:
            return NO_EVENTS
        ring = self.ring
        oldest = np.maximum(ring.written[: ring.clocks] - ring.depth, 0)
        joined = Events(
            np.concatenate([p.rows for p in parts]),
            np.concatenate([p.columns for p in parts]),
            np.concatenate([p.before for p in parts]),
        ).since(oldest[ring.origin[: len(self.born)]])
        self._events[name] = [joined]
        return joined

    def settled(self, window: Window) -> bool:
        """Tell whether every element is plain in a window, without looking at each."""
        self.follow()
        return self.unrest_ms < window.start_ms

    def firsts(self, view: View, window: Window) -> tuple[Ints, Bools]:
        """Return the first row of each element in a window, and which elements are plain."""
        self.follow()
        first = window.first.numbers.take(view.clock)
        born, gap = self.born[view.columns], self.gap[view.columns]
        return np.maximum(first, np.minimum(born, _NEVER - 1)), gap < first


def _values(ring: Ring, rows: Rows, columns: int) -> Floats:
    if rows.spot is not None:
        row: Floats = ring.values[rows.spot, :columns]
        return row
    width = ring.values.shape[1]
    flat = rows.spots.take(ring.origin[:columns]) * width + np.arange(columns)
    taken: Floats = ring.values.reshape(-1).take(flat)
    return taken
