"""A ring from what the store holds: which series share a clock, and their newest rows.

Series whose samples all lie in one group share its clock. A series found in several groups,
or with more than a few samples beside its group's rows, gets a clock of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from tocsin.model.series import Times, Values
from tocsin.timeseries.admission import FURTHEST_MS
from tocsin.timeseries.group import Group, Rows
from tocsin.timeseries.head import Head
from tocsin.timeseries.live_ring import OWN
from tocsin.timeseries.membership import NOWHERE
from tocsin.timeseries.postings import Mask, SeriesIds
from tocsin.timeseries.ring_build import Clock
from tocsin.timeseries.single import SingleSeries

FEW = 4  # samples beside the rows of a group that are never too many
CROWD_SHARE = 4  # beyond one for so many rows the series gets a clock of its own


def clocks(head: Head, sids: SeriesIds, depth_ms: int) -> Iterator[Clock]:
    """Yield the clocks of those series that have samples, `depth_ms` back from their newest."""
    homes, several = head.homes(sids), head.in_several_groups(sids)
    singles = dict(head.singles(sids))
    wanted = np.zeros(head.catalog.size, np.bool_)
    wanted[sids[(homes != NOWHERE) & ~several]] = True
    beside: dict[int, list[int]] = {}
    for sid, home in zip(singles, head.homes(_array(singles)).tolist(), strict=True):
        if wanted[sid]:
            beside.setdefault(home, []).append(sid)
    alone = sids[several].tolist()
    for index in np.unique(homes[wanted[sids]]).tolist():
        group = head.group_at(index)
        strays = {sid: singles[sid] for sid in beside.get(index, ())}
        clock, crowded = _shared(group, wanted, strays, depth_ms)
        alone += crowded
        if clock.blocks:
            yield clock
    yield from _lone(head, _array(alone), depth_ms)
    for sid in sids[homes == NOWHERE].tolist():
        if sid in singles:
            yield _own(sid, *singles[sid].newest(depth_ms))


def _shared(
    group: Group, wanted: Mask, strays: Mapping[int, SingleSeries], depth_ms: int
) -> tuple[Clock, list[int]]:
    """Return the clock of a group, and the series that have too much beside its rows."""
    newest = group.newest
    if newest is None:
        return Clock(group.index, []), list(strays)
    since = newest - depth_ms
    rows = list(group.rows(wanted, since, newest))
    if not strays:
        return Clock(group.index, rows), []
    found = {sid: single.read(since, FURTHEST_MS) for sid, single in strays.items()}
    most = max(FEW, sum(len(each.times) for each in rows) // CROWD_SHARE)
    crowded = [sid for sid, (times, _) in found.items() if len(times) > most]
    if crowded:
        wanted[crowded] = False
        rows = list(group.rows(wanted, since, newest))
    kept = (_row_block(sid, *found[sid]) for sid in found if sid not in crowded)
    return Clock(group.index, [*rows, *(each for each in kept if len(each.times))]), crowded


def _lone(head: Head, sids: SeriesIds, depth_ms: int) -> Iterator[Clock]:
    """Yield the clocks of series whose samples lie in several places."""
    if not len(sids):
        return
    since = int(head.catalog.newest_times[sids].min()) - depth_ms
    for series in head.read(sids, since, FURTHEST_MS):
        sid = head.catalog.find(series.labels)
        if sid is not None:
            first = np.searchsorted(series.times, series.times[-1] - depth_ms)
            yield _own(sid, series.times[first:], series.values[first:])


def _own(sid: int, times: Times, values: Values) -> Clock:
    return Clock(OWN, [_row_block(sid, times, values)])


def _row_block(sid: int, times: Times, values: Values) -> Rows:
    return Rows(_array([sid]), times, values[:, None])


def _array(sids: Collection[int]) -> SeriesIds:
    return np.fromiter(sids, np.int32, len(sids))
