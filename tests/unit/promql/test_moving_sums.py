"""Sums that move with their window are those of the whole window, whatever the values."""

from __future__ import annotations

import numpy as np
import pytest

from tocsin.model.labels import Labels
from tocsin.model.tenant import tenant_id
from tocsin.promql.engine import Engine
from tocsin.promql.fakes import MemoryRings, MemorySeries
from tocsin.promql.plans.plans import Plans
from tocsin.promql.result import Vector

ACME = tenant_id("acme")
LOAD = Labels.of({"__name__": "load"})
STEP_MS = 15_000
LARGE = 1.7e308

SERIES = {
    "what cancels out": [1, 1e100, 1, -1e100, 2, 3, 1e100, -1e100, 4],
    "what is too large": [LARGE, LARGE, 1, 2, 3, 4, 5, LARGE, LARGE, LARGE],
    "zero in the end": [1, -1, 2, -2, 3, -3, 4, -4, 0],
}


@pytest.mark.parametrize("values", SERIES.values(), ids=SERIES.keys())
@pytest.mark.parametrize(
    "query",
    [
        *("sum_over_time(load[1m])", "avg_over_time(load[1m])"),
        *("deriv(load[1m])", "predict_linear(load[1m], 60)"),
    ],
)
@pytest.mark.parametrize("rounds", [1, 4])
def test_a_moving_sum_is_the_sum(query: str, values: list[float], rounds: int) -> None:
    held = MemorySeries()
    rings = MemoryRings(held)
    engine = Engine(held)
    plans = Plans(engine, held, rings)
    for turn, value in enumerate(values * rounds, start=1):
        at_ms = turn * STEP_MS
        rings.row(ACME, "a", at_ms, [(LOAD, value)])
        got = plans.instant(ACME, query, at_ms=at_ms).value
        wanted = engine.instant(ACME, query, at_ms=at_ms).value
        assert isinstance(got, Vector)
        assert isinstance(wanted, Vector)
        assert got.labels == wanted.labels
        np.testing.assert_allclose(got.values, wanted.values, rtol=1e-9, err_msg=f"at {turn}")
