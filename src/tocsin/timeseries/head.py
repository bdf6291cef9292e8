"""The samples of one tenant in memory: series, their groups, and how they are read.

The head answers three questions (what does a layout come to, is this sample new, what lies in
this window) and takes what was decided. It refuses nothing and writes no file: `admission`
says what may enter, `wal` keeps it over a restart, `tenant_store` puts the three together.

A sample lies either in a row of a group or in a `SingleSeries`, never in both; readers merge
the two. Reading costs Python work for each series found and each chunk touched, none for a
sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.series import Layout, Series, Times, Values
from tocsin.timeseries.catalog import Catalog
from tocsin.timeseries.chunk import Chunk, present
from tocsin.timeseries.group import Binding, Group, Part, Slots
from tocsin.timeseries.groups import Groups
from tocsin.timeseries.live_ring import OWN
from tocsin.timeseries.membership import Membership
from tocsin.timeseries.options import RING_BYTES, Limits, Refusal
from tocsin.timeseries.packed import Opening
from tocsin.timeseries.packing import AT_ONCE, PackingTogether
from tocsin.timeseries.postings import NO_SERIES, Mask, SeriesIds
from tocsin.timeseries.pushed import Batch, Pushed, positions
from tocsin.timeseries.rings import Rings
from tocsin.timeseries.selection import Selection
from tocsin.timeseries.single import SingleSeries

_OPENED_AT_ONCE = 1 << 18  # cells


class Head:
    """Everything one tenant has in memory. Not thread-safe."""

    def __init__(
        self, *, chunk_slots: int, ring_bytes: int = RING_BYTES, pack_at_once: int = AT_ONCE
    ) -> None:
        """Begin empty; `pack_at_once` cells are packed together, see `PackingTogether`."""
        self.catalog = Catalog()
        self.rings = Rings(self.catalog, limit=ring_bytes, changed=self._forget_feeds)
        self.sealed: Callable[[Labels, int], np.float64 | None] = _nothing_sealed
        self.samples = 0
        self.epoch = 0  # moves when ids are given up
        self.newest_ms: int | None = None
        self._chunk_slots = chunk_slots
        self._membership = Membership()
        self._groups = Groups(PackingTogether(at_once=pack_at_once))
        self._singles: dict[int, SingleSeries] = {}
        self._pushed = Pushed(
            labels_of=self.catalog.labels,
            group_of=self._groups.of_pushed,
            group_at=self._groups.at,
            joined=self._join,
        )

    # -- taking in ---------------------------------------------------------------------------

    def enter(self, labels: Labels, limits: Limits) -> int | Refusal:
        """Return the id of a series, entering a new one if the limits allow it."""
        known = self.catalog.find(labels)
        if known is not None:
            return known
        refusal = limits.refusal(labels)
        if refusal is None and len(self.catalog) >= limits.active_series:
            refusal = Refusal.ACTIVE_SERIES
        return refusal or self.catalog.add(labels)

    def bind(self, layout: Layout, limits: Limits) -> tuple[Group, Binding]:
        """Return the group of a layout and what its positions come to.

        O(1) while the same layout object is passed again; series refused for want of room
        are tried again as soon as there is room.
        """
        group = self.group(layout.group)
        binding = group.binding
        if binding is not None and binding.layout is layout and not self._may_grow(binding, limits):
            return group, binding
        columns, binding = self._resolve(layout, limits)
        self.set_columns(group, columns)
        group.binding = binding
        return group, binding

    def group(self, name: str) -> Group:
        """Return the group called `name`, making it when there is none."""
        return self._groups.of(name)

    def set_columns(self, group: Group, columns: SeriesIds) -> None:
        """Say which series the next rows of `group` hold; equal columns stay the same object."""
        if not np.array_equal(group.columns, columns):
            group.columns = columns
            group.feeds = None

    def fits(self, group: Group, ts_ms: int) -> bool:
        """Tell whether a whole row may follow: newer than all its series and all its rows."""
        newest = group.newest
        if newest is not None and newest >= ts_ms:
            return False
        return bool((self.catalog.newest_times[group.columns] < ts_ms).all())

    def add_row(self, group: Group, ts_ms: int, row: Values) -> None:
        """Take one sample for each of the group's columns; `fits` must hold."""
        if group.add(ts_ms, row, slots=self._chunk_slots):
            self._join(group.columns, group)
        self.catalog.newest_times[group.columns] = ts_ms
        self.catalog.newest_values[group.columns] = row
        self._count(len(row), ts_ms)
        if group.feeds is None:
            group.feeds = self.rings.feeds(group.index, group.columns)
        for feed in group.feeds:
            feed.take(ts_ms, row)

    def add_rows(self, group: Group, times: Times, rows: Values) -> None:
        """Take rows as `add_row` does, times ascending; `fits` must hold for the first."""
        if group.extend(times, rows, slots=self._chunk_slots):
            self._join(group.columns, group)
        self.catalog.newest_times[group.columns] = times[-1]
        self.catalog.newest_values[group.columns] = rows[-1]
        self._count(rows.size, int(times[-1]))
        homes = np.full(len(group.columns), group.index, np.int32)
        for ts_ms, row in zip(times, rows, strict=True) if self.rings.size else ():
            self.rings.feed(group.columns, np.full(len(row), ts_ms), row, homes)

    def add_part(self, group: Group, ts_ms: int, sids: SeriesIds, values: Values) -> None:
        """Take samples of some of the group's columns; none may be there already."""
        found = group.row(ts_ms, len(sids), slots=self._chunk_slots)
        if found is None or found[0].columns is not group.columns:
            self.add_samples(sids, np.full(len(sids), ts_ms), values)
            return
        chunk, row = found
        self._join(group.columns, group)
        chunk.put(row, positions(group.columns, sids), values)
        homes = np.full(len(sids), group.index, np.int32)
        self._took(sids, np.full(len(sids), ts_ms), values, homes)

    def arrange(self, sids: SeriesIds, times: Times, values: Values) -> Batch:
        """Return samples in the order in which they are put away, and know their groups."""
        self._pushed.fit(self.catalog.size)
        return self._pushed.arrange(sids, times, values)

    def add_batch(self, batch: Batch) -> None:
        """Take samples with times of their own; none of them may be there already."""
        left = self._pushed.put(batch, slots=self._chunk_slots)
        homes = batch.homes
        if left.size:
            homes[left] = OWN
            self._add_singles(batch.sids[left], batch.times[left], batch.values[left])
        self._took(batch.sids, batch.times, batch.values, homes)

    def add_samples(self, sids: SeriesIds, times: Times, values: Values) -> None:
        """Take samples that belong in no row; none of them may be there already."""
        self._add_singles(sids, times, values)
        self._took(sids, times, values, np.full(len(sids), OWN, np.int32))

    # -- reading -----------------------------------------------------------------------------

    def value_at(self, sid: int, ts_ms: int) -> np.float64 | None:
        """Return the sample of one series at exactly `ts_ms`, None when there is none.

        What is not in memory is asked of `sealed`.
        """
        if self.catalog.newest_times[sid] == ts_ms:
            value: np.float64 = self.catalog.newest_values[sid]
            return value
        for times, values in self._pieces(sid, ts_ms):
            if times.size:
                found: np.float64 = values[0]
                return found
        return self.sealed(self.catalog.labels(sid), ts_ms)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Series]:
        """Return the samples with start <= t <= end of the series selected, in label order."""
        return self.read(self.catalog.select(matchers), start_ms, end_ms)

    def read(self, sids: SeriesIds, start_ms: int, end_ms: int) -> list[Series]:
        """Return the samples with start <= t <= end of those series that have any."""
        return self._read(sids, start_ms, end_ms).series(self.catalog.labels)

    def present(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Mask:
        """Mark the series selected that have a sample with start <= t <= end."""
        mask = np.zeros(self.catalog.size, np.bool_)
        sids = self.catalog.select(matchers)
        for group in self._groups_of(sids):
            for chunk, rows in group.between(start_ms, end_ms):
                mask[chunk.columns] |= chunk.filled(rows)
        for sid, single in self.singles(sids):
            mask[sid] |= bool(single.read(start_ms, end_ms)[0].size)
        wanted = np.zeros_like(mask)
        wanted[sids] = True
        mask &= wanted
        return mask

    # -- where series lie --------------------------------------------------------------------

    def groups(self) -> list[Group]:
        """Return every group."""
        return list(self._groups)

    def oldest_ms(self) -> int | None:
        """Return the time of the oldest sample, None when there is none. O(groups)."""
        firsts = [group.oldest for group in self._groups]
        firsts += [single.oldest for single in self._singles.values()]
        return min((first for first in firsts if first is not None), default=None)

    def group_at(self, index: int) -> Group:
        """Return a group by its index. Raises KeyError when there is none."""
        return self._groups.at(index)

    def homes(self, sids: SeriesIds) -> SeriesIds:
        """Return for each series the index of a group with samples of it, or NOWHERE."""
        self._membership.fit(self.catalog.size)
        return self._membership.homes(sids)

    def in_several_groups(self, sids: SeriesIds) -> Mask:
        """Tell for each series whether its samples lie in more than one group."""
        return self._membership.several(sids)

    def singles(self, sids: SeriesIds) -> Iterator[tuple[int, SingleSeries]]:
        """Yield those of the series that have samples outside groups, and these."""
        if not self._singles:
            return
        for sid in sids.tolist():
            single = self._singles.get(sid)
            if single is not None:
                yield sid, single

    def opened(self, parts: Iterable[Part]) -> Iterator[tuple[Part, Opening]]:
        """Yield parts with what they have to open, which is opened many at a time."""
        opening, waiting = Opening(), list[Part]()
        for part in parts:
            part.ask(opening)
            waiting.append(part)
            if opening.cells >= _OPENED_AT_ONCE:
                opening.open()
                yield from ((each, opening) for each in waiting)
                opening, waiting = Opening(), []
        opening.open()
        yield from ((each, opening) for each in waiting)

    def _read(self, sids: SeriesIds, start_ms: int, end_ms: int) -> Selection:
        selection = Selection(sids)
        slots: Slots = np.full(self.catalog.size, -1, np.int32)
        slots[sids] = np.arange(len(sids), dtype=np.int32)
        wanted, groups = slots >= 0, self._groups_of(sids)
        parts = (part for group in groups for part in group.parts(wanted, start_ms, end_ms))
        for part, opening in self.opened(parts):
            for run in part.runs(slots[part.sids], opening):
                selection.add_run(run)
        for sid, single in self.singles(sids):
            selection.add_single(int(slots[sid]), *single.read(start_ms, end_ms))
        return selection

    # -- forgetting --------------------------------------------------------------------------

    def expire(self, horizon_ms: int) -> list[int]:
        """Forget chunks and single samples that ended before `horizon_ms`.

        Return the ids of the series that thereby have no sample left; they are gone.
        """
        for group in self.groups():
            self._expire_group(group, horizon_ms)
        for sid, single in list(self._singles.items()):
            self.samples -= single.drop_before(horizon_ms)
            if not len(single):
                del self._singles[sid]
        return self.remove_empty()

    def release(self, group: Group, chunks: Sequence[Chunk]) -> int:
        """Forget the first chunks of a group as far as they are among `chunks`; say how many.

        Series left without samples stay until `remove_empty`.
        """
        if not self._groups.holds(group):
            return 0
        count = 0
        while count < min(len(chunks), len(group.chunks)) and group.chunks[count] is chunks[count]:
            count += 1
        self._forget(group, group.drop(count))
        return count

    def release_singles(
        self, singles: Iterable[tuple[int, SingleSeries, int]], horizon_ms: int
    ) -> None:
        """Forget samples before `horizon_ms` that lie in no group.

        Only of series that have as many there as the number given with them: to others a late
        sample has come, which is in no block.
        """
        for sid, single, count in singles:
            if self._singles.get(sid) is single and single.before(horizon_ms) == count:
                self.samples -= single.drop_before(horizon_ms)
                if not len(single):
                    del self._singles[sid]

    def _pieces(self, sid: int, ts_ms: int) -> Iterator[tuple[Times, Values]]:
        """Yield what each place where samples of a series lie has at a time."""
        one = np.asarray([sid], np.int32)
        wanted = np.zeros(self.catalog.size, np.bool_)
        wanted[sid] = True
        parts = (
            part for group in self._groups_of(one) for part in group.parts(wanted, ts_ms, ts_ms)
        )
        for part, opening in self.opened(parts):
            for rows in part.rows(opening):
                held = present(rows.values[:, 0])
                yield rows.times[held], rows.values[:, 0][held]
        for _, single in self.singles(one):
            yield single.read(ts_ms, ts_ms)

    def _add_singles(self, sids: SeriesIds, times: Times, values: Values) -> None:
        order = np.lexsort((times, sids))
        sids, times, values = sids[order], times[order], values[order]
        starts = np.flatnonzero(np.diff(sids, prepend=-1))
        bounds = [*starts.tolist(), len(sids)]
        for at, sid in enumerate(sids[starts].tolist()):
            single = self._singles.get(sid)
            if single is None:
                single = self._singles[sid] = SingleSeries()
            some = slice(bounds[at], bounds[at + 1])
            single.extend(times[some], values[some])

    def _took(self, sids: SeriesIds, times: Times, values: Values, homes: SeriesIds) -> None:
        """Note samples that have been put away; `homes` says in which group each, or OWN."""
        if not len(sids):
            return
        newest = self.catalog.newest_times
        np.maximum.at(newest, sids, times)
        last = newest[sids] == times
        self.catalog.newest_values[sids[last]] = values[last]
        self._count(len(sids), int(times.max()))
        self.rings.feed(sids, times, values, homes)

    def _join(self, sids: SeriesIds, group: Group) -> None:
        """Note that a group holds samples of series."""
        self._membership.fit(self.catalog.size)
        self._membership.add(sids, group.index)

    def _count(self, samples: int, newest_ms: int) -> None:
        self.samples += samples
        known = self.newest_ms
        self.newest_ms = newest_ms if known is None else max(known, newest_ms)

    def unbind(self) -> None:
        """Resolve every layout anew when it comes next."""
        for group in self._groups:
            group.binding = None

    def _expire_group(self, group: Group, horizon_ms: int) -> None:
        self._forget(group, group.drop_before(horizon_ms))

    def _forget(self, group: Group, dropped: Sequence[Chunk]) -> None:
        """Note that a group has let go of chunks."""
        self.samples -= sum(chunk.samples for chunk in dropped)
        left = {id(chunk.columns): chunk.columns for chunk in group.chunks}
        gone = {id(c.columns): c.columns for c in dropped if id(c.columns) not in left}
        if gone:
            lost = _union(gone.values())
            kept = _union(left.values())
            self._membership.discard(np.setdiff1d(lost, kept, assume_unique=True), group.index)
        if not group.chunks:
            self._groups.remove(group)
            self.rings.disown(group.index)
            self._pushed.forget_group(group.index)

    def remove_empty(self, *, at_most: int | None = None) -> list[int]:
        """Take out series that have no sample, `at_most` so many, and return their ids."""
        everyone = np.flatnonzero(self.catalog.in_use).astype(np.int32)
        self._membership.fit(self.catalog.size)
        homeless = everyone[~self._membership.anywhere(everyone)].tolist()
        gone = [sid for sid in homeless if sid not in self._singles][:at_most]
        if gone:
            dead = np.zeros(self.catalog.size, np.bool_)
            dead[gone] = True
            for group in self._groups:
                self._invalidate(group, dead)
            self.epoch += 1
            self.rings.remove(gone)
            self._pushed.fit(self.catalog.size)
            self._pushed.forget(gone)
            self.catalog.remove(gone)
        return gone

    def _invalidate(self, group: Group, dead: Mask) -> None:
        if dead[group.columns].any():
            group.binding = None
            group.columns = NO_SERIES
            group.feeds = None

    def _forget_feeds(self) -> None:
        for group in self._groups:
            group.feeds = None

    # -- groups ------------------------------------------------------------------------------

    def _groups_of(self, sids: SeriesIds) -> Iterator[Group]:
        self._membership.fit(self.catalog.size)
        return (self._groups.at(index) for index in self._membership.groups_of(sids))

    def _may_grow(self, binding: Binding, limits: Limits) -> bool:
        full = len(self.catalog) >= limits.active_series
        return Refusal.ACTIVE_SERIES in binding.refused and not full

    def _resolve(self, layout: Layout, limits: Limits) -> tuple[SeriesIds, Binding]:
        positions: dict[int, int] = {}  # by series id, in the order of the columns
        repeated: list[tuple[int, int]] = []
        refused: dict[str, int] = {}
        for position, labels in enumerate(layout.labels):
            sid = self.enter(labels, limits)
            if isinstance(sid, Refusal):
                refused[sid] = refused.get(sid, 0) + 1
            elif sid in positions:
                repeated.append((position, sid))
            else:
                positions[sid] = position
        columns = np.fromiter(positions, np.int32, len(positions))
        if len(positions) == len(layout.labels):
            return columns, Binding(layout)
        kept = np.fromiter(positions.values(), np.intp, len(positions))
        column = {sid: at for at, sid in enumerate(positions)}
        repeats = tuple((position, column[sid]) for position, sid in repeated)
        return columns, Binding(layout, kept, repeats, refused)


def _nothing_sealed(_labels: Labels, _ts_ms: int) -> np.float64 | None:
    return None


def _union(columns: Iterable[SeriesIds]) -> SeriesIds:
    return np.unique(np.concatenate((NO_SERIES, *columns)))
