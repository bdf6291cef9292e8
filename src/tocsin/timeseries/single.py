"""A series with a clock of its own: pushed samples, backfill, late arrivals.

Times and values grow in two arrays. Appending writes behind what was given out before, and
an insertion builds new arrays, so that arrays handed to a reader never change under it.
"""

from __future__ import annotations

import numpy as np

from tocsin.model.series import Times, Values

_FIRST = 4  # samples a new series has room for: many ever get only a handful


class SingleSeries:
    """The samples of one series, times strictly ascending. Not thread-safe."""

    __slots__ = ("_begin", "_end", "_times", "_values")

    def __init__(self) -> None:
        self._times: Times = np.empty(_FIRST, np.int64)
        self._values: Values = np.empty(_FIRST, np.float64)
        self._begin = 0
        self._end = 0

    def __len__(self) -> int:
        """Return how many samples there are."""
        return self._end - self._begin

    @property
    def oldest(self) -> int | None:
        """Return the time of the oldest sample, None when there is none."""
        return int(self._times[self._begin]) if len(self) else None

    def before(self, horizon_ms: int) -> int:
        """Return how many samples are before `horizon_ms`."""
        return int(np.searchsorted(self._times[self._begin : self._end], horizon_ms, "left"))

    def add(self, ts_ms: int, value: np.float64) -> None:
        """Put in a sample at a time that has none yet: usually at the end."""
        if len(self) and ts_ms < self._times[self._end - 1]:
            self._insert(ts_ms, value)
            return
        if self._end == len(self._times):
            self._grow()
        self._times[self._end] = ts_ms
        self._values[self._end] = value
        self._end += 1

    def extend(self, times: Times, values: Values) -> None:
        """Put in samples at ascending times that have none yet."""
        if len(times) == 1:
            self.add(int(times[0]), values[0])
            return
        held = slice(self._begin, self._end)
        both = np.concatenate((self._times[held], times))
        bits = np.concatenate((self._values[held], values))
        if len(self) and times[0] < self._times[self._end - 1]:
            order = np.argsort(both, kind="stable")
            both, bits = both[order], bits[order]
        self._times, self._values = both, bits
        self._begin, self._end = 0, len(both)

    def read(self, start_ms: int, end_ms: int) -> tuple[Times, Values]:
        """Return read-only views of the samples with start <= t <= end."""
        times = self._times[self._begin : self._end]
        first = int(np.searchsorted(times, start_ms, "left"))
        last = max(first, int(np.searchsorted(times, end_ms, "right")))
        times = times[first:last]
        values = self._values[self._begin + first : self._begin + last]
        times.flags.writeable = False
        values.flags.writeable = False
        return times, values

    def newest(self, span_ms: int) -> tuple[Times, Values]:
        """Return read-only views of the last samples, `span_ms` back from the newest."""
        newest = int(self._times[self._end - 1])
        return self.read(newest - span_ms, newest)

    def drop_before(self, horizon_ms: int) -> int:
        """Forget samples before `horizon_ms`, and return how many they were."""
        dropped = self.before(horizon_ms)
        self._begin += dropped
        return dropped

    def _insert(self, ts_ms: int, value: np.float64) -> None:
        times = self._times[self._begin : self._end]
        values = self._values[self._begin : self._end]
        at = int(np.searchsorted(times, ts_ms, "left"))
        self._times = np.insert(times, at, ts_ms)
        self._values = np.concatenate((values[:at], [value], values[at:]))
        self._begin, self._end = 0, len(self._times)

    def _grow(self) -> None:
        room = max(_FIRST, len(self) // 2)
        times = self._times[self._begin : self._end]
        values = self._values[self._begin : self._end]
        self._times = np.concatenate((times, np.empty(room, np.int64)))
        self._values = np.concatenate((values, np.empty(room, np.float64)))
        self._begin, self._end = 0, len(times)
