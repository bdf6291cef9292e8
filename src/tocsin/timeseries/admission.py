"""Which samples may enter: the rules for duplicates, order and time.

Prometheus' rules (contract metrics-engine 2.6), sample by sample:

* newer than the newest sample of its series: accepted;
* a sample already stands at its time: accepted silently when the bits are equal (a sender
  repeats itself), else refused as a duplicate;
* older: accepted within the out-of-order window, refused beyond it.

The decision sees what the same batch has already accepted, and changes nothing: the caller
writes the outcome to the log first and to memory after. Samples that simply follow those of
their series are told by arrays, the odd ones one after the other.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tocsin.model.series import Appended, Times, Values
from tocsin.timeseries.head import Head
from tocsin.timeseries.options import Refusal
from tocsin.timeseries.postings import Mask, SeriesIds

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


@dataclass(frozen=True, slots=True, eq=False)
class Admitted:
    """What of a batch is to be stored, and the counts: `stored` has silent repeats in it."""

    sids: SeriesIds
    times: Times
    values: Values
    stored: int
    refused: dict[str, int]

    def outcome(self, refused: Mapping[str, int]) -> Appended:
        """Return the counts of the batch, with what was refused elsewhere."""
        total = dict(refused)
        for refusal, count in self.refused.items():
            total[refusal] = total.get(refusal, 0) + count
        return Appended(self.stored, total)


def admit(head: Head, sids: SeriesIds, times: Times, values: Values, *, window_ms: int) -> Admitted:
    """Judge samples, of each series in the order in which they stand."""
    fine, repeated = _plain(head, sids, times, values)
    if fine.all():
        return Admitted(sids, times, values, len(sids), {})
    doubtful = np.zeros(head.catalog.size, np.bool_)
    doubtful[sids[~(fine | repeated)]] = True
    odd = doubtful[sids]
    kept = fine & ~odd
    batch = Admission(head, window_ms=window_ms)
    batch.stored = int(np.count_nonzero((fine | repeated) & ~odd))
    at = np.flatnonzero(odd)
    for sid, ts_ms, value in zip(
        sids[at].tolist(), times[at].tolist(), values[at].tolist(), strict=True
    ):
        batch.offer(sid, ts_ms, value)
    late = batch.accepted()
    return Admitted(
        np.concatenate((sids[kept], late[0])),
        np.concatenate((times[kept], late[1])),
        np.concatenate((values[kept], late[2])),
        batch.stored,
        batch.refused,
    )


def _plain(head: Head, sids: SeriesIds, times: Times, values: Values) -> tuple[Mask, Mask]:
    """Mark the samples newer than all of their series, and those that repeat the newest."""
    newest = head.catalog.newest_times[sids]
    sane = (times >= -FURTHEST_MS) & (times <= FURTHEST_MS)
    ordered = np.sort(sids)
    if (ordered[1:] == ordered[:-1]).any():
        return (times > _before(sids, times, newest)) & sane, np.zeros(len(sids), np.bool_)
    bits = head.catalog.newest_values[sids].view(np.uint64)
    repeated = (times == newest) & (values.view(np.uint64) == bits)
    return (times > newest) & sane, repeated


def _before(sids: SeriesIds, times: Times, newest: Times) -> Times:
    """Return for each sample the time of the one before it: in the batch, else in the head."""
    order = np.argsort(sids, kind="stable")
    again = sids[order][1:] == sids[order][:-1]
    before = newest[order]
    before[1:][again] = times[order][:-1][again]
    found = np.empty_like(before)
    found[order] = before
    return found


def same_bits(one: float, other: float) -> bool:
    """Tell whether two floats are the same bit by bit: 0.0 is not -0.0, NaN can be NaN."""
    if one == other and one:
        return True
    return struct.pack("<d", one) == struct.pack("<d", other)
