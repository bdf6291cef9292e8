"""Corners of compiled rules; that they equal queries stands in tests/conformance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.ring import Ring
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError
from tocsin.promql.fakes import ROWS, MemoryRings, MemorySeries
from tocsin.promql.plans.plans import Plans
from tocsin.promql.ports import SeriesSource
from tocsin.promql.result import Matrix, Scalar, String, Vector

ACME = tenant_id("acme")
STEP_MS = 15_000


def metric(name: str, **labels: str) -> Labels:
    return Labels({"__name__": name, **labels}.items())


class Counted(SeriesSource):
    """Says how often the source was read."""

    def __init__(self, series: MemorySeries) -> None:
        self.series = series
        self.reads = 0

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> list[Series]:
        self.reads += 1
        return self.series.select(tenant, matchers, start_ms=start_ms, end_ms=end_ms)


class House:
    """Two machines, scraped every 15 s from time 0."""

    def __init__(self) -> None:
        self.source = Counted(MemorySeries())
        self.rings = MemoryRings(self.source.series)
        self.engine = Engine(self.source)
        self.plans = Plans(self.engine, self.source, self.rings)
        self.now_ms = 0

    def tick(self, a: float = 1.0, b: float = 2.0) -> None:
        self.now_ms += STEP_MS
        self.rings.row(ACME, "a", self.now_ms, [(metric("m", i="a"), a)])
        self.rings.row(ACME, "b", self.now_ms, [(metric("m", i="b"), b)])

    def ask(self, expr: str) -> dict[str, float]:
        value = self.vector(expr)
        return {
            labels.value("i"): v
            for labels, v in zip(value.labels, value.values.tolist(), strict=True)
        }

    def vector(self, expr: str) -> Vector:
        value = self.plans.instant(ACME, expr, at_ms=self.now_ms).value
        assert isinstance(value, Vector)
        return value


@pytest.fixture
def house() -> House:
    return House()


def test_a_steady_rule_bears_the_same_labels_object_and_reads_no_source(house: House) -> None:
    house.tick()
    first = house.vector("m > 0").labels
    house.tick()
    assert house.vector("m > 0").labels is first
    house.tick(a=-1.0)
    assert house.ask("m > 0") == {"b": 2.0}
    assert house.source.reads == 0


def test_names_that_are_dropped_leave_the_same_object_too(house: House) -> None:
    house.tick()
    house.tick()
    first = house.vector("rate(m[1m]) >= 0").labels
    assert first == (Labels([("i", "a")]), Labels([("i", "b")]))
    house.tick()
    assert house.vector("rate(m[1m]) >= 0").labels is first


def test_a_window_the_ring_does_not_hold_is_read_from_the_source(house: House) -> None:
    for _ in range(ROWS + 20):
        house.tick()
    far = house.now_ms - 3_600_000
    got = house.plans.instant(ACME, "count_over_time(m[1m])", at_ms=far).value
    assert isinstance(got, Vector)
    assert got.values.tolist() == [4.0, 4.0]
    assert house.source.reads == 1


def test_without_memory_for_a_ring_the_source_answers(house: House) -> None:
    class Full(MemoryRings):
        def ring(self, tenant: TenantId, metric: str, *, depth_ms: int) -> Ring | None:
            return None

    plans = Plans(house.engine, house.source, Full(house.source.series))
    house.tick()
    for _ in range(2):
        got = plans.instant(ACME, "sum(m)", at_ms=house.now_ms).value
        assert isinstance(got, Vector)
        assert got.values.tolist() == [3.0]
    assert house.source.reads == 2


def test_expressions_that_are_no_vector_are_answered(house: House) -> None:
    house.tick()
    at_ms = house.now_ms
    answers = [house.plans.instant(ACME, e, at_ms=at_ms).value for e in ('"x"', "1+1", "m[1m]")]
    assert [type(answer) for answer in answers] == [String, Scalar, Matrix]


def test_a_sample_that_comes_late_into_a_row_counts(house: House) -> None:
    for value in range(1, 6):
        house.tick(a=float(value), b=float(value))
    assert house.ask("increase(m[1m])")["a"] > 0
    ring = house.rings.ring(ACME, "m", depth_ms=0)
    assert ring is not None
    ring.values[4, 0] = 1.0  # what was read as 5 is found to be a fall
    ring.filled[0], ring.fills, ring.version = 4, ring.fills + 1, ring.version + 1
    house.source.series.add(ACME, metric("m", i="a"), [(house.now_ms, 1.0)])
    wanted = house.engine.instant(ACME, "increase(m[1m])", at_ms=house.now_ms).value
    assert isinstance(wanted, Vector)
    assert house.ask("increase(m[1m])")["a"] == pytest.approx(wanted.values[0])


def test_a_huge_sample_leaves_nothing_behind_when_it_has_passed(house: House) -> None:
    for value in [0.1, 1e300, 0.1, 0.1, 0.1, 0.1, 0.1]:
        house.tick(a=value)
        house.ask("sum_over_time(m[45s])")
    assert house.ask("sum_over_time(m[45s])")["a"] == pytest.approx(0.3, rel=1e-12)


def test_an_infinity_spoils_a_sum_only_while_it_is_in_the_window(house: House) -> None:
    seen = []
    for value in [1.0, float("inf"), 1.0, 1.0, 1.0, 1.0, 1.0]:
        house.tick(a=value)
        seen.append(house.ask("avg_over_time(m[30s])")["a"])
    assert seen == [1.0, float("inf"), float("inf"), 1.0, 1.0, 1.0, 1.0]


def test_time_may_go_back(house: House) -> None:
    for value in range(20):
        house.tick(a=float(value))
    for expr in ("sum_over_time(m[1m])", "predict_linear(m[1m], 60)", "rate(m[1m])"):
        for back in (0, 5, 2, 9):
            at_ms = house.now_ms - back * STEP_MS
            got = house.plans.instant(ACME, expr, at_ms=at_ms).value
            wanted = house.engine.instant(ACME, expr, at_ms=at_ms).value
            assert isinstance(got, Vector)
            assert isinstance(wanted, Vector)
            np.testing.assert_allclose(got.values, wanted.values, rtol=1e-9)


def test_a_tenant_that_is_forgotten_starts_anew(house: House) -> None:
    house.tick()
    first = house.vector("m").labels
    house.plans.forget(ACME)
    assert house.vector("m").labels == first
    assert house.vector("m").labels is not first


def test_elements_that_become_the_same_series_are_joined_or_refused(house: House) -> None:
    house.tick()
    house.rings.row(ACME, "a", house.now_ms + 1, [(metric("n", i="a"), 5.0)])
    house.now_ms += 10
    assert house.ask("abs(m > 1) or abs(n)") == {"b": 2.0, "a": 5.0}
    with pytest.raises(ExecutionError, match="same labelset"):
        house.ask("-{__name__=~'m|n'}")
