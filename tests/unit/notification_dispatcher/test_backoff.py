"""Retries come soon at first, then rarely."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.notification_dispatcher.backoff import delay


def longest(attempt: int) -> float:
    return delay(attempt, lambda: 1.0).total_seconds()


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 0.4), (2, 0.6), (3, 0.9), (13, 51.899), (14, 60), (23, 60)]
)
def test_the_wait_grows_by_half_up_to_a_minute(attempt: int, seconds: float) -> None:
    assert longest(attempt) == pytest.approx(seconds, abs=0.001)


def test_after_some_ten_minutes_it_is_five() -> None:
    assert longest(24) == 300
    assert sum(longest(n) for n in range(1, 24)) == pytest.approx(735, abs=40)


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_at_least_half_of_the_wait_is_certain(attempt: int, draw: float) -> None:
    wait = delay(attempt, lambda: draw)
    assert timedelta(seconds=0.2) <= wait <= timedelta(minutes=5)
    assert wait.total_seconds() >= longest(attempt) / 2 - 1e-6
