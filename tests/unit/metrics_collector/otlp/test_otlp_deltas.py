"""Deltas add up to counters: in order, once each, within bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tocsin.metrics_collector.otlp.deltas import FORGET, Deltas, Summed
from tocsin.metrics_collector.otlp.points import Block
from tocsin.model.labels import Labels

NOW = 1_000_000.0
SERIES = [Labels.of({"n": str(n)}) for n in range(5_000)]


def block(*points: tuple[int | Sequence[int], int, float | Sequence[float]]) -> Block:
    """Return points of (slots, time, values)."""
    slots = [[slot] if isinstance(slot, int) else slot for slot, _, _ in points]
    values = [[value] if isinstance(value, int | float) else value for _, _, value in points]
    nanos = np.array([at for _, at, _ in points], np.uint64)
    return Block(np.array(slots, np.int32), nanos, np.array(values, np.float64), delta=True)


def add(deltas: Deltas, given: Block, *, now_s: float = NOW) -> Summed:
    summed = deltas.add(given, SERIES, now_s=now_s)
    deltas.settle(keep=True)
    return summed


def sums(summed: Summed) -> list[tuple[int, int, list[float]]]:
    return [
        (int(slots[0]), int(nanos), values.tolist())
        for each in summed.blocks
        for slots, nanos, values in zip(each.slots, each.nanos, each.values, strict=True)
    ]


def test_a_series_starts_at_its_first_delta_and_goes_on() -> None:
    deltas = Deltas()
    assert sums(add(deltas, block((1, 10, 5.0), (2, 10, 1.0)))) == [(1, 10, [5]), (2, 10, [1])]
    assert sums(add(deltas, block((1, 20, 2.5), (2, 21, 0.0)))) == [(1, 20, [7.5]), (2, 21, [1])]
    assert len(deltas) == 2


def test_the_result_is_no_delta_any_more() -> None:
    (made,) = add(Deltas(), block((1, 10, 5.0))).blocks
    assert not made.delta


def test_a_histogram_adds_up_column_by_column() -> None:
    deltas = Deltas()
    add(deltas, block(([1, 2, 3], 10, [1, 3, 4.5])))
    assert sums(add(deltas, block(([1, 2, 3], 11, [0, 2, 0.5])))) == [(1, 11, [1, 5, 5])]


def test_a_point_sent_twice_counts_once() -> None:
    deltas = Deltas()
    add(deltas, block((1, 10, 5.0)))
    again = add(deltas, block((1, 10, 5.0)))
    assert (again.blocks, again.refused) == ([], {})
    assert sums(add(deltas, block((1, 11, 1.0)))) == [(1, 11, [6])]


def test_a_point_older_than_the_last_is_refused() -> None:
    deltas = Deltas()
    add(deltas, block((1, 10, 5.0)))
    late = add(deltas, block((1, 9, 1.0), (2, 9, 1.0)))
    assert late.refused == {"delta_out_of_order": 1}
    assert sums(late) == [(2, 9, [1])]


def test_several_points_of_a_series_in_one_request_add_up_by_time() -> None:
    summed = add(Deltas(), block((1, 30, 4.0), (2, 10, 9.0), (1, 10, 1.0), (1, 20, 2.0)))
    assert sorted(sums(summed)) == [(1, 10, [1]), (1, 20, [3]), (1, 30, [7]), (2, 10, [9])]


def test_what_could_not_be_stored_counts_when_it_comes_again() -> None:
    deltas = Deltas()
    add(deltas, block((1, 10, 5.0)))
    deltas.add(block((1, 20, 1.0), (1, 30, 2.0)), SERIES, now_s=NOW)
    deltas.settle(keep=False)
    assert sums(add(deltas, block((1, 20, 1.0)))) == [(1, 20, [6])]


def test_there_is_a_most_of_sums() -> None:
    deltas = Deltas(most=2)
    summed = add(deltas, block(([1, 2], 1, [1, 1]), ([3, 4], 1, [1, 1])))
    assert summed.refused == {"delta_series_limit": 1}
    assert sums(summed) == [(1, 1, [1, 1])]
    assert sums(add(deltas, block(([1, 2], 2, [1, 1])))) == [(1, 2, [2, 2])]


def test_nothing_fits_when_there_is_no_room_at_all() -> None:
    summed = add(Deltas(most=0), block((1, 1, 1.0)))
    assert (summed.blocks, summed.refused) == ([], {"delta_series_limit": 1})


def test_room_is_made_as_series_come() -> None:
    deltas = Deltas()
    everything = block(*((n, 1, float(n)) for n in range(len(SERIES))))
    add(deltas, everything)
    assert len(deltas) == len(SERIES)
    assert [made[2] for made in sums(add(deltas, block((4_999, 2, 1.0), (0, 2, 1.0))))] == [
        [5_000],
        [1],
    ]


def test_a_series_that_was_silent_for_long_starts_again() -> None:
    deltas, later = Deltas(), NOW + FORGET.total_seconds()
    add(deltas, block((1, 10, 5.0), (2, 10, 7.0)))
    add(deltas, block((2, 11, 1.0)), now_s=later - 1)
    deltas.tidy(later + 1)
    assert len(deltas) == 1
    assert sums(add(deltas, block((1, 20, 1.0), (2, 20, 1.0)))) == [(1, 20, [1]), (2, 20, [9])]


def test_it_is_tidied_once_a_minute_and_only_when_need_be() -> None:
    deltas, later = Deltas(), NOW + 2 * FORGET.total_seconds()
    add(deltas, block((1, 10, 5.0)))
    deltas.tidy(NOW)
    deltas.tidy(NOW + 61)
    assert len(deltas) == 1
    deltas.tidy(later)
    assert len(deltas) == 0
    add(deltas, block((1, 20, 5.0)), now_s=NOW)
    deltas.tidy(later + 1)
    assert len(deltas) == 1


def test_sums_stay_when_series_are_numbered_anew() -> None:
    deltas = Deltas()
    add(deltas, block((1, 10, 5.0)))
    deltas.forget_slots()
    turned = list(reversed(SERIES[:3]))
    summed = deltas.add(block((1, 20, 1.0), (0, 20, 2.0)), turned, now_s=NOW)
    assert sums(summed) == [(1, 20, [6]), (0, 20, [2])]


points = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(0, 100).map(float)),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(points, min_size=1, max_size=4))
def test_sums_are_those_of_adding_one_by_one(
    requests: list[list[tuple[int, int, float]]],
) -> None:
    deltas, totals, last = Deltas(), dict[int, float](), dict[int, int]()
    for given_points in requests:
        expected, refused = [], 0
        for slot, at, value in sorted(given_points, key=lambda point: (point[0], point[1])):
            if at > last.get(slot, 0):
                totals[slot] = totals.get(slot, 0.0) + value
                last[slot] = at
                expected.append((slot, at, [totals[slot]]))
            else:
                refused += at < last[slot]
        summed = add(deltas, block(*given_points))
        assert sorted(sums(summed)) == sorted(expected)
        assert summed.refused == ({"delta_out_of_order": refused} if refused else {})


def test_an_empty_block_is_nothing() -> None:
    empty = Block(np.empty((0, 1), np.int32), np.empty(0, np.uint64), np.empty((0, 1)), delta=True)
    assert add(Deltas(), empty) == Summed()


def test_points_of_one_series_keep_the_order_of_their_times() -> None:
    rng = np.random.default_rng(1)
    order = rng.permutation(50)
    summed = add(Deltas(), block(*((7, int(at) + 1, 1.0) for at in order)))
    assert sums(summed) == [(7, at + 1, [at + 1]) for at in range(50)]


def test_settling_without_anything_added_is_harmless() -> None:
    deltas = Deltas()
    deltas.settle(keep=True)
    deltas.settle(keep=False)
    assert len(deltas) == 0
