"""How rows of a group reach the rings of its metrics: worked out once, then copied row by row.

A feed knows which positions of a row belong to one ring and to which columns they go. It
holds for as long as the group keeps its columns and the ring is not built anew. One metric of
a scrape costs about 1 µs a row (rule 7 of the style bends for that).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from tocsin.model.ring import ABSENT, Places
from tocsin.model.series import Values
from tocsin.timeseries.live_ring import OWN, LiveRing, compact, listed
from tocsin.timeseries.postings import SeriesIds


class RowFeed:
    """Passes the samples of a row on that share the clock of their group."""

    __slots__ = ("_clock", "_destination", "_group", "_live", "_missing", "_source")

    def __init__(self, live: LiveRing, group: int, source: SeriesIds, columns: Places) -> None:
        """Pass the positions `source` of a row on to `columns`."""
        clock = live.clock_of(group)
        if clock is None:
            raise KeyError(group)
        missing = live.missing(clock, columns)
        self._live = live
        self._group = group
        self._clock = clock
        self._source = compact(source)
        self._destination = compact(columns) if len(missing) else live.among(clock, columns)
        self._missing = compact(missing) if len(missing) else None

    def take(self, ts_ms: int, row: Values) -> None:
        """Put one row in."""
        live, clock = self._live, self._clock
        if live.broken:
            return
        ring = live.ring
        times = ring.times
        written, mask = ring.written.item(clock), len(times) - 1
        at = written & mask
        if (written and times.item((written - 1) & mask, clock) >= ts_ms) or (
            written > mask and times.item(at, clock) > ts_ms - live.depth_ms
        ):
            columns = listed(self._destination)
            _put_row(live, columns, ts_ms, row[self._source], home=self._group)
            return
        if self._missing is not None:
            ring.values[at, self._missing] = ABSENT
        ring.values[at, self._destination] = row[self._source]
        times[at, clock] = ts_ms
        ring.written[clock] = written + 1
        ring.version += 1


class LonersFeed:
    """Passes the samples of a row on whose series have clocks of their own."""

    __slots__ = ("_columns", "_live", "_positions")

    def __init__(self, live: LiveRing, source: SeriesIds, columns: Places) -> None:
        self._live = live
        self._positions = source
        self._columns = columns

    def take(self, ts_ms: int, row: Values) -> None:
        """Put one row in."""
        if not self._live.broken:
            _put_row(self._live, self._columns, ts_ms, row[self._positions], home=OWN)


Feed: TypeAlias = RowFeed | LonersFeed


def feeds(live: LiveRing, group: int, source: SeriesIds, columns: Places) -> Iterator[Feed]:
    """Yield what passes rows of a group on to one ring; series of other groups break it."""
    owners = live.owners(columns)
    mine = owners == group
    if mine.all():
        yield RowFeed(live, group, source, columns)
        return
    own = owners == OWN
    if not (mine | own).all():
        live.broken = True
        return
    if mine.any():
        yield RowFeed(live, group, source[mine], columns[mine])
    if own.any():
        yield LonersFeed(live, source[own], columns[own])


def _put_row(live: LiveRing, columns: Places, ts_ms: int, values: Values, *, home: int) -> None:
    count = len(columns)
    live.put(columns, np.full(count, ts_ms), values, np.full(count, home, np.int32))
