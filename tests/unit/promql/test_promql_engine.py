"""The engine answers queries: results, selectors, time modifiers, budgets."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from tocsin.model.errors import InvalidInput, LimitExceeded
from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.model.sample import STALE
from tocsin.model.tenant import TenantId
from tocsin.promql import ast
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError, ParseError, QueryTimeout, TooManySamples
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.options import Options
from tocsin.promql.parser import parse
from tocsin.promql.result import Matrix, Scalar, String, Vector

TENANT, OTHER = TenantId("a"), TenantId("b")
MINUTE = 60_000


@pytest.fixture
def series() -> MemorySeries:
    """Hold x{i=1|2}: 0, 1, 2 … and 0, 2, 4 … every minute for an hour."""
    memory = MemorySeries()
    for i in (1, 2):
        labels = Labels.of({"__name__": "x", "i": str(i)})
        memory.add(TENANT, labels, [(k * MINUTE, float(k * i)) for k in range(61)])
    return memory


@pytest.fixture
def ask(series: MemorySeries) -> Callable[..., dict[str, float]]:
    """Return a function from query and minute to {labels: value}."""

    def run(query: str, *, at: float = 10, options: Options | None = None) -> dict[str, float]:
        found = Engine(series, options=options).instant(TENANT, query, at_ms=round(at * MINUTE))
        assert isinstance(found.value, Vector)
        pairs = zip(found.value.labels, found.value.values.tolist(), strict=True)
        return {str(labels): value for labels, value in pairs}

    return run


Ask = Callable[..., dict[str, float]]
V2 = Options(mode="2.42")


def test_a_selector_returns_the_newest_sample(ask: Ask) -> None:
    assert ask('x{i="2"}', at=10.5) == {'{__name__="x", i="2"}': 20}


def test_a_scalar_a_string_and_a_range_have_their_own_results(series: MemorySeries) -> None:
    engine = Engine(series)
    assert engine.instant(TENANT, "1 + 1", at_ms=5).value == Scalar(5, 2.0)
    assert engine.instant(TENANT, '"a"', at_ms=5).value == String(5, "a")
    found = engine.instant(TENANT, 'x{i="2"}[2m]', at_ms=10 * MINUTE).value
    assert isinstance(found, Matrix)
    assert found.series[0].times.tolist() == [9 * MINUTE, 10 * MINUTE]
    assert found.series[0].values.tolist() == [18, 20]


def test_a_subquery_alone_is_a_matrix(series: MemorySeries) -> None:
    found = Engine(series).instant(TENANT, "sum(x)[3m:90s]", at_ms=10 * MINUTE).value
    assert isinstance(found, Matrix)
    assert found.series[0].times.tolist() == [450_000, 540_000]
    assert found.series[0].values.tolist() == [21, 27]


def test_a_range_query_returns_series_sorted_by_labels(series: MemorySeries) -> None:
    found = Engine(series).range(
        TENANT, "sort_desc(x)", start_ms=0, end_ms=2 * MINUTE, step_ms=MINUTE
    )
    assert isinstance(found.value, Matrix)
    assert [s.labels.value("i") for s in found.value.series] == ["1", "2"]
    assert found.value.series[1].values.tolist() == [0, 2, 4]


def test_a_range_query_of_a_scalar_is_one_series_without_labels(series: MemorySeries) -> None:
    found = Engine(series).range(TENANT, "time()", start_ms=0, end_ms=2500, step_ms=1000)
    assert isinstance(found.value, Matrix)
    assert found.value.series[0].values.tolist() == [0, 1, 2]
    assert found.value.series[0].labels == Labels()


@pytest.mark.parametrize(
    "tree",
    [
        ast.Call("abs", (ast.Call("time"),)),
        ast.Call("vector", (ast.Call("vector", (ast.NumberLiteral(1.0),)),)),
        ast.Call("rate", (ast.NumberLiteral(1.0),)),
        ast.Negation(ast.MatrixSelector(ast.VectorSelector((matcher("a", "=", "b"),)), 1)),
    ],
)
def test_a_tree_with_operands_of_a_wrong_type_is_an_error(
    series: MemorySeries, tree: ast.Expr
) -> None:
    with pytest.raises(ExecutionError):
        Engine(series).instant(TENANT, tree, at_ms=0)


@pytest.mark.parametrize("query", ["x[5m]", '"a"', "x[5m:]"])
def test_a_range_query_needs_a_vector_or_scalar(series: MemorySeries, query: str) -> None:
    with pytest.raises(InvalidInput, match="must be Scalar or instant Vector"):
        Engine(series).range(TENANT, query, start_ms=0, end_ms=1, step_ms=1)


def test_the_look_back_is_left_open_since_prometheus_3(ask: Ask) -> None:
    assert ask("x", at=65) == {}
    assert ask("x", at=64.99)
    assert ask("x", at=65, options=V2)
    assert ask("x", at=65.01, options=V2) == {}


@pytest.mark.parametrize(("options", "count"), [(None, 5), (V2, 6)])
def test_a_range_is_left_open_since_prometheus_3(
    ask: Ask, options: Options | None, count: int
) -> None:
    assert set(ask("count_over_time(x[5m])", options=options).values()) == {count}


@pytest.mark.parametrize(("options", "count"), [(None, 5), (V2, 6)])
def test_a_subquery_is_left_open_since_prometheus_3(
    ask: Ask, options: Options | None, count: int
) -> None:
    assert set(ask("count_over_time(x[5m:1m])", options=options).values()) == {count}


def test_a_stale_marker_ends_a_series_but_not_a_range(series: MemorySeries, ask: Ask) -> None:
    series.add(TENANT, Labels.of({"__name__": "x", "i": "1"}), [(10 * MINUTE, STALE)])
    assert list(ask("x")) == ['{__name__="x", i="2"}']
    assert ask("count_over_time(x[2m])") == {'{i="1"}': 1, '{i="2"}': 2}


def test_a_series_of_stale_markers_only_has_no_windows(series: MemorySeries, ask: Ask) -> None:
    series.add(TENANT, Labels.of({"__name__": "gone"}), [(10 * MINUTE, STALE)])
    assert ask("count_over_time(gone[2m])") == {}


def test_a_real_nan_is_a_sample(series: MemorySeries, ask: Ask) -> None:
    series.add(TENANT, Labels.of({"__name__": "n"}), [(10 * MINUTE, math.nan)])
    assert math.isnan(ask("n")['{__name__="n"}'])


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("x offset 2m", 8),
        ("x offset -2m", 12),
        ("x @ 120", 2),
        ("x @ 120 offset 1m", 1),
        ("x @ start()", 10),
        ("x @ end() offset 10m", 0),
        ("sum_over_time(x[2m] @ 120)", 3),
        ("sum_over_time(x[2m:1m] @ 120 offset 1m)", 1),
        ("max_over_time((x offset 1m)[2m:1m])", 9),
    ],
)
def test_offset_and_at_move_the_time(ask: Ask, query: str, value: float) -> None:
    assert next(iter(ask(query).values())) == value


def test_start_and_end_are_the_bounds_of_the_whole_query(series: MemorySeries) -> None:
    query = 'max_over_time((x{i="1"} @ end())[2m:1m]) + x @ start()'
    found = Engine(series).range(TENANT, query, start_ms=MINUTE, end_ms=3 * MINUTE, step_ms=MINUTE)
    assert isinstance(found.value, Matrix)
    assert found.value.series[0].values.tolist() == [4, 4, 4]


def test_at_does_not_change_what_time_says(ask: Ask) -> None:
    assert ask('predict_linear(x{i="1"}[5m] @ 300, 60)') == {'{i="1"}': pytest.approx(11)}


def test_tenants_do_not_see_each_other(series: MemorySeries) -> None:
    found = Engine(series).instant(OTHER, "x", at_ms=10 * MINUTE)
    assert isinstance(found.value, Vector)
    assert found.value.labels == ()


def test_a_parsed_tree_may_be_passed(series: MemorySeries) -> None:
    engine = Engine(series)
    assert engine.instant(TENANT, engine.parse("1"), at_ms=0).value == Scalar(0, 1.0)


def test_a_syntax_error_is_reported(series: MemorySeries) -> None:
    with pytest.raises(ParseError):
        Engine(series).instant(TENANT, "x +", at_ms=0)


def test_reading_too_many_samples_is_refused(series: MemorySeries) -> None:
    engine = Engine(series, options=Options(max_samples=10))
    with pytest.raises(TooManySamples, match="more than 10"):
        engine.instant(TENANT, "rate(x[1h])", at_ms=60 * MINUTE)


def test_reading_too_many_series_is_refused(series: MemorySeries) -> None:
    engine = Engine(series, options=Options(max_series=3))
    assert engine.instant(TENANT, "x", at_ms=0).samples == 2
    with pytest.raises(TooManySamples, match="would read 4 series, more than 3"):
        engine.instant(TENANT, "x + x", at_ms=0)


def test_a_tenant_may_have_options_of_its_own(series: MemorySeries) -> None:
    strict = Options(max_samples=0, experimental=True)
    engine = Engine(series, options_of=lambda t: strict if t == TENANT else Options())
    with pytest.raises(TooManySamples):
        engine.instant(TENANT, "x", at_ms=0)
    assert isinstance(engine.instant(TENANT, "max_of(1, 2)", at_ms=0).value, Scalar)
    assert isinstance(engine.instant(OTHER, "x", at_ms=0).value, Vector)
    with pytest.raises(ParseError, match="not enabled"):
        engine.rule_tree(OTHER, "max_of(1, 2)")
    assert engine.rule_tree(TENANT, "max_of(1, 2)") == parse("max_of(1, 2)", strict.grammar)


def test_a_query_may_look_back_further(series: MemorySeries) -> None:
    engine = Engine(series)
    at_ms = 71 * MINUTE
    for lookback_ms, found in ((0, 0), (MINUTE, 0), (20 * MINUTE, 2)):
        value = engine.instant(TENANT, "x", at_ms=at_ms, lookback_ms=lookback_ms).value
        assert isinstance(value, Vector)
        assert len(value.labels) == found
    ranged = engine.range(
        TENANT, "x", start_ms=at_ms, end_ms=at_ms, step_ms=1, lookback_ms=20 * MINUTE
    ).value
    assert isinstance(ranged, Matrix)
    assert len(ranged.series) == 2


@pytest.mark.parametrize("query", ["x", "rate(x[1m])"])
def test_too_large_a_matrix_is_refused(series: MemorySeries, query: str) -> None:
    engine = Engine(series, options=Options(max_cells=20))
    with pytest.raises(LimitExceeded, match="2 series at 11 steps"):
        engine.range(TENANT, query, start_ms=0, end_ms=10 * MINUTE, step_ms=MINUTE)


def test_a_passed_deadline_ends_the_query(series: MemorySeries) -> None:
    with pytest.raises(QueryTimeout, match="timed out"):
        Engine(series).instant(TENANT, "x", at_ms=0, expired=lambda: True)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((0, 1, 0), "step"),
        ((0, 1, -1), "step"),
        ((1, 0, 1), "end"),
        ((0, 11_001, 1), "exceeded maximum resolution of 11,000 points"),
    ],
)
def test_steps_that_make_no_sense_are_refused(
    series: MemorySeries, steps: tuple[int, int, int], reason: str
) -> None:
    start, end, step = steps
    with pytest.raises(InvalidInput, match=reason):
        Engine(series).range(TENANT, "1", start_ms=start, end_ms=end, step_ms=step)


@pytest.mark.parametrize(
    "query",
    [
        "abs(" * 79 + "x" + ")" * 79,
        "max(" * 79 + "x" + ")" * 79,
        "+".join(["x"] * 239),
        "x" + " ^ x" * 98,
        "-" * 199 + "x",
        "(" * 99 + "x" + ")" * 99,
        "last_over_time(" * 39 + "x" + "[5m:1m])" * 39,
    ],
)
def test_the_deepest_expressions_allowed_can_be_evaluated(series: MemorySeries, query: str) -> None:
    engine = Engine(series)
    engine.instant(TENANT, query, at_ms=10 * MINUTE)
    engine.range(TENANT, query, start_ms=0, end_ms=MINUTE, step_ms=MINUTE)


def test_as_many_points_as_allowed_are_answered(series: MemorySeries) -> None:
    found = Engine(series).range(TENANT, "1", start_ms=0, end_ms=11_000, step_ms=1)
    assert isinstance(found.value, Matrix)
    assert found.value.series[0].times.size == 11_001  # steps are counted, as Prometheus does


def test_names_go_at_once_or_at_the_end(series: MemorySeries, ask: Ask) -> None:
    query = 'label_replace(rate(x{i="1"}[5m]), "was", "$1", "__name__", "(.*)")'
    delayed = Options(delayed_name_removal=True)
    assert list(ask(query)) == ['{i="1"}']
    assert list(ask(query, options=delayed)) == ['{i="1", was="x"}']


def test_a_delayed_name_can_be_kept(ask: Ask) -> None:
    query = 'label_replace(rate(x{i="1"}[5m]), "__name__", "rate_$1", "__name__", "(.+)")'
    delayed = Options(delayed_name_removal=True)
    assert list(ask(query, options=delayed)) == ['{__name__="rate_x", i="1"}']


def test_grouping_by_name_carries_the_delayed_drop(ask: Ask) -> None:
    delayed = Options(delayed_name_removal=True)
    assert list(ask("sum by (__name__) (rate(x[5m]))", options=delayed)) == ["{}"]
    assert list(ask("sum by (__name__) (x)", options=delayed)) == ['{__name__="x"}']


AT_ONCE, DELAYED = Options(), Options(delayed_name_removal=True)


@pytest.mark.parametrize("options", [AT_ONCE, DELAYED], ids=["at once", "delayed"])
def test_equal_labels_at_one_step_are_an_error(
    series: MemorySeries, ask: Ask, options: Options
) -> None:
    series.add(TENANT, Labels.of({"__name__": "y", "i": "1"}), [(10 * MINUTE, 1.0)])
    with pytest.raises(ExecutionError, match="same labelset"):
        ask('-{__name__=~"x|y"}', options=options)


@pytest.mark.parametrize("options", [AT_ONCE, DELAYED], ids=["at once", "delayed"])
def test_equal_labels_at_different_steps_become_one_series(
    series: MemorySeries, options: Options
) -> None:
    series.add(TENANT, Labels.of({"__name__": "late", "i": "1"}), [(70 * MINUTE, 5.0)])
    engine = Engine(series, options=options)
    found = engine.range(
        TENANT,
        '-{__name__=~"x|late", i="1"}',
        start_ms=60 * MINUTE,
        end_ms=70 * MINUTE,
        step_ms=10 * MINUTE,
    )
    assert isinstance(found.value, Matrix)
    assert [s.values.tolist() for s in found.value.series] == [[-60, -5]]


def test_a_series_far_from_the_others_is_found_all_the_same() -> None:
    memory, far = MemorySeries(), 2**60
    for i in range(40):
        memory.add(TENANT, Labels.of({"__name__": "x", "i": str(i)}), [(0, 1.0), (far, 2.0)])
    found = Engine(memory).range(TENANT, "sum(x)", start_ms=0, end_ms=far, step_ms=far)
    assert isinstance(found.value, Matrix)
    assert found.value.series[0].values.tolist() == [40, 80]


def test_samples_before_the_epoch_are_found() -> None:
    memory = MemorySeries()
    memory.add(TENANT, Labels.of({"__name__": "x"}), [(-MINUTE, 1.0), (0, 3.0)])
    found = Engine(memory).instant(TENANT, "delta(x[2m:1m])", at_ms=0)
    assert isinstance(found.value, Vector)
    assert np.isclose(found.value.values[0], 4)
    memory.clear()
    assert memory.select(TENANT, (), start_ms=-MINUTE, end_ms=0) == []
