"""A ring of one metric as its writer sees it: where the next sample goes.

A clock of a ring belongs to a group of the head or to one series (`OWN`). What comes is put
in the row of its time: usually a new one, sometimes one that has begun (a sender splits a
row), rarely one that has to be made room for between older rows.

A ring that can no longer be written rightly is `broken`: nothing is put in any more, and it
is built anew when somebody asks for it. That is so when a series came from two groups, when a
series that was gone is back, when single samples crowd a clock, when memory is spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels
from tocsin.model.ring import ABSENT, Ints, Places, Ring
from tocsin.model.series import Times, Values
from tocsin.timeseries.postings import Mask, SeriesIds

OWN = -1  # in place of a group: the series has a clock of its own
SHALLOWEST = 32  # rows
BEFORE_MS = -(2**62)  # the time of rows that are gone

Members: TypeAlias = slice | Places
Cell = TypeVar("Cell", np.int64, np.float64)

_DEAD_SHARE = 4  # rebuild when more than one in so many columns is of a series that is gone
_STRAY_SHARE = 4  # rebuild when single samples began more than one in so many rows of a clock
_NONE: Places = np.empty(0, np.int32)


@dataclass(slots=True)
class Budget:
    """Bytes that all rings of a tenant may take together."""

    limit: int
    spent: int = 0

    def take(self, size: int) -> bool:
        """Take `size` bytes if they are left."""
        if self.spent + size > self.limit:
            return False
        self.spent += size
        return True


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a ring begins with: the arrays, and by clock its owner and its columns."""

    ring: Ring
    owners: Places
    members: list[Members]


def empty_ring() -> Ring:
    """Return a ring without columns."""
    times, values = np.empty((SHALLOWEST, 0), np.int64), np.empty((SHALLOWEST, 0), np.float64)
    return Ring([], 0, _NONE, np.empty(0, np.int64), times, values, np.empty(0, np.int64))


def size_of(depth: int, columns: int, clocks: int) -> int:
    """Return the bytes of a ring's arrays."""
    return 8 * depth * (columns + clocks) + 12 * columns + 12 * clocks


def compact(places: Places) -> slice | Places:
    """Return a slice where the places lie side by side: NumPy copies it much sooner."""
    begin, end = places.item(0), places.item(-1) + 1
    if end - begin == len(places) and places.tolist() == list(range(begin, end)):
        return _slice(begin, end)
    return places


@lru_cache(maxsize=1024)
def _slice(begin: int, end: int) -> slice:
    return slice(begin, end)  # groups are alike, and each of their feeds holds one


def listed(members: Members) -> Places:
    """Return columns as an array."""
    if isinstance(members, slice):
        return np.arange(members.start, members.stop, dtype=np.int32)
    return members


class LiveRing:
    """One ring, kept up to date. Not thread-safe."""

    def __init__(self, metric: str, budget: Budget) -> None:
        self.metric = metric
        self.ring = empty_ring()
        self.depth_ms = 0
        self.broken = True
        self.idle = 0
        self._budget = budget
        self._taken = 0
        self._dead: set[Labels] = set()
        self._owners: Places = _NONE  # by clock, with room to spare like the ring's arrays
        self._members: list[Members] = []
        self._clock_of: dict[int, int] = {}
        self._strays: dict[int, int] = {}

    # -- as a whole --------------------------------------------------------------------------

    def reserve(self, size: int) -> bool:
        """Take `size` bytes in place of what the ring takes now; False if they are not left."""
        if not self._take(size - self._taken):
            return False
        self.broken = True  # until `replace`
        return True

    def release(self) -> None:
        """Give the memory back; nothing is put in any more."""
        self._budget.spent -= self._taken
        self._taken = 0
        self.broken = True

    def replace(self, content: Content, *, depth_ms: int) -> None:
        """Take over what was built, for which memory is reserved."""
        ring, new = self.ring, content.ring
        ring.labels, ring.clocks, ring.origin = new.labels, new.clocks, new.origin
        ring.written, ring.times = new.written, new.times
        ring.values, ring.filled = new.values, new.filled
        ring.epoch += 1
        ring.version += 1
        self._owners, self._members = content.owners, content.members
        owners = content.owners[: new.clocks].tolist()
        self._clock_of = {owner: clock for clock, owner in enumerate(owners) if owner != OWN}
        self._dead, self._strays = set(), {}
        self.depth_ms, self.broken = depth_ms, False

    def bury(self, column: int) -> None:
        """Note that the series of a column is gone; its samples stay until they are old."""
        self._dead.add(self.ring.labels[column])
        if len(self._dead) * _DEAD_SHARE > len(self.ring.labels):
            self.broken = True

    def disown(self, group: int) -> None:
        """Note that a group is gone and its index free."""
        clock = self._clock_of.pop(group, None)
        if clock is not None:
            self._owners[clock] = OWN

    def add_column(self, labels: Labels, home: int) -> int:
        """Return the column of a series that is new to the ring, -1 when that breaks it."""
        ring, column = self.ring, len(self.ring.labels)
        if self.broken or labels in self._dead or not self._widen(column + 1):
            self.broken = True
            return -1
        clock = self._clock_of.get(home)
        if clock is None:
            clock = self._add_clock(home)
        if clock is None:
            return -1
        ring.origin[column] = clock
        ring.labels.append(labels)
        self._members[clock] = _with(self._members[clock], column)
        return column

    def clock_of(self, group: int) -> int | None:
        """Return the clock of a group, None when it has none."""
        return self._clock_of.get(group)

    def owners(self, columns: Places) -> Places:
        """Return to which group the clock of each column belongs, or OWN."""
        owners: Places = self._owners[self.ring.origin[columns]]
        return owners

    def members(self, clock: int) -> Places:
        """Return the columns of a clock."""
        return listed(self._members[clock])

    def among(self, clock: int, columns: Places) -> Members:
        """Return `columns`, which are all of a clock, in the form that copies best."""
        found, members = compact(columns), self._members[clock]
        same = isinstance(found, slice) and isinstance(members, slice) and found == members
        return members if same else found

    def missing(self, clock: int, columns: Places) -> Places:
        """Return the columns of a clock that are not among `columns`, all of which are its own."""
        members = self._members[clock]
        count = members.stop - members.start if isinstance(members, slice) else len(members)
        return _NONE if count == len(columns) else np.setdiff1d(listed(members), columns)

    # -- samples -----------------------------------------------------------------------------

    def put(self, columns: Places, times: Times, values: Values, homes: SeriesIds) -> None:
        """Take samples in any order; none of them may be there already.

        `homes` says for each the group it lies in, OWN for none.
        """
        clocks = self.ring.origin[columns]
        owners = self.owners(columns)
        foreign = owners != homes
        if (foreign & (owners != OWN) & (homes != OWN)).any():
            self.broken = True
            return
        order = np.lexsort((times, clocks))
        clocks, times = clocks[order], times[order]
        first = _firsts(clocks, times)
        strays = (foreign & (owners != OWN))[order][first]
        rows, begun = self._rows(clocks[first], times[first], strays)
        if self.broken:
            return
        pair = np.cumsum(first) - 1
        self._write(columns[order], rows[pair], values[order], begun[pair])

    def deepen(self) -> bool:
        """Make room for twice as many rows; False when there is no memory for them."""
        ring, depth = self.ring, self.ring.depth
        columns, clocks = ring.values.shape[1], ring.times.shape[1]
        if not self._take(size_of(2 * depth, columns, clocks) - size_of(depth, columns, clocks)):
            self.broken = True
            return False
        newest = ring.written[: ring.clocks] - 1
        here = np.arange(depth)[:, None]
        row = newest - ((newest - here) & (depth - 1))  # the row each index holds now
        upper = (row & depth) != 0
        ring.times = _deepened(ring.times, upper, fill=BEFORE_MS)
        by_column = upper[:, ring.origin[: len(ring.labels)]]
        ring.values = _deepened(ring.values, by_column, fill=ABSENT)
        return True

    def _rows(self, clocks: Places, times: Times, strays: Mask) -> tuple[Ints, Mask]:
        """Return the row of each clock and time, -1 for one too old, and which had begun."""
        ring = self.ring
        rows = ring.written[clocks] - 1
        newest = ring.times[rows & (ring.depth - 1), clocks]
        begun = (rows >= 0) & (newest == times)
        rows[~begun] = -1
        left = ~begun
        if not strays.any() and bool((clocks[1:] != clocks[:-1]).all()):
            fresh = np.flatnonzero(left & ((ring.written[clocks] == 0) | (newest < times)))
            if self._begin_all(clocks[fresh], times[fresh]):
                rows[fresh] = ring.written[clocks[fresh]] - 1
                left[fresh] = False
        for at in np.flatnonzero(left).tolist():
            clock, ts_ms, epoch = clocks.item(at), times.item(at), ring.epoch
            rows[at], begun[at] = self._row(clock, ts_ms, stray=strays.item(at))
            if ring.epoch != epoch:  # one was put in: those behind it moved
                rows[at + 1 :][begun[at + 1 :] & (clocks[at + 1 :] == clock)] += 1
            if self.broken:
                break
        return rows, begun

    def _row(self, clock: int, ts_ms: int, *, stray: bool) -> tuple[int, bool]:
        ring = self.ring
        written = ring.written.item(clock)
        if written and ring.times.item((written - 1) & (ring.depth - 1), clock) >= ts_ms:
            return self._row_before(clock, ts_ms)
        if stray:
            self._strays[clock] = self._strays.get(clock, 0) + 1
            self.broken |= self._strays[clock] * _STRAY_SHARE > ring.depth
        return self._begin(clock, ts_ms), False

    def _begin_all(self, clocks: Places, times: Times) -> bool:
        """Begin the next row of each clock, empty; False when there is no room for all."""
        ring = self.ring
        written = ring.written[clocks]
        at = written & (ring.depth - 1)
        if ((written >= ring.depth) & (ring.times[at, clocks] > times - self.depth_ms)).any():
            return False
        for row, clock in zip(at.tolist(), clocks.tolist(), strict=True):
            ring.values[row, self._members[clock]] = ABSENT
        ring.times[at, clocks] = times
        ring.written[clocks] = written + 1
        return True

    def _begin(self, clock: int, ts_ms: int) -> int:
        """Begin the next row of a clock, empty; -1 when memory is spent."""
        ring = self.ring
        row = ring.written.item(clock)
        while row >= ring.depth and self._needed(row, clock, ts_ms):
            if not self.deepen():
                return -1
        at = row & (ring.depth - 1)
        ring.values[at, self._members[clock]] = ABSENT
        ring.times[at, clock] = ts_ms
        ring.written[clock] = row + 1
        return row

    def _needed(self, row: int, clock: int, newest_ms: int) -> bool:
        """Tell whether what stands where `row` goes is within reach of the newest row."""
        ring = self.ring
        return ring.times.item(row & (ring.depth - 1), clock) > newest_ms - self.depth_ms

    def _row_before(self, clock: int, ts_ms: int) -> tuple[int, bool]:
        """Return a row not newer than the newest, made if there is none; and if it had begun."""
        ring = self.ring
        written = ring.written.item(clock)
        rows = np.arange(max(0, written - ring.depth), written)
        times = ring.times[rows & (ring.depth - 1), clock]
        place = int(np.searchsorted(times, ts_ms))
        if times[place] == ts_ms:
            return rows.item(place), True
        if ts_ms <= times.item(-1) - self.depth_ms:
            return -1, False
        return self._insert(clock, rows[place:], ts_ms), False

    def _insert(self, clock: int, later: Ints, ts_ms: int) -> int:
        """Put an empty row before the rows `later` of a clock."""
        ring, members = self.ring, self.members(clock)
        newest_ms = ring.times.item(later.item(-1) & (ring.depth - 1), clock)
        if self._begin(clock, newest_ms) < 0:
            return -1
        before, after = later & (ring.depth - 1), (later + 1) & (ring.depth - 1)
        ring.times[after, clock] = ring.times[before, clock]
        ring.values[after[:, None], members] = ring.values[before[:, None], members]
        ring.values[before[0], members] = ABSENT
        ring.times[before[0], clock] = ts_ms
        ring.epoch += 1
        return later.item(0)

    def _write(self, columns: Places, rows: Ints, values: Values, begun: Mask) -> None:
        ring = self.ring
        kept = rows >= 0
        if not kept.all():
            columns, rows, values, begun = columns[kept], rows[kept], values[kept], begun[kept]
        ring.values[rows & (ring.depth - 1), columns] = values
        ring.version += 1
        if begun.any():
            np.maximum.at(ring.filled, columns[begun], rows[begun])
            ring.fills += 1

    # -- room --------------------------------------------------------------------------------

    def _add_clock(self, home: int) -> int | None:
        ring, clock = self.ring, self.ring.clocks
        if clock == ring.times.shape[1]:
            more = _more(clock)
            if not self._take(size_of(ring.depth, 0, more)):
                self.broken = True
                return None
            ring.times = _wider(ring.times, more, fill=BEFORE_MS)
            ring.written = np.concatenate((ring.written, np.zeros(more, np.int64)))
            self._owners = np.concatenate((self._owners, np.full(more, OWN, np.int32)))
        ring.clocks += 1
        self._owners[clock] = home
        self._members.append(_NONE)
        if home != OWN:
            self._clock_of[home] = clock
        return clock

    def _widen(self, columns: int) -> bool:
        ring, have = self.ring, self.ring.values.shape[1]
        if columns <= have:
            return True
        more = _more(have)
        if not self._take(size_of(ring.depth, more, 0)):
            return False
        ring.values = _wider(ring.values, more, fill=ABSENT)
        ring.origin = np.concatenate((ring.origin, np.zeros(more, np.int32)))
        ring.filled = np.concatenate((ring.filled, np.full(more, -1)))
        return True

    def _take(self, size: int) -> bool:
        taken = self._budget.take(size)
        self._taken += size if taken else 0
        return taken


def _firsts(clocks: Places, times: Times) -> Mask:
    """Mark the first of each run of equal clock and time."""
    first = np.ones(len(clocks), np.bool_)
    first[1:] = (clocks[1:] != clocks[:-1]) | (times[1:] != times[:-1])
    return first


def _more(have: int) -> int:
    return max(8, have // 4)


def _wider(array: npt.NDArray[Cell], more: int, *, fill: float) -> npt.NDArray[Cell]:
    wide = np.full((len(array), array.shape[1] + more), fill, array.dtype)
    wide[:, : array.shape[1]] = array
    return wide


def _deepened(array: npt.NDArray[Cell], upper: Mask, *, fill: float) -> npt.NDArray[Cell]:
    """Return `array` with twice the rows; `upper` marks the cells that go to the second half."""
    depth, width = upper.shape
    deep = np.full((2 * depth, array.shape[1]), fill, array.dtype)
    np.copyto(deep[:depth, :width], array[:, :width], where=~upper)
    np.copyto(deep[depth:, :width], array[:, :width], where=upper)
    return deep


def _with(members: Members, column: int) -> Members:
    if isinstance(members, slice) and members.stop == column:
        return slice(members.start, column + 1)
    if not isinstance(members, slice) and not members.size:
        return slice(column, column + 1)
    return np.append(listed(members), np.int32(column))
