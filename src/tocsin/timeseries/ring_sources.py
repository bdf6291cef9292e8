"""A ring from what the store holds: which series share a clock, and their newest rows.

Series whose samples all lie in one group share its clock. A series found in several groups,
or with more than a few samples beside its group's rows, gets a clock of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby

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
    beside, crowded = _beside(head, singles, wanted, depth_ms)
    wanted[crowded] = False
    groups = [head.group_at(index) for index in np.unique(homes[wanted[sids]]).tolist()]
    yield from _shared(head, groups, wanted, beside, depth_ms=depth_ms)
    yield from _lone(head, _array([*sids[several].tolist(), *crowded]), depth_ms)
    for sid in sids[homes == NOWHERE].tolist():
        if sid in singles:
            yield _own(sid, *singles[sid].newest(depth_ms))


def _beside(
    head: Head, singles: Mapping[int, SingleSeries], wanted: Mask, depth_ms: int
) -> tuple[dict[int, list[Rows]], list[int]]:
    """Return by group what lies beside its rows, and the series that have too much there."""
    beside: dict[int, list[Rows]] = {}
    crowded = []
    for sid, home in zip(singles, head.homes(_array(singles)).tolist(), strict=True):
        if not wanted[sid]:
            continue
        group = head.group_at(home)
        since, newest = _window(group, depth_ms)
        times, values = singles[sid].read(since, FURTHEST_MS)
        rows = sum(rows.stop - rows.start for _, rows in group.between(since, newest))
        if len(times) > max(FEW, rows // CROWD_SHARE):
            crowded.append(sid)
        elif len(times):
            beside.setdefault(home, []).append(_row_block(sid, times, values))
    return beside, crowded


def _shared(
    head: Head,
    groups: Sequence[Group],
    wanted: Mask,
    beside: Mapping[int, list[Rows]],
    *,
    depth_ms: int,
) -> Iterator[Clock]:
    """Yield the clocks of groups."""
    parts = (part for group in groups for part in group.parts(wanted, *_window(group, depth_ms)))
    seen = set()
    for home, found in groupby(head.opened(parts), key=lambda each: each[0].home):
        seen.add(home)
        rows = [rows for part, opening in found for rows in part.rows(opening)]
        yield Clock(home, rows + beside.get(home, []))
    for home, rows in beside.items():
        if home not in seen:
            yield Clock(home, rows)


def _window(group: Group, depth_ms: int) -> tuple[int, int]:
    newest = 0 if group.newest is None else group.newest
    return newest - depth_ms, newest


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
