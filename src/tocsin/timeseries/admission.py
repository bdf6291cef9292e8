"""Which samples may enter: the rules for duplicates, order and time.

Prometheus' rules (contract metrics-engine 2.6), sample by sample:

* newer than the newest sample of its series: accepted;
* a sample already stands at its time: accepted silently when the bits are equal (a sender
  repeats itself), else refused as a duplicate;
* older: accepted within the out-of-order window, refused beyond it.

The decision sees what the same batch has already accepted, and changes nothing: the caller
writes the outcome to the log first and to memory after.
"""

from __future__ import annotations

import struct

import numpy as np

from tocsin.model.series import Appended, Series, Times, Values
from tocsin.timeseries.head import Head
from tocsin.timeseries.options import Refusal
from tocsin.timeseries.postings import SeriesIds

FURTHEST_MS = 2**62  # either way from the epoch; leaves room for windows around a time


class Admission:
    """One batch of samples being judged against one head."""

    def __init__(self, head: Head, *, window_ms: int) -> None:
        self.stored = 0
        self.refused: dict[str, int] = {}
        self._head = head
        self._window_ms = window_ms
        self._newest: dict[int, int] = {}
        self._accepted: dict[tuple[int, int], float] = {}

    def offer(self, sid: int, ts_ms: int, value: float) -> None:
        """Judge one sample."""
        refusal = self._judge(sid, ts_ms, value)
        if refusal is None:
            self.stored += 1
        else:
            self.refuse(refusal)

    def offer_all(self, sid: int, series: Series) -> None:
        """Judge the samples of one series, one after the other."""
        for ts_ms, value in zip(series.times.tolist(), series.values.tolist(), strict=True):
            self.offer(sid, ts_ms, value)

    def refuse(self, refusal: str, count: int = 1) -> None:
        """Note samples that were refused elsewhere."""
        self.refused[refusal] = self.refused.get(refusal, 0) + count

    def accepted(self) -> tuple[SeriesIds, Times, Values]:
        """Return what is to be stored, in the order it was offered; silent repeats left out."""
        count = len(self._accepted)
        sids = np.fromiter((sid for sid, _ in self._accepted), np.int32, count)
        times = np.fromiter((ts_ms for _, ts_ms in self._accepted), np.int64, count)
        return sids, times, np.fromiter(self._accepted.values(), np.float64, count)

    def outcome(self) -> Appended:
        """Return the counts of the batch."""
        return Appended(self.stored, self.refused)

    def _judge(self, sid: int, ts_ms: int, value: float) -> Refusal | None:
        if abs(ts_ms) > FURTHEST_MS:
            return Refusal.OUT_OF_BOUNDS
        newest = self._newest.get(sid)
        if newest is None:
            newest = int(self._head.catalog.newest_times[sid])
        if ts_ms > newest:
            self._newest[sid] = ts_ms
        elif (present := self._present(sid, ts_ms)) is not None:
            return None if same_bits(present, value) else Refusal.DUPLICATE
        elif ts_ms < newest - self._window_ms:
            return Refusal.OUT_OF_ORDER
        self._accepted[sid, ts_ms] = value
        return None

    def _present(self, sid: int, ts_ms: int) -> float | None:
        mine = self._accepted.get((sid, ts_ms))
        return self._head.value_at(sid, ts_ms) if mine is None else mine


def follow(head: Head, sids: SeriesIds, times: Times) -> bool:
    """Tell whether every sample is newer than those of its series, and has a sane time."""
    if not len(sids):
        return True
    sane = bool(times.min() >= -FURTHEST_MS and times.max() <= FURTHEST_MS)
    return sane and bool((times > head.catalog.newest_times[sids]).all())


def same_bits(one: float, other: float) -> bool:
    """Tell whether two floats are the same bit by bit: 0.0 is not -0.0, NaN can be NaN."""
    if one == other and one:
        return True
    return struct.pack("<d", one) == struct.pack("<d", other)
