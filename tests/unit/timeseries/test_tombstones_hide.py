"""What is hidden of a series, and what is not."""

from __future__ import annotations

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.model.series import Series
from tocsin.timeseries.tombstones import Hidden, cut, visible

UP, DOWN = (Labels.of({"__name__": name}) for name in ("up", "down"))
TIMES = np.arange(10)


def hidden(start: int, end: int, name: str = "up") -> Hidden:
    return Hidden((matcher("__name__", "=", name),), start, end)


def series(labels: Labels = UP) -> Series:
    return Series(labels, TIMES, TIMES.astype(np.float64))


def test_samples_in_range_are_hidden_both_ends_included() -> None:
    (found,) = cut([series()], [hidden(2, 4), hidden(8, 99)])
    assert found.times.tolist() == found.values.tolist() == [0, 1, 5, 6, 7]


def test_other_series_and_times_stay_as_they_are() -> None:
    given = [series(), series(DOWN)]
    found = cut(given, [hidden(20, 30), hidden(-5, -1)])
    assert list(map(id, found)) == list(map(id, given))
    assert visible(TIMES, []) is None
    assert visible(TIMES, [hidden(11, 12)]) is None


def test_a_series_with_nothing_left_is_left_out() -> None:
    (left,) = cut([series(), series(DOWN)], [hidden(0, 9)])
    assert left.labels == DOWN
