"""Functions of windows, on numbers worked by hand and against plain loops."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tocsin.model.labels import Labels
from tocsin.model.tenant import TenantId
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.options import Options
from tocsin.promql.result import Vector

TENANT = TenantId("a")
NAN, INF = math.nan, math.inf
EXPERIMENTAL = Options(experimental=True)
V2 = Options(mode="2.42", experimental=True)


def ask(
    query: str, values: list[float], *, at_s: float | None = None, options: Options = EXPERIMENTAL
) -> float | None:
    """Evaluate over m{}, a sample every 10 s from 0, at the last sample unless told otherwise."""
    memory = MemorySeries()
    samples = [(k * 10_000, v) for k, v in enumerate(values)]
    memory.add(TENANT, Labels.of({"__name__": "m"}), samples)
    at = (len(values) - 1) * 10 if at_s is None else at_s
    found = Engine(memory, options=options).instant(TENANT, query, at_ms=round(at * 1000)).value
    assert isinstance(found, Vector)
    return float(found.values[0]) if found.values.size else None


# The window of m[30s] at 30 s holds the samples at 10, 20 and 30 s: the first is 10 s from the
# left edge, less than 1.1 sample gaps, so the line is drawn to both edges unless zero is nearer.
@pytest.mark.parametrize(
    ("query", "values", "expected"),
    [
        ("increase(m[30s])", [0, 10, 20, 30], 30),
        ("rate(m[30s])", [0, 10, 20, 30], 1),
        ("increase(m[30s])", [0, 1, 11, 21], 21),  # zero 1 s before the first sample
        ("increase(m[30s])", [0, 0, 0, 0], 0),
        ("increase(m[30s])", [0, 5, 2, 4], 6),  # 4 - 5 + 5 over 20 s, stretched to 30 s
        ("delta(m[30s])", [0, 30, 20, 10], -30),
        ("irate(m[30s])", [0, 1, 2, 5], 0.3),
        ("irate(m[30s])", [0, 1, 5, 2], 0.2),
        ("idelta(m[30s])", [0, 1, 5, 2], -3),
        ("changes(m[40s])", [0, 1, 1, 2, 1], 2),
        ("changes(m[40s])", [0, NAN, NAN, 1, 1], 1),
        ("resets(m[40s])", [0, 3, 2, 2, 1], 2),
        ("changes(m[10s])", [0, 1], 0),
        ("rate(m[10s])", [0, 1], None),
        ("irate(m[10s])", [0, 1], None),
        ("delta(m[1h])", [1], None),
        ("idelta(m[1h])", [1], None),
        ("deriv(m[1h])", [1], None),
        ("deriv(m[1h])", [1, 3, 5], 0.2),
        ("deriv(m[1h])", [4, 4, 4], 0),
        ("deriv(m[1h])", [INF, INF, INF], NAN),
        ("predict_linear(m[1h], 100)", [1, 3, 5], 25),
        ("predict_linear(m[1h], 100)", [4, 4, 4], 4),
        ("double_exponential_smoothing(m[1h], 0.5, 0.5)", [1, 2, 4], 3.5),
        ("double_exponential_smoothing(m[1h], 0.5, 0.5)", [1], None),
        ("sum_over_time(m[1h])", [1, 1e100, 1, -1e100], 2),
        ("avg_over_time(m[1h])", [1, 1e100, 1, -1e100], 0.5),
        ("avg_over_time(m[1h])", [1e308, 1e308, 1e308], 1e308),
        ("avg_over_time(m[1h])", [INF, 1, INF], INF),
        ("avg_over_time(m[1h])", [INF, -INF], NAN),
        ("min_over_time(m[1h])", [NAN, 2, 1], 1),
        ("max_over_time(m[1h])", [NAN, NAN], NAN),
        ("count_over_time(m[1h])", [NAN, 2], 2),
        ("present_over_time(m[1h])", [NAN], 1),
        ("stdvar_over_time(m[1h])", [0, 8, 8, 2, 3], 10.56),
        ("stddev_over_time(m[1h])", [2, 4, 4, 4, 5, 5, 7, 9], 2),
        ("quantile_over_time(0.5, m[1h])", [3, 1, 2, 10], 2.5),
        ("quantile_over_time(0.25, m[1h])", [NAN, 1, 2], NAN),
        ("quantile_over_time(1, m[1h])", [NAN, 1, 2], 2),
        ("quantile_over_time(-1, m[1h])", [1], -INF),
        ("quantile_over_time(2, m[1h])", [1], INF),
        ("quantile_over_time(NaN, m[1h])", [1], NAN),
        ("mad_over_time(m[1h])", [4, 6, 2, 1, 999, 1, 2], 1),
        ("mad_over_time(m[1h])", [1, NAN], NAN),
        ("last_over_time(m[1h])", [1, 2], 2),
        ("first_over_time(m[1h])", [1, 2], 1),
        ("ts_of_last_over_time(m[1h])", [1, 2], 10),
        ("ts_of_first_over_time(m[1h])", [1, 2], 0),
        ("ts_of_min_over_time(m[1h])", [1, 0, 0, 2], 20),
        ("ts_of_max_over_time(m[1h])", [3, 0, 3, 2], 20),
        ("absent_over_time(m[1h])", [1], None),
        ("absent_over_time(nope[1h])", [1], 1),
    ],
)
def test_worked_numbers(query: str, values: list[float], expected: float | None) -> None:
    got = ask(query, values)
    if expected is None or got is None:
        assert got is expected
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-12)


# 40 s at 40 s: samples 9 3 5 1 at 10 … 40 s. 1 - 9 + 9 + 5 = 6 over 30 s. To the left 10 s, less
# than 11 s, and zero is 30 * 9 / 6 = 45 s away: (30 + 10 + 0) / 30 * 6 = 8, not more.
def test_the_line_reaches_an_edge_within_a_sample_gap() -> None:
    assert ask("increase(m[40s])", [7, 9, 3, 5, 1]) == pytest.approx(8)


def test_a_far_edge_is_reached_by_half_a_gap_only() -> None:
    assert ask("delta(m[1m])", [0, 10], at_s=20) == pytest.approx(10 + 5 + 10)
    assert ask("delta(m[1m])", [0, 10], at_s=30) == pytest.approx(10 + 5 + 5)


def test_prometheus_2_clamps_at_zero_before_it_looks_at_the_threshold() -> None:
    # The zero point is 9 s left of the first sample (at 10 s), the edge 25 s left of it: version 3
    # first falls back to half a gap, 5 s; version 2 first to 9 s, which is within the threshold.
    values = [0.0, 9.0, 19.0, 29.0]
    left_out = "increase(m[{}s])"
    three = ask(left_out.format(44), values[1:], at_s=20)
    two = ask(left_out.format(44), values[1:], at_s=20, options=V2)
    assert three == pytest.approx(20 * (20 + 5) / 20)
    assert two == pytest.approx(20 * (20 + 9) / 20)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("double_exponential_smoothing(m[1h], 0, 0.5)", "invalid smoothing factor.*got: 0.000000"),
        ("double_exponential_smoothing(m[1h], 0.5, 1)", "invalid trend factor"),
    ],
)
def test_a_smoothing_factor_lies_within_0_and_1(query: str, message: str) -> None:
    with pytest.raises(ExecutionError, match=message):
        ask(query, [1, 2])


_NUMBERS = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40)


@given(_NUMBERS)
def test_sums_and_means_are_exact_to_the_last_bits(values: list[float]) -> None:
    total = ask("sum_over_time(m[1h])", values)
    mean = ask("avg_over_time(m[1h])", values)
    size = max(1.0, sum(map(abs, values)))
    assert total == pytest.approx(math.fsum(values), rel=1e-15, abs=1e-25 * size + 1e-300)
    assert mean == pytest.approx(math.fsum(values) / len(values), rel=2e-15, abs=1e-25 * size)


@given(_NUMBERS)
def test_statistics_agree_with_the_standard_library(values: list[float]) -> None:
    spread = statistics.pvariance(values)
    assert ask("stdvar_over_time(m[1h])", values) == pytest.approx(spread, rel=1e-9, abs=1e-6)
    assert ask("quantile_over_time(0.5, m[1h])", values) == pytest.approx(
        statistics.median(values), rel=1e-12
    )
    assert ask("min_over_time(m[1h])", values) == min(values)
    assert ask("max_over_time(m[1h])", values) == max(values)


@given(st.lists(st.integers(0, 9).map(float), min_size=2, max_size=30), st.integers(15, 400))
def test_increase_agrees_with_prometheus_loop(values: list[float], range_s: int) -> None:
    end = (len(values) - 1) * 10.0
    window = [(k * 10.0, v) for k, v in enumerate(values) if end - range_s < k * 10.0]
    assume(len(window) >= 2)
    expected = _increase(window, start=end - range_s, end=end)
    got = ask(f"increase(m[{range_s}s])", values)
    assert got == expected


def _increase(window: list[tuple[float, float]], *, start: float, end: float) -> float:
    grown = window[-1][1] - window[0][1]
    for (_, before), (_, now) in itertools.pairwise(window):
        grown += before if now < before else 0.0
    span = window[-1][0] - window[0][0]
    gap = span / (len(window) - 1)
    left, right = window[0][0] - start, end - window[-1][0]
    if left >= 1.1 * gap:
        left = gap / 2
    if grown > 0 and window[0][1] >= 0:
        left = min(left, span * (window[0][1] / grown))
    if right >= 1.1 * gap:
        right = gap / 2
    return grown * ((span + left + right) / span)


def test_a_long_range_is_cut_into_chunks() -> None:
    memory = MemorySeries()
    for i in range(30):
        labels = Labels.of({"__name__": "m", "i": str(i)})
        memory.add(TENANT, labels, [(k * 1000, float(i)) for k in range(5)])
    engine = Engine(memory)
    found = engine.range(
        TENANT, "sum(max_over_time(m[10s]))", start_ms=4000, end_ms=4000 + 10_999, step_ms=1
    )
    series = found.value.series[0]  # type: ignore[union-attr]  # a range query is a Matrix
    assert set(series.values[:5000].tolist()) == {sum(range(30))}
