"""Numbers are written as Prometheus writes them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.promql.format import format_bound, format_value, general


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (3.0, "3"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1e-7, "1e-07"),
        (-1.5e-9, "-1.5e-09"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_api_values(value: float, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (1.0, "1.0"), (0.25, "0.25"), (1e-5, "1e-05"), (math.inf, "+Inf")],
)
def test_bucket_bounds_have_a_point(value: float, text: str) -> None:
    assert format_bound(value) == text


def test_general_form_turns_to_exponents_early() -> None:
    assert [general(v) for v in (0.0001, 0.00001, 1e20, -2.0)] == [
        "0.0001",
        "1e-05",
        "100000000000000000000",
        "-2",
    ]


@given(st.floats(allow_nan=False))
def test_every_value_reads_back(value: float) -> None:
    assert float(format_value(value)) == value
    assert float(general(value)) == value
