"""Rings: at any time they hold what the head holds, and say what changed since the last look."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.model.ring import ABSENT_BITS, Ring
from tocsin.model.sample import STALE, STALE_BITS
from tocsin.model.series import Layout
from tocsin.timeseries.head import Head
from tocsin.timeseries.live_ring import BEFORE_MS, SHALLOWEST
from tocsin.timeseries.options import Limits, Refusal
from tocsin.timeseries.ring_sources import clocks
from tocsin.timeseries.rings import IDLE_ROUNDS

LIMITS = Limits()
Bits = int
Cells = dict[Labels, dict[int, Bits]]


def labels(i: int, name: str = "up") -> Labels:
    return Labels.of({"__name__": name, "i": str(i), "job": "ab"[i % 2]})


def layout(*ids: int, group: str = "g", name: str = "up") -> Layout:
    return Layout(group, tuple(labels(i, name) for i in ids))


def new_head(ring_bytes: int = 1 << 30) -> Head:
    return Head(chunk_slots=4, ring_bytes=ring_bytes)


def push(head: Head, samples: Iterable[tuple[int, int, float]]) -> None:
    """Put samples (series, time, value) where pushed ones belong; none may be there already."""
    ids, times, values = zip(*samples, strict=True)
    sids = [head.enter(labels(i), LIMITS) for i in ids]
    head.add_batch(
        head.arrange(np.array(sids, np.int32), np.array(times), np.array(values, np.float64))
    )


def put(head: Head, which: Layout, ts_ms: int, *values: float) -> None:
    group, _ = head.bind(which, LIMITS)
    assert head.fits(group, ts_ms)
    head.add_row(group, ts_ms, np.array(values, np.float64))


def put_single(head: Head, i: int, ts_ms: int, value: float) -> None:
    sid = head.enter(labels(i), LIMITS)
    assert not isinstance(sid, Refusal)
    head.add_samples(np.array([sid], np.int32), np.array([ts_ms]), np.array([value]))


def ask(head: Head, depth_ms: int, metric: str = "up") -> Ring | None:
    found = head.rings.find(metric, depth_ms)
    if found is not None or head.rings.refused(metric, depth_ms):
        return found
    deepest = max(depth_ms, head.rings.depth(metric))
    sids = head.catalog.select([matcher("__name__", "=", metric)])
    return head.rings.build(metric, sids, clocks(head, sids, deepest), depth_ms=deepest)


def ring_of(head: Head, depth_ms: int, metric: str = "up") -> Ring:
    ring = ask(head, depth_ms, metric)
    assert ring is not None
    return ring


def rows_left(ring: Ring, clock: int) -> list[int]:
    written = int(ring.written[clock])
    rows = range(max(0, written - ring.depth), written)
    return [row for row in rows if ring.times[row % ring.depth, clock] != BEFORE_MS]


def cell(ring: Ring, row: int, column: int) -> Bits:
    return int(ring.values.view(np.uint64)[row % ring.depth, column])


def cells(ring: Ring) -> Cells:
    """Return what a ring holds, by series and time."""
    found: Cells = {}
    for column, series in enumerate(ring.labels):
        clock = int(ring.origin[column])
        held = {row: cell(ring, row, column) for row in rows_left(ring, clock)}
        found[series] = {
            int(ring.times[row % ring.depth, clock]): bits
            for row, bits in held.items()
            if bits != ABSENT_BITS
        }
    return found


def series_of(head: Head, metric: str = "up") -> Cells:
    found = head.select([matcher("__name__", "=", metric)], -(10**6), 10**6)
    return {
        s.labels: dict(zip(s.times.tolist(), s.values.view(np.uint64).tolist(), strict=True))
        for s in found
    }


def check(ring: Ring, head: Head, depth_ms: int, ever: Cells) -> None:
    """A ring holds what the head holds, `depth_ms` back from its newest, and nothing else."""
    held = cells(ring)
    assert len(held) == len(ring.labels)
    for clock in range(ring.clocks):
        times = [ring.times[row % ring.depth, clock] for row in rows_left(ring, clock)]
        assert times == sorted(set(times))
    everything = series_of(head)
    newest = max((max(samples) for samples in everything.values()), default=0)
    for series, samples in everything.items():
        for ts, bits in samples.items():
            assert ts <= newest - depth_ms or held[series][ts] == bits
    for series, samples in held.items():
        assert samples.items() <= ever[series].items()


@dataclass
class Reader:
    """Looks again only at what a ring says has changed."""

    known: dict[tuple[int, int], Bits] = field(default_factory=dict)  # by column and row
    seen: tuple[int, int] = (-1, -1)
    written: list[int] = field(default_factory=list)
    columns: int = 0

    def look(self, ring: Ring) -> None:
        if ring.epoch != self.seen[0]:
            self.known, self.written, self.columns = {}, [], 0
        for column in range(len(ring.labels)):
            clock = int(ring.origin[column])
            upto = self.written[clock] if clock < len(self.written) else 0
            again = ring.fills != self.seen[1] and ring.filled[column] >= 0
            first = 0 if again or column >= self.columns else upto
            for row in rows_left(ring, clock):
                if row >= first:
                    self.known[column, row] = cell(ring, row, column)
        self.seen = (ring.epoch, ring.fills)
        self.written = ring.written[: ring.clocks].tolist()
        self.columns = len(ring.labels)

    def agrees(self, ring: Ring) -> bool:
        return all(
            self.known[column, row] == cell(ring, row, column)
            for column in range(len(ring.labels))
            for row in rows_left(ring, int(ring.origin[column]))
        )


SERIES = st.integers(0, 5)
VALUES = st.sampled_from([0.0, -0.0, 1.0, STALE, float("nan")])


class RingMachine(RuleBasedStateMachine):
    """Appends of every kind; after each, head and ring are held against what was appended."""

    slots, at_once = 4, 1

    def __init__(self) -> None:
        super().__init__()
        self.head = Head(chunk_slots=self.slots, pack_at_once=self.at_once)
        self.horizon = -(10**6)
        self.ever: Cells = {labels(i): {} for i in range(6)}
        self.depth_ms = 5
        self.now = 0
        self.reader = Reader()
        self.ring: Ring | None = None

    @rule(
        group=st.sampled_from("ggh"),
        ids=st.lists(SERIES, unique=True, min_size=1, max_size=4),
        steps=st.lists(st.integers(1, 9), min_size=1, max_size=30),
        value=VALUES,
    )
    def rows(self, group: str, ids: list[int], steps: list[int], value: float) -> None:
        which = Layout(group, tuple(labels(i) for i in ids))
        for step in steps:
            self.now += step
            bound, _ = self.head.bind(which, LIMITS)
            if self.head.fits(bound, self.now):
                put(self.head, which, self.now, *[value] * len(ids))
                for i in ids:
                    self.note(i, self.now, value)

    @rule(i=SERIES, back=st.integers(-4, 40), value=VALUES)
    def single(self, i: int, back: int, value: float) -> None:
        ts = self.now - back
        if ts not in self.ever[labels(i)]:
            put_single(self.head, i, ts, value)
            self.note(i, ts, value)

    @rule(
        samples=st.lists(
            st.tuples(SERIES, st.integers(-6, 30)), unique=True, min_size=1, max_size=30
        ),
        value=VALUES,
        on=st.integers(0, 9),
    )
    def push(self, samples: list[tuple[int, int]], value: float, on: int) -> None:
        self.now += on
        fresh = [(i, self.now - back, value) for i, back in samples]
        fresh = [each for each in fresh if each[1] not in self.ever[labels(each[0])]]
        if fresh:
            push(self.head, fresh)
        for each in fresh:
            self.note(*each)

    @rule(ids=st.sets(SERIES, min_size=1), rows=st.integers(1, 40), value=VALUES)
    def push_rows(self, ids: set[int], rows: int, value: float) -> None:
        for _ in range(rows):
            self.now += 1
            if any(self.now in self.ever[labels(i)] for i in ids):
                continue
            push(self.head, [(i, self.now, value) for i in ids])
            for i in ids:
                self.note(i, self.now, value)

    @rule(depth_ms=st.sampled_from([1, 5, 40, 200]))
    def deepen(self, depth_ms: int) -> None:
        self.depth_ms = max(depth_ms, self.depth_ms)

    @rule(back=st.integers(0, 300))
    def expire(self, back: int) -> None:
        self.horizon = max(self.horizon, self.now - back)
        self.head.expire(self.now - back)
        self.head.rings.age()

    @rule()
    def spoil(self) -> None:
        self.head.rings.spoil()

    @invariant()
    def the_head_has_what_was_appended(self) -> None:
        found = series_of(self.head)
        assert sum(map(len, found.values())) == self.head.samples
        for series, samples in self.ever.items():
            kept = found.get(series, {})
            assert kept.items() <= samples.items()
            assert all(ts in kept for ts in samples if ts >= self.horizon)
            assert list(kept) == sorted(kept)

    @invariant()
    def the_ring_is_right(self) -> None:
        ring = ring_of(self.head, self.depth_ms)
        if ring is not self.ring:
            self.reader, self.ring = Reader(), ring
        check(ring, self.head, self.depth_ms, self.ever)
        self.reader.look(ring)
        assert self.reader.agrees(ring)

    def note(self, i: int, ts: int, value: float) -> None:
        self.ever[labels(i)][ts] = int(np.array([value]).view(np.uint64)[0])


class LongChunksMachine(RingMachine):
    """The same with chunks of more rows than stay open, packed many at a time."""

    slots, at_once = 40, 300


_EFFORT = settings(max_examples=40, stateful_step_count=20, deadline=None)

TestRingsFollowTheHead = RingMachine.TestCase
TestRingsFollowTheHead.settings = _EFFORT
TestRingsFollowLongChunks = LongChunksMachine.TestCase
TestRingsFollowLongChunks.settings = _EFFORT


def times_of(ring: Ring, i: int) -> list[int]:
    return sorted(cells(ring)[labels(i)])


def test_columns_of_one_group_lie_side_by_side_and_share_a_clock() -> None:
    head = new_head()
    put(head, layout(0, 1, group="a"), 1, 1, 1)
    put(head, layout(2, 3, group="b"), 2, 1, 1)
    put_single(head, 4, 3, 1)
    ring = ring_of(head, 10)
    assert [series["i"] for series in ring.labels] == ["0", "1", "2", "3", "4"]
    assert ring.origin[:5].tolist() == [0, 0, 1, 1, 2]
    assert ring.written[:3].tolist() == [1, 1, 1]
    assert (ring.depth, ring.clocks, ring.epoch) == (SHALLOWEST, 3, 1)


def test_the_same_ring_comes_back_and_takes_what_is_appended() -> None:
    head = new_head()
    put(head, layout(0, 1), 1, 1, 2)
    ring = ring_of(head, 10)
    version = ring.version
    put(head, layout(0, 1), 2, 3, STALE)
    assert ring_of(head, 10) is ring
    assert ring.version > version
    assert cells(ring)[labels(1)] == {1: cells(ring)[labels(1)][1], 2: STALE_BITS}
    assert ring.epoch == 1


def test_a_metric_nobody_has_written_is_a_ring_that_fills_as_series_appear() -> None:
    head = new_head()
    ring = ring_of(head, 10)
    assert (ring.labels, ring.clocks) == ([], 0)
    put(head, layout(0, 1), 1, 1, 2)
    put(head, layout(5, name="other", group="o"), 1, 1)
    put_single(head, 2, 4, 4)
    assert ring_of(head, 10) is ring
    assert {series["i"]: sorted(held) for series, held in cells(ring).items()} == {
        "0": [1],
        "1": [1],
        "2": [4],
    }
    assert ring.epoch == 1


def test_a_new_series_is_a_column_at_the_end_without_earlier_samples() -> None:
    head = new_head()
    put(head, layout(0, 1), 1, 1, 2)
    ring = ring_of(head, 10)
    put(head, layout(0, 7, 1), 2, 1, 9, 2)
    assert [series["i"] for series in ring.labels] == ["0", "1", "7"]
    assert (times_of(ring, 7), times_of(ring, 1)) == ([2], [1, 2])
    assert ring.epoch == 1


def test_a_row_that_is_written_over_keeps_nothing_of_series_that_left() -> None:
    head = new_head()
    put(head, layout(0, 1), 1, 1, 2)
    ring = ring_of(head, 5)
    for ts in range(2, 2 + SHALLOWEST * 2):
        put(head, layout(0), ts, ts)
    assert ring.depth == SHALLOWEST
    assert times_of(ring, 1) == []


def test_a_ring_gets_deeper_while_its_rows_are_still_within_reach() -> None:
    head = new_head()
    put(head, layout(0), 0, 0)
    ring = ring_of(head, 100)
    for ts in range(1, 121):
        put(head, layout(0), ts, ts)
    assert ring.depth == 128
    assert ring.epoch == 1
    assert times_of(ring, 0)[-100:] == list(range(21, 121))


def test_asking_for_more_builds_the_same_ring_anew() -> None:
    head = new_head()
    for ts in range(100):
        put(head, layout(0), ts, ts)
    ring = ring_of(head, 10)
    assert times_of(ring, 0)[0] == 89
    assert ring_of(head, 60) is ring
    assert ring.epoch == 2
    assert times_of(ring, 0)[0] == 39
    assert ring_of(head, 10) is ring
    assert ring.epoch == 2


def test_a_sample_put_into_a_row_that_has_begun_is_said_to_be() -> None:
    head = new_head()
    put(head, layout(0, 1), 1, 1, 1)
    ring = ring_of(head, 10)
    put(head, layout(0), 2, 2)
    put_single(head, 1, 2, 22)
    assert (ring.filled[:2].tolist(), ring.fills, ring.epoch) == ([-1, 1], 1, 1)
    assert times_of(ring, 1) == [1, 2]


def test_a_late_sample_between_rows_moves_the_epoch() -> None:
    head = new_head()
    for ts in (10, 20, 30):
        put(head, layout(0, 1), ts, ts, ts)
    ring = ring_of(head, 100)
    put_single(head, 1, 15, 15)
    assert ring.epoch == 2
    assert times_of(ring, 1) == [10, 15, 20, 30]
    assert times_of(ring, 0) == [10, 20, 30]


def test_a_sample_older_than_the_ring_reaches_changes_nothing() -> None:
    head = new_head()
    put(head, layout(0), 100, 1)
    ring = ring_of(head, 10)
    put_single(head, 0, 5, 1)
    assert (ring.epoch, times_of(ring, 0)) == (1, [100])


def test_a_series_that_moves_to_another_group_gets_a_clock_of_its_own() -> None:
    head = new_head()
    put(head, layout(0, 1, group="a"), 1, 1, 1)
    ring = ring_of(head, 10)
    put(head, layout(1, group="b"), 2, 2)
    assert ring_of(head, 10) is ring
    assert ring.epoch == 2
    assert times_of(ring, 1) == [1, 2]
    put(head, layout(0, 1, group="a"), 3, 3, 3)
    put(head, layout(1, group="b"), 4, 4)
    assert (times_of(ring, 0), times_of(ring, 1)) == ([1, 3], [1, 2, 3, 4])
    assert ring_of(head, 10).epoch == 2


def test_single_samples_that_crowd_a_clock_get_one_of_their_own() -> None:
    head = new_head()
    put(head, layout(0, 1), 0, 0, 0)
    ring = ring_of(head, 100)
    for ts in range(1, SHALLOWEST // 4 + 2):
        put_single(head, 1, ts, ts)
    assert ring_of(head, 100).epoch == 2
    assert ring.clocks == 2
    assert times_of(ring, 1) == list(range(SHALLOWEST // 4 + 2))


def test_a_ring_of_mostly_dead_series_is_built_anew_without_them() -> None:
    head = new_head()
    put(head, layout(*range(8)), 1, *[1] * 8)
    ring = ring_of(head, 10)
    put(head, layout(0, 1, 2, 3, 4), 9, *[9] * 5)
    head.expire(5)
    assert len(ring.labels) == 8
    assert len(ring_of(head, 10).labels) == 5


def test_a_series_that_comes_back_after_it_was_forgotten_has_one_column() -> None:
    head = new_head()
    put(head, layout(*range(8)), 1, *[1] * 8)
    ring = ring_of(head, 10)
    put(head, layout(*range(7)), 9, *[9] * 7)
    head.expire(5)
    put(head, layout(*range(8)), 10, *[10] * 8)
    assert ring_of(head, 10) is ring
    assert [series["i"] for series in ring.labels] == [str(i) for i in range(8)]
    assert times_of(ring, 7) == [10]


def test_a_group_that_ended_leaves_its_index_to_another() -> None:
    head = new_head()
    put(head, layout(0, group="a"), 1, 1)
    put_single(head, 0, 2, 2)
    ring = ring_of(head, 10)
    head.expire(2)
    put(head, layout(1, group="b"), 3, 3)
    put(head, layout(0, group="b"), 4, 4)
    ring = ring_of(head, 10)
    assert (times_of(ring, 0), times_of(ring, 1)) == ([1, 2, 4], [3])


def test_a_ring_that_nobody_asks_for_is_dropped() -> None:
    head = new_head()
    put(head, layout(0), 1, 1)
    ring = ring_of(head, 10)
    for _ in range(IDLE_ROUNDS):
        head.rings.age()
    assert ring_of(head, 10) is ring
    for _ in range(IDLE_ROUNDS + 1):
        head.rings.age()
    assert head.rings.size == 0
    put(head, layout(0), 2, 2)
    assert times_of(ring, 0) == [1]
    again = ring_of(head, 10)
    assert again is not ring
    assert times_of(again, 0) == [1, 2]


def test_one_ring_too_many_is_refused_until_the_next_ageing() -> None:
    head = new_head(ring_bytes=1000)
    put(head, layout(0), 1, 1)
    put(head, layout(0, group="o", name="other"), 1, 1)
    ring = ring_of(head, 10)
    assert ask(head, 10, "other") is None
    assert head.rings.refused("other", 10)
    assert ring_of(head, 10) is ring
    for _ in range(IDLE_ROUNDS + 1):
        head.rings.age()
    assert ask(head, 10, "other") is not None


def test_a_ring_that_cannot_grow_is_given_up(subtests: pytest.Subtests) -> None:
    def rows(head: Head) -> None:
        for ts in range(2, 90):
            put(head, layout(0), ts, ts)

    def columns(head: Head) -> None:
        put(head, layout(*range(40)), 2, *[2] * 40)

    def single_clocks(head: Head) -> None:
        for i in range(1, 40):
            put_single(head, i, 2, 2)

    def late_rows(head: Head) -> None:
        for ts in range(40, 80):
            put(head, layout(0), ts, ts)
        for ts in range(3, 30):
            put_single(head, 0, ts, ts)

    for growth in (rows, columns, single_clocks, late_rows):
        with subtests.test(growth.__name__):
            head = new_head(ring_bytes=1000)
            put(head, layout(0), 1, 1)
            ring_of(head, 100)
            growth(head)
            assert ask(head, 100) is None
            assert head.rings.size == 0
            assert ask(head, 100) is None


def test_a_ring_that_cannot_get_deeper_stays_as_it_is_for_others() -> None:
    head = new_head(ring_bytes=1000)
    for ts in range(200):
        put(head, layout(0), ts, ts)
    ring = ring_of(head, 10)
    assert ask(head, 150) is None
    assert ring_of(head, 10) is ring


def test_rings_of_one_head_take_their_own_series_only() -> None:
    head = new_head()
    put(head, layout(0, 1), 1, 1, 1)
    up = ring_of(head, 10)
    other = ring_of(head, 10, "other")
    put(head, Layout("g", (labels(0), labels(0, "other"), labels(1))), 2, 1, 2, 3)
    assert [series["__name__"] for series in (*up.labels, *other.labels)] == ["up", "up", "other"]
    assert cells(other)[labels(0, "other")].keys() == {2}
