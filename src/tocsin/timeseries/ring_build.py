"""A ring from rows: how deep and wide it has to be, and the arrays with everything in its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.ring import ABSENT, ABSENT_BITS, Places, Ring
from tocsin.model.series import Times
from tocsin.timeseries.group import Rows
from tocsin.timeseries.live_ring import BEFORE_MS, OWN, SHALLOWEST, Content, size_of
from tocsin.timeseries.postings import SeriesIds


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """What shares a clock: a group, or one series (`OWN`)."""

    owner: int
    blocks: Sequence[Rows]

    def sids(self) -> SeriesIds:
        """Return the series, each once."""
        if len({id(block.sids) for block in self.blocks}) == 1:
            return self.blocks[0].sids
        found = np.concatenate([block.sids for block in self.blocks])
        kept: SeriesIds = found[np.sort(np.unique(found, return_index=True)[1])]
        return kept

    def times(self) -> tuple[Times, bool]:
        """Return the times of all rows, ascending; and whether the blocks lie one on another."""
        if len(self.blocks) == 1:
            return self.blocks[0].times, True
        times = np.concatenate([block.times for block in self.blocks])
        stacked = bool((times[1:] > times[:-1]).all())
        return (times if stacked else np.unique(times)), stacked


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The clocks of a ring to be built, their times and their series."""

    clocks: Sequence[Clock]
    times: Sequence[Times]
    stacked: Sequence[bool]
    sids: Sequence[SeriesIds]

    @classmethod
    def of(cls, clocks: Iterable[Clock]) -> Plan:
        """Return the plan of a ring with these clocks."""
        kept = list(clocks)
        times = [each.times() for each in kept]
        sids = [each.sids() for each in kept]
        return cls(kept, [each[0] for each in times], [each[1] for each in times], sids)

    @property
    def depth(self) -> int:
        """Return the depth the ring needs."""
        deepest = max((len(times) for times in self.times), default=0)
        return max(SHALLOWEST, 1 << (deepest - 1).bit_length())

    @property
    def room(self) -> tuple[int, int]:
        """Return how many columns and clocks there is to be room for."""
        columns = sum(map(len, self.sids))
        return columns + columns // 32, len(self.clocks) + len(self.clocks) // 32

    @property
    def size(self) -> int:
        """Return the bytes the ring will take."""
        return size_of(self.depth, *self.room)

    def series(self) -> SeriesIds:
        """Return the series by column."""
        return np.concatenate([np.empty(0, np.int32), *self.sids])


def build(plan: Plan, labels: list[Labels], column_of: Places) -> Content:
    """Return the ring; `column_of` gives the column of each series."""
    columns, clocks = plan.room
    ring = Ring(
        labels,
        len(plan.clocks),
        origin=np.zeros(columns, np.int32),
        written=np.zeros(clocks, np.int64),
        times=np.full((plan.depth, clocks), BEFORE_MS),
        values=np.full((plan.depth, columns), ABSENT),
        filled=np.full(columns, -1),
    )
    owners = np.full(clocks, OWN, np.int32)
    members: list[slice | Places] = []
    begin = 0
    for number, clock in enumerate(plan.clocks):
        end = begin + len(plan.sids[number])
        owners[number] = clock.owner
        members.append(slice(begin, end))
        ring.origin[begin:end] = number
        ring.times[: len(plan.times[number]), number] = plan.times[number]
        ring.written[number] = len(plan.times[number])
        if plan.stacked[number]:
            _stack(ring, clock.blocks, column_of, whole=(plan.sids[number], begin))
        else:
            _scatter(ring, clock.blocks, plan.times[number], column_of)
        begin = end
    return Content(ring, owners, members)


def _stack(
    ring: Ring, blocks: Sequence[Rows], column_of: Places, *, whole: tuple[SeriesIds, int]
) -> None:
    """Write blocks of which each begins where the one before it ends.

    `whole` are all series of the clock and their first column.
    """
    row, (sids, begin) = 0, whole
    for block in blocks:
        upto = row + len(block.times)
        if block.sids is sids:
            ring.values[row:upto, begin : begin + len(sids)] = block.values
        else:
            ring.values[row:upto, column_of[block.sids]] = block.values
        row = upto


def _scatter(ring: Ring, blocks: Sequence[Rows], times: Times, column_of: Places) -> None:
    """Write blocks into each other; no sample is in two of them."""
    for block in blocks:
        rows = np.searchsorted(times, block.times)[:, None]
        columns = column_of[block.sids]
        present = block.values.view(np.uint64) != ABSENT_BITS
        ring.values[rows, columns] = np.where(present, block.values, ring.values[rows, columns])
