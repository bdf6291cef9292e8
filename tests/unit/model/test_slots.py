"""Slots recur on their phase; what could not be held is missed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.slots import Slots, from_ms, to_ms

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MIN = timedelta(minutes=1)


def test_slots_lie_on_the_phase_and_strictly_ahead() -> None:
    slots = Slots(MIN, timedelta(seconds=20))
    slot = slots.after(T0)
    assert slot == T0 + timedelta(seconds=20)
    assert slots.after(slot) == slot + MIN
    assert slots.after(slot - timedelta(milliseconds=1)) == slot


def test_names_spread_over_the_interval_and_keep_their_phase() -> None:
    phases = {Slots.named(f"g{n}", MIN).phase for n in range(50)}
    assert len(phases) > 40
    assert all(timedelta(0) <= phase < MIN for phase in phases)
    assert Slots.named("g", MIN) == Slots.named("g", MIN)
    assert Slots.named("g\udcff", MIN).phase < MIN


@given(st.integers(1, 10**8), st.integers(0, 2**40), st.text(max_size=5))
def test_the_next_slot_is_at_most_an_interval_ahead(step: int, now_ms: int, name: str) -> None:
    interval = timedelta(milliseconds=step)
    ahead = Slots.named(name, interval).after(from_ms(now_ms)) - from_ms(now_ms)
    assert timedelta(0) < ahead <= interval


@pytest.mark.parametrize(
    ("late_s", "slots", "missed"), [(0, 1, 0), (59, 1, 0), (61, 1, 0), (120, 2, 1), (301, 5, 4)]
)
def test_a_slot_that_takes_too_long_makes_slots_be_missed(
    late_s: int, slots: int, missed: int
) -> None:
    after = Slots(MIN, timedelta(0)).following(T0, T0 + timedelta(seconds=late_s))
    assert after == (T0 + slots * MIN, missed)


def test_milliseconds_and_times_agree() -> None:
    assert from_ms(to_ms(T0)) == T0
    assert to_ms(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1000
