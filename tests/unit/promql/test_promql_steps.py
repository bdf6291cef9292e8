"""All steps at once give what each step alone gives."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.model.labels import Labels
from tocsin.model.sample import STALE
from tocsin.model.tenant import TenantId
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.options import Options
from tocsin.promql.result import Matrix, Vector

TENANT = TenantId("a")
STEP = 10_000

_VALUES = st.one_of(
    st.integers(-3, 5).map(float),
    st.floats(-1e6, 1e6),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e100, -1e100, STALE]),
)
_SAMPLES = st.lists(st.tuples(st.integers(-60, 60), _VALUES), max_size=14)
_SERIES = st.dictionaries(
    st.sampled_from(
        [
            *(("x", "1", "0.1"), ("x", "1", "+Inf"), ("x", "2", "+Inf")),
            *(("y", "1", "0.1"), ("y", "2", ""), ("y", "3", "0.5")),
        ]
    ),
    _SAMPLES,
    min_size=1,
)
_WINDOWED = st.sampled_from(
    [
        *("rate", "increase", "delta", "irate", "idelta", "changes", "resets", "deriv"),
        *("sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "count_over_time"),
        *("stddev_over_time", "stdvar_over_time", "mad_over_time", "last_over_time"),
        *("first_over_time", "present_over_time", "absent_over_time", "ts_of_max_over_time"),
        *("ts_of_min_over_time", "ts_of_last_over_time", "ts_of_first_over_time"),
    ]
)
_RANGES = st.sampled_from(["[25s]", "[40s]", "[1m:7s]", "[30s] offset 5s", "[1m:10s] @ 20"])
_AGGREGATIONS = st.sampled_from(
    [
        *("sum(", "avg(", "count(", "group(", "min(", "max(", "stddev(", "stdvar(", "topk(2, "),
        *("bottomk(1, ", "quantile(0.4, ", "count_values('v', ", "limitk(1, ", "limit_ratio(0.5, "),
    ]
)
_GROUPINGS = st.sampled_from(["", " by (i)", " without (i)", " by (__name__)"])
_BINARY = st.sampled_from(
    [
        *("+", "/", "%", "==", "> bool", "<=", "and", "or", "unless", "+ on(i)", "* on(i, le)"),
        *("and on(i)", "or on(le)", "- ignoring(le) group_left()", "!= on(i) group_right(le)"),
        *("+ on(i, le) fill(3)", "> on(i, le) fill_left(1)", "- on(i, le) fill_right(0)"),
    ]
)
_WRAPPED = st.sampled_from(
    [
        "absent({})",
        "timestamp({})",
        "clamp({}, scalar(y), 4)",
        "round({}, 0.5)",
        "sort({})",
        "histogram_quantile(0.5, {})",
        "histogram_fraction(0, 0.3, {})",
        "predict_linear(({})[1m:10s], 60)",
        "quantile_over_time(0.3, ({})[1m:10s])",
        "double_exponential_smoothing(({})[1m:10s], 0.3, 0.4)",
        "label_replace({}, 'k', '$1', 'i', '(.*)')",
        "vector(scalar({}))",
        "-({})",
        "sgn({})",
        "hour({})",
        "({}) > 1",
        "1 < bool ({})",
        "time() - ({})",
    ]
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(lambda wrap, x: wrap.format(x), _WRAPPED, inner),
        st.builds(lambda a, op, b: f"({a}) {op} ({b})", inner, _BINARY, inner),
        st.builds(_aggregated, _AGGREGATIONS, inner, _GROUPINGS),
    )


def _aggregated(op: str, inner: str, grouping: str) -> str:
    return f"{op}{inner}){grouping}"


_EXPRESSIONS = st.recursive(
    st.one_of(
        st.sampled_from(["x", "y", '{i="1"}', "x offset 10s", "y @ 20", "x @ end()"]),
        st.builds(
            lambda function, name, range_: f"{function}({name}{range_})",
            _WINDOWED,
            st.sampled_from(["x", "y"]),
            _RANGES,
        ),
    ),
    _grown,
    max_leaves=4,
)


def _engine(samples: dict[tuple[str, str, str], list[tuple[int, float]]]) -> Engine:
    memory = MemorySeries()
    for (name, i, le), points in samples.items():
        labels = Labels.of({"__name__": name, "i": i, "le": le})
        memory.add(TENANT, labels, [(t * 1000, v) for t, v in points])
    return Engine(memory, options=Options(lookback_ms=20_000, experimental=True))


def _at_each_step(engine: Engine, query: str, times: range) -> dict[Labels, dict[int, float]]:
    found: dict[Labels, dict[int, float]] = {}
    for at in times:
        pinned = query.replace("@ end()", f"@ {times[-1] / 1000}")
        value = engine.instant(TENANT, pinned, at_ms=at).value
        assert isinstance(value, Vector)
        for labels, number in zip(value.labels, value.values.tolist(), strict=True):
            found.setdefault(labels, {})[at] = number
    return found


@settings(max_examples=200, deadline=None)
@given(_SERIES, _EXPRESSIONS)
def test_a_range_query_is_its_instant_queries(
    samples: dict[tuple[str, str, str], list[tuple[int, float]]], query: str
) -> None:
    engine, times = _engine(samples), range(-30_000, 50_001, STEP)
    try:
        expected = _at_each_step(engine, query, times)
    except ExecutionError:
        expected = None
    try:
        found = engine.range(TENANT, query, start_ms=times[0], end_ms=times[-1], step_ms=STEP)
    except ExecutionError:
        assert expected is None
        return
    assert isinstance(found.value, Matrix)
    assert expected is not None
    got = {s.labels: dict(zip(s.times.tolist(), s.values, strict=True)) for s in found.value.series}
    assert {labels: set(row) for labels, row in got.items()} == {
        labels: set(row) for labels, row in expected.items()
    }
    for labels, row in got.items():
        for at, number in row.items():
            np.testing.assert_equal(number, expected[labels][at])
