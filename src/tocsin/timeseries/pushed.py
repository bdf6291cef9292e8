"""Where pushed samples lie: series of one origin share a group, though they come in parts.

An origin is told by the labels `job` and `instance`, as in Prometheus. A sender may split what
one target gave at one time over several requests, and the parts may come late and in any
order; each is put into the row of its time while that is open (`Group.row`). What cannot be is
left to the caller.

Python works once for each run of samples of one origin and time, NumPy for each sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels
from tocsin.model.series import Times, Values
from tocsin.timeseries.chunk import Chosen, Chunk, Positions
from tocsin.timeseries.group import NOTHING, Group
from tocsin.timeseries.postings import SeriesIds

Homes = npt.NDArray[np.int32]

_NONE = -1
_FEW_RUNS = 4  # samples are sorted unless there are on average so many in a run as they come


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples to be stored, those of one origin and time together."""

    sids: SeriesIds
    times: Times
    values: Values
    homes: Homes  # by sample: the index of its group
    starts: Chosen  # where runs of one group and time begin

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.sids)


class Pushed:
    """The groups of pushed series, and the columns these have. Not thread-safe."""

    def __init__(
        self,
        *,
        labels_of: Callable[[int], Labels],
        group_of: Callable[[str], Group],
        group_at: Callable[[int], Group],
        joined: Callable[[SeriesIds, Group], None],
    ) -> None:
        """Find groups by name or index; say to `joined` which series a group has got."""
        self._labels_of = labels_of
        self._group_of = group_of
        self._group_at = group_at
        self._joined = joined
        self._homes: Homes = np.empty(0, np.int32)  # by series id: index of its group
        self._columns: Homes = np.empty(0, np.int32)  # by series id: place in the group's columns
        self._placed: dict[int, SeriesIds] = {}  # by group: columns for which `_columns` is right

    def fit(self, size: int) -> None:
        """Make room for series ids below `size`."""
        missing = size - len(self._homes)
        if missing > 0:
            more = np.full(missing, _NONE, np.int32)
            self._homes = np.concatenate((self._homes, more))
            self._columns = np.concatenate((self._columns, more))

    def arrange(self, sids: SeriesIds, times: Times, values: Values) -> Batch:
        """Return samples with those of one origin and time together."""
        homes = self._homes[sids]
        if (homes == _NONE).any():
            for sid in sids[homes == _NONE].tolist():
                self._settle(sid)
            homes = self._homes[sids]
        starts = _starts(homes, times)
        if len(starts) * _FEW_RUNS > len(sids):
            order = np.lexsort((times, homes))
            sids, times, values, homes = sids[order], times[order], values[order], homes[order]
            starts = _starts(homes, times)
        return Batch(sids, times, values, homes, starts)

    def put(self, batch: Batch, *, slots: int) -> Chosen:
        """Put samples into rows of their groups; return where those stand that fit in none."""
        starts = batch.starts
        bounds = [*starts.tolist(), len(batch)]
        columns, placed = self._columns[batch.sids], self._placed
        known = (np.minimum.reduceat(columns, starts) >= 0).tolist()
        firsts = _side_by_side(columns, starts).tolist()
        moved: set[int] = set()  # groups of which `columns` is no longer right
        left: list[Chosen] = []
        heads = zip(batch.homes[starts].tolist(), batch.times[starts].tolist(), strict=True)
        for at, (home, ts_ms) in enumerate(heads):
            begin, end = bounds[at], bounds[at + 1]
            group = self._group_at(home)
            found = group.row(ts_ms, end - begin, slots=slots)
            if found is None:
                left.append(np.arange(begin, end))
                continue
            chunk, row = found
            if known[at] and chunk.columns is placed.get(home) and home not in moved:
                first = firsts[at]
                chunk.put(
                    row,
                    columns[begin:end] if first < 0 else slice(first, first + end - begin),
                    batch.values[begin:end],
                )
                continue
            moved.add(home)
            found_at = self._find(group, chunk, batch.sids[begin:end])
            there = found_at != _NONE
            chunk.put(row, found_at[there], batch.values[begin:end][there])
            left.append(begin + np.flatnonzero(~there))
        return np.concatenate(left) if left else NOTHING

    def forget_group(self, index: int) -> None:
        """Note that a group is gone and its index free."""
        self._unplace(index)
        self._homes[self._homes == index] = _NONE

    def forget(self, sids: Sequence[int]) -> None:
        """Note that series are gone and their ids free."""
        self._homes[list(sids)] = _NONE
        self._columns[list(sids)] = _NONE

    def _settle(self, sid: int) -> None:
        """Find the group of a series that has none."""
        if self._homes[sid] == _NONE:
            self._homes[sid] = self._group_of(origin(self._labels_of(sid))).index

    def _find(self, group: Group, chunk: Chunk, sids: SeriesIds) -> Homes:
        """Return the columns of series in a chunk, -1 where there is none and can be none."""
        if chunk is not group.chunks[-1]:
            return positions(chunk.columns, sids)  # an older one: no column is added to it
        self._place(group)
        new = sids[self._columns[sids] == _NONE]
        if new.size:
            known = len(group.columns)
            group.widen(new)
            self._joined(new, group)
            self._columns[new] = np.arange(known, len(group.columns), dtype=np.int32)
            self._placed[group.index] = group.columns
        return self._columns[sids]

    def _place(self, group: Group) -> None:
        if self._placed.get(group.index) is not group.columns:
            self._unplace(group.index)
            self._columns[group.columns] = np.arange(len(group.columns), dtype=np.int32)
            self._placed[group.index] = group.columns

    def _unplace(self, index: int) -> None:
        before = self._placed.pop(index, None)
        if before is not None:
            self._columns[before[self._homes[before] == index]] = _NONE


def origin(labels: Labels) -> str:
    """Return the name of the group of a pushed series; equal for equal `job` and `instance`."""
    job, instance = labels.value("job"), labels.value("instance")
    return f"pushed/{len(job)}/{job}/{instance}"


def positions(columns: SeriesIds, sids: SeriesIds) -> Positions:
    """Return where `sids` stand in `columns`, -1 for those that do not."""
    order = np.argsort(columns)
    found = order[np.minimum(np.searchsorted(columns, sids, sorter=order), len(columns) - 1)]
    return np.where(columns[found] == sids, found, _NONE).astype(np.int32)


def _side_by_side(columns: Homes, starts: Chosen) -> Homes:
    """Return the first column of each run whose columns follow one another, -1 for others."""
    follows = np.ones(len(columns), np.bool_)
    follows[1:] = columns[1:] == columns[:-1] + 1
    follows[starts] = True
    return np.where(np.logical_and.reduceat(follows, starts), columns[starts], _NONE)


def _starts(homes: Homes, times: Times) -> Chosen:
    """Return where runs of equal group and time begin."""
    first = np.ones(len(homes), np.bool_)
    first[1:] = (homes[1:] != homes[:-1]) | (times[1:] != times[:-1])
    return np.flatnonzero(first)
