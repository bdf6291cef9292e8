"""Pushed samples: the parts of a row meet in it, whatever the order in which they come."""

from collections.abc import Iterable

import numpy as np
import pytest

from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.model.ring import ABSENT_BITS
from tocsin.model.series import Layout
from tocsin.timeseries.group import KEEP, Group
from tocsin.timeseries.head import Head
from tocsin.timeseries.options import Limits
from tocsin.timeseries.pushed import origin, positions

LIMITS = Limits()
UP = matcher("__name__", "=", "up")
Content = dict[str, list[int]]


def labels(i: int, instance: str = "x") -> Labels:
    return Labels.of({"__name__": "up", "i": str(i), "job": "j", "instance": instance})


def push(head: Head, ts_ms: int, ids: Iterable[int], instance: str = "x") -> None:
    sids = np.array([head.enter(labels(i, instance), LIMITS) for i in ids], np.int32)
    batch = head.arrange(sids, np.full(len(sids), ts_ms), sids.astype(np.float64))
    head.add_batch(batch)


def read(head: Head, start_ms: int = -(10**6), end_ms: int = 10**6) -> Content:
    return {s.labels["i"]: s.times.tolist() for s in head.select([UP], start_ms, end_ms)}


def group_of(head: Head, instance: str = "x") -> Group:
    return head.group(origin(labels(0, instance)))


def singles(head: Head) -> int:
    return sum(1 for _ in head.singles(np.arange(head.catalog.size, dtype=np.int32)))


def test_parts_of_a_row_lie_in_one_row() -> None:
    head = Head(chunk_slots=128)
    push(head, 10, [0, 1])
    push(head, 10, [2, 3, 4])
    push(head, 20, [4])
    push(head, 20, [0, 3])
    (chunk,) = group_of(head).chunks
    assert (chunk.used, chunk.samples, len(chunk.columns)) == (2, 8, 5)
    assert read(head) == {"0": [10, 20], "1": [10], "2": [10], "3": [10, 20], "4": [10, 20]}
    assert (head.samples, singles(head)) == (8, 0)


def test_origins_have_rows_of_their_own() -> None:
    head = Head(chunk_slots=128)
    push(head, 10, [0, 1], "x")
    push(head, 11, [0, 1], "y")
    assert [group_of(head, each).newest for each in "xy"] == [10, 11]
    assert origin(Labels.of({"job": "a/b", "instance": "c"})) != origin(
        Labels.of({"job": "a", "instance": "b/c"})
    )


def test_a_late_part_is_put_into_its_row_or_a_row_between_while_rows_are_open() -> None:
    head = Head(chunk_slots=128)
    for ts in (10, 20, 30):
        push(head, ts, [0])
    push(head, 20, [1])
    push(head, 25, [1])
    push(head, 5, [2])
    (chunk,) = group_of(head).chunks
    assert chunk.times.tolist() == [5, 10, 20, 25, 30]
    assert read(head) == {"0": [10, 20, 30], "1": [20, 25], "2": [5]}
    assert (singles(head), group_of(head).oldest) == (0, 5)


def test_what_was_read_stays_as_it_was() -> None:
    head = Head(chunk_slots=128)
    for ts in (10, 20, 30):
        push(head, ts, [0, 1])
    before = head.select([UP], 0, 100)
    push(head, 15, [1])
    push(head, 30, [2])
    assert [(s.times.tolist(), s.values.tolist()) for s in before] == [
        ([10, 20, 30], [0.0] * 3),
        ([10, 20, 30], [1.0] * 3),
    ]


def test_a_part_that_comes_when_its_row_is_packed_is_kept_beside() -> None:
    head = Head(chunk_slots=128, pack_at_once=1)
    everyone = range(40)
    for ts in range(100):
        push(head, ts, everyone)
    (chunk,) = group_of(head).chunks
    assert chunk.packed == 80
    push(head, 3, [40])
    push(head, 90, [40])
    assert singles(head) == 1
    assert read(head)["40"] == [3, 90]
    assert read(head, 3, 3)["40"] == [3]


def test_a_sender_that_lags_behind_finds_the_rows_of_the_chunk_before_open() -> None:
    head = Head(chunk_slots=32)
    for ts in range(40):
        push(head, ts, range(0, 20))
        if ts >= 10:
            push(head, ts - 10, range(20, 40))
    assert [chunk.used for chunk in group_of(head).chunks] == [32, 8]
    assert singles(head) == 0
    assert read(head)["30"] == list(range(30))
    push(head, 31, [99])
    assert (singles(head), read(head)["99"]) == (1, [31])


def test_a_series_that_ended_has_no_column_in_later_chunks() -> None:
    head = Head(chunk_slots=20)
    push(head, 0, [0, 1, 2])
    for ts in range(1, 45):
        push(head, ts, [0, 2])
    chunks = group_of(head).chunks
    assert [len(chunk.columns) for chunk in chunks] == [3, 3, 2]
    push(head, 50, [1])
    assert read(head)["1"] == [0, 50]
    assert singles(head) == 0
    head.expire(40)
    assert read(head) == {"0": list(range(40, 45)), "1": [50], "2": list(range(40, 45))}


def test_series_of_an_origin_without_a_common_clock_do_not_make_rows_for_ever() -> None:
    head = Head(chunk_slots=128)
    wide = range(200)
    for ts in range(10 * KEEP):
        push(head, 1000 + ts, [wide[ts % 200]])
    assert sum(chunk.used for chunk in group_of(head).chunks) < 5 * KEEP
    assert singles(head) > 50
    assert head.samples == 10 * KEEP
    for ts in range(3 * KEEP):
        push(head, 5000 + ts, wide)
    push(head, 6000, [0])
    assert group_of(head).newest == 6000
    assert read(head, 5000, 9000)["7"] == list(range(5000, 5000 + 3 * KEEP))


def test_readers_see_no_cell_that_holds_no_sample() -> None:
    head = Head(chunk_slots=16, pack_at_once=1)
    for ts in range(60):
        push(head, ts, [ts % 3, 3])
    for window in [(0, 59), (0, 2), (14, 17), (31, 31), (40, 59)]:
        expected = {
            str(i): [ts for ts in range(window[0], window[1] + 1) if i in (3, ts % 3)]
            for i in range(4)
        }
        assert read(head, *window) == {i: times for i, times in expected.items() if times}
        marked = head.present([UP], *window)
        found = [head.catalog.labels(sid)["i"] for sid in np.flatnonzero(marked).tolist()]
        assert sorted(found) == [i for i, times in expected.items() if times]
    for series in head.select([UP], 0, 99):
        assert ABSENT_BITS not in series.values.view(np.uint64).tolist()
    assert head.value_at(0, 3) == 0.0
    assert head.value_at(0, 4) is None


def test_series_with_samples_at_the_same_times_share_the_array_of_times() -> None:
    head = Head(chunk_slots=128)
    push(head, 1, range(10))
    push(head, 2, range(5))
    found = head.select([UP], 0, 9)
    assert len({id(s.times) for s in found}) == 2


def test_a_group_of_pushed_series_is_forgotten_with_its_last_sample_and_may_come_back() -> None:
    head = Head(chunk_slots=128)
    push(head, 1, [0, 1])
    push(head, 1, [0], "y")
    push(head, 9, [0], "y")
    epoch = head.epoch
    assert sorted(head.expire(5)) == [0, 1]
    assert head.epoch > epoch
    push(head, 10, [2, 1])
    push(head, 10, [1], "y")
    assert {str(s.labels): s.times.tolist() for s in head.select([UP], 0, 99)} == {
        str(labels(0, "y")): [1, 9],
        str(labels(1)): [10],
        str(labels(1, "y")): [10],
        str(labels(2)): [10],
    }


def test_a_part_of_a_layout_row_is_kept_in_its_group() -> None:
    head = Head(chunk_slots=128)
    which = Layout("g", tuple(labels(i) for i in range(4)))
    group, _ = head.bind(which, LIMITS)
    head.add_part(group, 5, group.columns[[1, 3]], np.array([1.0, 3.0]))
    head.add_row(group, 6, np.zeros(4))
    head.add_part(group, 6 + 1, group.columns[[0]], np.array([9.0]))
    assert read(head) == {"0": [6, 7], "1": [5, 6], "2": [6], "3": [5, 6]}
    assert singles(head) == 0
    other = Layout("g", tuple(labels(i) for i in range(5)))
    group, _ = head.bind(other, LIMITS)
    head.add_part(group, 5, group.columns[[4]], np.array([4.0]))
    assert (read(head)["4"], singles(head)) == ([5], 1)


def test_positions_of_series_in_columns() -> None:
    columns = np.array([5, 2, 9], np.int32)
    assert positions(columns, np.array([9, 4, 5, 100], np.int32)).tolist() == [2, -1, 0, -1]


@pytest.mark.parametrize("scatter", [False, True])
def test_a_batch_may_come_in_any_order(*, scatter: bool) -> None:
    head, rng = Head(chunk_slots=128), np.random.default_rng(5)
    sids = np.array(
        [head.enter(labels(i, each), LIMITS) for each in "abcd" for i in range(20)], np.int32
    )
    all_sids, times = np.repeat(sids, 3), np.tile(np.array([10, 20, 30]), len(sids))
    order = rng.permutation(len(times)) if scatter else np.lexsort((all_sids, times))
    batch = head.arrange(all_sids[order], times[order], np.ones(len(times)))
    assert len(batch) == 240
    head.add_batch(batch)
    assert [group_of(head, each).chunks[0].samples for each in "abcd"] == [60] * 4
    assert read(head)["7"] == [10, 20, 30]
    assert singles(head) == 0
