"""A ring that reaches back beyond the head: what blocks hold goes into it as well.

Needed when a ring is built anew, after a restart above all. Series of one group share its
clock if their times agree but for a few; a series that has ended, and so is in no group any
more, has a clock of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tocsin.model.series import Series, Times
from tocsin.timeseries.group import Rows
from tocsin.timeseries.head import Head
from tocsin.timeseries.live_ring import OWN
from tocsin.timeseries.membership import NOWHERE
from tocsin.timeseries.postings import SeriesIds
from tocsin.timeseries.ring_build import Clock
from tocsin.timeseries.ring_sources import CROWD_SHARE, FEW

Member = tuple[int, Series]


def clocks_of(head: Head, series: Sequence[Series], sids: SeriesIds) -> Iterator[Clock]:
    """Yield the clocks of series, whose ids are `sids`."""
    homes, several = head.homes(sids), head.in_several_groups(sids)
    shared: dict[int, list[Member]] = {}
    alone: list[Member] = []
    for sid, home, spread, each in zip(
        sids.tolist(), homes.tolist(), several.tolist(), series, strict=True
    ):
        members = alone if home == NOWHERE or spread else shared.setdefault(home, [])
        members.append((sid, each))
    for home, members in shared.items():
        clock, crowded = _shared(home, members)
        alone += crowded
        yield clock
    for member in alone:
        yield Clock(OWN, [_rows([member])])


def _shared(home: int, members: list[Member]) -> tuple[Clock, list[Member]]:
    """Return the clock of a group, and the series whose times are too different."""
    by_times: dict[int, list[Member]] = {}
    for member in members:
        by_times.setdefault(id(member[1].times), []).append(member)
    usual = max(by_times.values(), key=lambda alike: (len(alike), len(alike[0][1].times)))
    times = usual[0][1].times
    most = max(FEW, len(times) // CROWD_SHARE)
    kept = [alike for alike in by_times.values() if _beside(alike[0][1].times, times) <= most]
    apart = [alike for alike in by_times.values() if all(alike is not each for each in kept)]
    return Clock(home, [_rows(alike) for alike in kept]), [m for alike in apart for m in alike]


def _beside(times: Times, usual: Times) -> int:
    """Return how many of the times are not among the usual ones."""
    return 0 if times is usual else len(np.setdiff1d(times, usual, assume_unique=True))


def _rows(alike: list[Member]) -> Rows:
    """Return series with the same times as rows."""
    sids = np.asarray([sid for sid, _ in alike], np.int32)
    return Rows(sids, alike[0][1].times, np.stack([each.values for _, each in alike], axis=1))
