"""Columns come back bit by bit, whatever they hold; usual ones take about a byte a sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.sample import STALE, STALE_BITS
from tocsin.model.series import Values
from tocsin.timeseries.block_codec import BadBlock, Coder, Decoder, Ints, Lengths

PATTERNS = st.integers(0, 2**64 - 1)
ODD = st.sampled_from(
    [0, 1 << 63, STALE_BITS, 0x7FF8000000000001, 0x7FF0000000000000, 0xFFF0000000000000, 1]
)


def bits_of(value: float) -> int:
    return int(np.float64(value).view(np.uint64))


DECIMALS = st.builds(
    lambda number, places: bits_of(number / 10**places),
    st.integers(-(2**53), 2**53),
    st.integers(0, 12),
)
SAMPLES = st.one_of(PATTERNS, ODD, DECIMALS, st.integers(-5, 5).map(lambda i: bits_of(float(i))))
ALIKE = st.one_of(*(st.lists(each, min_size=1, max_size=70) for each in (DECIMALS, SAMPLES, ODD)))
COLUMNS = st.lists(ALIKE, min_size=1, max_size=6)


def flat(columns: list[list[int]]) -> tuple[Values, Lengths]:
    bits = np.array([bits for column in columns for bits in column], np.uint64)
    return bits.view(np.float64), np.array([len(column) for column in columns], np.int64)


@given(COLUMNS)
def test_floats_of_any_bit_pattern_come_back(columns: list[list[int]]) -> None:
    values, lengths = flat(columns)
    found = Decoder(Coder().floats(values, lengths)).floats(lengths)
    assert found.view(np.uint64).tolist() == values.view(np.uint64).tolist()


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), min_size=1, max_size=5))
def test_integers_of_any_size_come_back(columns: list[list[int]]) -> None:
    numbers = np.array([each for column in columns for each in column], np.int64)
    lengths = np.array([len(column) for column in columns], np.int64)
    assert Decoder(Coder().ints(numbers, lengths)).ints(lengths).tolist() == numbers.tolist()


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_a_run_of_numbers_comes_back(numbers: list[int]) -> None:
    packed = Coder().numbers(np.array(numbers, np.int64))
    assert Decoder(packed).numbers(len(numbers)).tolist() == numbers


def size_of(values: Values, columns: int) -> float:
    """Return bytes a sample."""
    lengths = np.full(columns, values.size // columns, np.int64)
    data = Coder().floats(values.reshape(-1), lengths)
    found = Decoder(data).floats(lengths)
    assert found.view(np.uint64).tolist() == values.reshape(-1).view(np.uint64).tolist()
    return len(data) / values.size


def counters(rng: np.random.Generator, shape: tuple[int, int] = (64, 480)) -> Ints:
    return np.cumsum(rng.poisson(150, shape), axis=1)


def test_counters_of_steady_rate_take_less_than_a_byte_a_sample() -> None:
    assert size_of(counters(np.random.default_rng(1)).astype(np.float64), 64) < 0.85


def test_decimal_gauges_take_no_more_than_their_digits() -> None:
    rng = np.random.default_rng(2)
    walk = np.round(2 + np.cumsum(rng.normal(0, 0.05, (64, 480)), axis=1), 2)
    assert size_of(walk, 64) < 0.8
    nanoseconds = np.round(rng.uniform(0.01, 0.011, (64, 480)), 9)
    assert size_of(nanoseconds, 64) < 3.3


def test_constants_take_nothing() -> None:
    values = np.repeat(np.random.default_rng(3).normal(0, 1e9, 64), 480)
    assert size_of(values, 64) < 0.06


def test_a_factor_all_steps_share_is_not_paid_for() -> None:
    pages = np.random.default_rng(4).integers(10**6, 10**6 + 100, (64, 480))
    plain = pages.astype(np.float64)
    assert size_of(np.ldexp(plain, 12), 64) < size_of(plain, 64) + 0.02


def test_a_counter_that_ends_with_a_staleness_marker_stays_small() -> None:
    values = counters(np.random.default_rng(5)).astype(np.float64)
    plain = size_of(values, 64)
    values[:, -1] = STALE
    values[::3, 0] = np.inf
    assert size_of(values, 64) < plain + 0.05


def test_a_column_that_is_hardly_ever_finite_is_no_decimal_one() -> None:
    values = np.full(100, STALE)
    values[::2] = 1.5
    assert size_of(values, 1) < 2


@pytest.mark.parametrize("cut", [0, 1, 3, 20, -1])
def test_data_that_ends_too_early_is_an_error(cut: int) -> None:
    values, lengths = flat([[bits_of(i * 1.1) for i in range(50)], [bits_of(np.pi)] * 9])
    data = Coder().floats(values, lengths)[:cut]
    with pytest.raises(BadBlock, match="ends too early"):
        Decoder(data).floats(lengths)


def test_data_of_other_columns_is_an_error() -> None:
    values, lengths = flat([[bits_of(float(i * i)) for i in range(50)]])
    data = Coder().floats(values, lengths)
    with pytest.raises(BadBlock, match="numbers where"):
        Decoder(data).floats(lengths + 1)
    with pytest.raises(BadBlock, match="cannot be read"):
        Decoder(data.replace(b"\x28\xb5\x2f\xfd", b"zstd")).floats(lengths)


def test_a_sample_apart_from_its_column_is_an_error() -> None:
    coder, lengths = Coder(), np.array([2], np.int64)
    whole = coder.numbers(np.zeros(1, np.int64)) + coder.ints(np.array([1, 2]), lengths)
    for where in (-1, 2):
        apart = coder.numbers(np.ones(1, np.int64)) + coder.numbers(np.array([where]))
        with pytest.raises(BadBlock, match="belongs to no column"):
            Decoder(whole + apart).floats(lengths)
