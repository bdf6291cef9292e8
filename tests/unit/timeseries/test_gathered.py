"""Pieces of series become one: in order of time, each time once, the first given counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.labels import Labels
from tocsin.model.series import Times
from tocsin.timeseries import sorting
from tocsin.timeseries.gathered import Gathered, join
from tocsin.timeseries.sorting import in_order

SERIES = [Labels.of({"__name__": name}) for name in "abc"]
PIECE = st.dictionaries(st.integers(0, 30), st.floats(allow_nan=False), min_size=1)


@given(st.lists(st.integers(0, 99), max_size=200), st.sampled_from([1, 3, 50]))
def test_sorting_in_runs_gives_what_sorting_gives(items: list[int], run: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "_RUN", run)
        assert in_order(items) == sorted(items)
        assert in_order(items, lambda item: -item) == sorted(items, key=lambda item: -item)


def times(samples: dict[int, float]) -> Times:
    return np.array(sorted(samples), np.int64)


@given(st.lists(st.tuples(st.sampled_from(SERIES), PIECE)))
def test_every_series_is_the_union_of_its_pieces(
    pieces: list[tuple[Labels, dict[int, float]]],
) -> None:
    gathered = Gathered()
    expected: dict[Labels, dict[int, float]] = {}
    for labels, samples in pieces:
        gathered.add(labels, times(samples), np.array([samples[t] for t in sorted(samples)]))
        for ts, value in samples.items():
            expected.setdefault(labels, {}).setdefault(ts, value)
    found = gathered.series()
    assert [each.labels for each in found] == sorted(expected)
    for each in found:
        pairs = zip(each.times.tolist(), each.values.tolist(), strict=True)
        assert list(pairs) == sorted(expected[each.labels].items())


def test_series_with_the_same_pieces_share_their_times() -> None:
    gathered = Gathered()
    clocks = [np.array([1, 2]), np.array([3, 4]), np.array([4, 5])]
    for labels in SERIES:
        for clock in clocks:
            gathered.add(labels, clock, np.ones(2))
    found = gathered.series()
    assert found[0].times.tolist() == [1, 2, 3, 4, 5]
    assert len({id(each.times) for each in found}) == 1
    assert not found[0].times.flags.writeable
    assert not found[0].values.flags.writeable


def test_one_piece_is_given_back_as_it_is() -> None:
    piece = (np.array([1]), np.array([2.0]))
    assert join([piece]) is piece
    both = join([piece, (np.array([0, 1]), np.array([5.0, 6.0]))])
    assert [each.tolist() for each in both] == [[0, 1], [5.0, 2.0]]
    after = join([piece, (np.array([7]), np.array([5.0]))])
    assert [each.tolist() for each in after] == [[1, 7], [2.0, 5.0]]
