"""Aggregations, operators and vector matching, on small vectors at one time."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.model.labels import Labels
from tocsin.model.tenant import TenantId
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.options import Options
from tocsin.promql.result import Result, Vector

TENANT = TenantId("a")
NAN, INF = math.nan, math.inf


def run(query: str, text: str) -> Result:
    """Evaluate over elements written as `name a=1 b=2 value`, one per line, at time 0."""
    memory = MemorySeries()
    for line in text.strip().splitlines():
        name, *pairs, value = line.split()
        labels = Labels.of({"__name__": name, **dict(pair.split("=") for pair in pairs)})
        memory.add(TENANT, labels, [(0, float(value))])
    return Engine(memory, options=Options(experimental=True)).instant(TENANT, query, at_ms=0)


def ask(query: str, text: str) -> list[tuple[str, float]]:
    """Return the result as (labels, value) in order; labels without braces and quotes."""
    found = run(query, text).value
    assert isinstance(found, Vector)
    shown = [
        " ".join(f"{name}={value}".replace("__name__=", "") for name, value in labels.pairs)
        for labels in found.labels
    ]
    pairs = list(zip(shown, found.values.tolist(), strict=True))
    return pairs if found.ordered else sorted(pairs)


REQUESTS = """
r job=api i=0 100
r job=api i=1 200
r job=app i=0 500
r job=app i=1 600
"""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sum(r)", [("", 1400)]),
        ("sum by (job) (r)", [("job=api", 300), ("job=app", 1100)]),
        ("sum without (i) (r)", [("job=api", 300), ("job=app", 1100)]),
        ("avg by (job, nope) (r)", [("job=api", 150), ("job=app", 550)]),
        ("count by (__name__) (r)", [("r", 4)]),
        ("group by (i) (r)", [("i=0", 1), ("i=1", 1)]),
        ("min(r)", [("", 100)]),
        ("max by (job) (r)", [("job=api", 200), ("job=app", 600)]),
        ("stdvar by (job) (r)", [("job=api", 2500), ("job=app", 2500)]),
        ("stddev by (job) (r)", [("job=api", 50), ("job=app", 50)]),
        ("quantile(0.5, r)", [("", 350)]),
        ("quantile by (job) (0.1, r)", [("job=api", 110), ("job=app", 510)]),
        ("topk(2, r)", [("r i=1 job=app", 600), ("r i=0 job=app", 500)]),
        ("bottomk by (job) (1, r)", [("r i=0 job=api", 100), ("r i=0 job=app", 500)]),
        ("topk(0.9, r)", []),
        ("topk(9e9, r) > 500", [("r i=1 job=app", 600)]),
        ("limitk(1, r)", [("r i=0 job=api", 100)]),
        ("count(limit_ratio(0.5, r) or limit_ratio(-0.5, r))", [("", 4)]),
        ('count_values("v", r > 100)', [("v=200", 1), ("v=500", 1), ("v=600", 1)]),
        ('count_values by (job) ("v", r * 0)', [("job=api v=0", 2), ("job=app v=0", 2)]),
        ('count_values without (i) ("job", r * 0)', [("job=0", 4)]),
        ('count_values by (job) ("job", r * 0)', [("job=0", 4)]),
        ('count_values without (v) ("v", r * 0 + 1)', [
            ("i=0 job=api", 1), ("i=0 job=app", 1), ("i=1 job=api", 1), ("i=1 job=app", 1)
        ]),
        ("sum(nope)", []),
        ("topk(1, nope)", []),
    ],
)  # fmt: skip
def test_aggregations(query: str, expected: list[tuple[str, float]]) -> None:
    assert ask(query, REQUESTS) == expected


SPECIAL = "s i=0 NaN\ns i=1 Inf\ns i=2 -1"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("min(s)", -1),
        ("max(s)", INF),
        ('max(s{i="0"})', NAN),
        ("sum(s)", NAN),
        ("count(s)", 3),
        ("stddev(s)", NAN),
        ('stdvar(s{i="1"})', NAN),
        ("quantile(0, s)", NAN),
        ("quantile(1, s)", NAN),  # Inf * 1 + Inf * 0, as in Prometheus
        ("quantile(0.25, s)", NAN),
        ('quantile(0.25, s{i!="1"})', NAN),
        ('quantile(1, s{i!="1"})', -1),
        ("quantile(-1, s)", -INF),
        ("quantile(1.1, s)", INF),
        ("quantile(NaN, s)", NAN),
        ('count_values("v", s{i="0"})', 1),
    ],
)
def test_aggregations_of_special_values(query: str, expected: float) -> None:
    [(_, got)] = ask(query, SPECIAL)
    np.testing.assert_equal(got, expected)


def test_nan_loses_in_both_directions() -> None:
    for query in ("topk(3, s)", "bottomk(3, s)"):
        assert ask(query, SPECIAL)[-1][0] == "s i=0"
    assert [value for _, value in ask("topk(2, s)", SPECIAL)] == [INF, -1]
    assert [value for _, value in ask("bottomk(2, s)", SPECIAL)] == [-1, INF]


def test_ties_keep_the_earlier_series() -> None:
    assert [labels for labels, _ in ask("topk(2, r * 0)", REQUESTS)] == [
        "i=0 job=api",
        "i=0 job=app",
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("topk(NaN, r)", "Parameter value is NaN"),
        ("limitk(NaN, nope)", "Parameter value is NaN"),
        ("topk(1e30, r)", r"Scalar value 1e\+30 overflows int64"),
        ("bottomk(-1e30, r)", "underflows int64"),
        ("limit_ratio(NaN, r)", "Ratio value is NaN"),
        ('count_values("", r)', 'invalid label name ""'),
        (r'count_values("a\xc5z", r)', r'invalid label name "a\\xc5z"'),
    ],
)
def test_bad_parameters_are_errors(query: str, message: str) -> None:
    with pytest.raises(ExecutionError, match=message):
        run(query, REQUESTS)


@pytest.mark.parametrize(
    ("query", "warning"),
    [
        ("quantile(2, r)", "quantile value should be between 0 and 1, got 2 (1:10)"),
        ("quantile_over_time(NaN, r[5m])", "quantile value should be … got NaN (1:20)"),
        ("limit_ratio(-2, r)", "ratio value should be … got -2, capping to -1 (1:13)"),
    ],
)  # fmt: skip
def test_a_questionable_parameter_warns(query: str, warning: str) -> None:
    start, _, end = warning.partition("…")
    [found] = run(query, REQUESTS).warnings
    assert found.startswith(f"PromQL warning: {start}")
    assert found.endswith(end)


def test_a_gauge_under_rate_is_told() -> None:
    memory = MemorySeries()
    for name in ("gauge", "some_total"):
        labels = Labels.of({"__name__": name, "of": name})
        memory.add(TENANT, labels, [(0, 1.0), (1000, 2.0)])
    found = Engine(memory).instant(TENANT, '  rate({__name__=~".+"}[1m])', at_ms=1000)
    assert found.infos == (
        "PromQL info: metric might not be a counter, name does not end in "
        '_total/_sum/_count/_bucket: "gauge" (1:8)',
    )


@settings(max_examples=15)
@given(st.lists(st.floats(-1e6, 1e6), min_size=129, max_size=300))
def test_large_groups_sum_exactly(values: list[float]) -> None:
    text = "\n".join(f"m i={i} {value!r}" for i, value in enumerate(values))
    [(_, total)] = ask("sum(m)", text)
    [(_, mean)] = ask("avg(m)", text)
    [(_, spread)] = ask("stdvar(m)", text)
    assert total == pytest.approx(math.fsum(values), rel=1e-15, abs=1e-20)
    assert mean == pytest.approx(math.fsum(values) / len(values), rel=2e-15, abs=1e-20)
    assert spread == pytest.approx(float(np.var(values)), rel=1e-9, abs=1e-9)


def test_a_mean_survives_an_overflowing_sum() -> None:
    for count in (3, 200):
        text = "\n".join(f"m i={i} 1e308" for i in range(count))
        [(_, mean)] = ask("avg(m)", text)
        assert mean == pytest.approx(1e308)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("1 / 0", INF),
        ("-1 / 0", -INF),
        ("0 / 0", NAN),
        ("5 % -3", 2),
        ("-5 % 3", -2),
        ("1 % 0", NAN),
        ("0 ^ 0", 1),
        ("-2 ^ 2", -4),
        ("2 ^ 3 ^ 2", 512),
        ("1 == bool 1", 1),
        ("NaN != bool NaN", 1),
        ("1 atan2 0", math.pi / 2),
        ("-(3)", -3),
        ("scalar(r)", NAN),
        ('scalar(r{job="api",i="0"})', 100),
    ],
)
def test_scalar_arithmetic(query: str, value: float) -> None:
    found = run(query, REQUESTS).value
    assert getattr(found, "value", None) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('r{i="0"} * 2', [("i=0 job=api", 200), ("i=0 job=app", 1000)]),
        ('1 - r{job="api"}', [("i=0 job=api", -99), ("i=1 job=api", -199)]),
        ("r > 500", [("r i=1 job=app", 600)]),
        ("500 < r", [("r i=1 job=app", 600)]),
        ('r{i="0"} > bool 100', [("i=0 job=api", 0), ("i=0 job=app", 1)]),
        ("-r == -100", [("i=0 job=api", -100)]),
        ('r + on(job, i) r{i="0"}', [("i=0 job=api", 200), ("i=0 job=app", 1000)]),
        ('r{i="1"} / ignoring(i) r{i="0"}', [("job=api", 2), ("job=app", 1.2)]),
        ('r{i="1"} > ignoring(i) r{i="0"}', [("r job=api", 200), ("r job=app", 600)]),
        ('r{i="1"} > on(job) r{i="0"}', [("job=api", 200), ("job=app", 600)]),
        ('r{i="1"} < bool ignoring(i) r{i="0"}', [("job=api", 0), ("job=app", 0)]),
        ('r and r{i="0"}', [("r i=0 job=api", 100), ("r i=0 job=app", 500)]),
        ('r unless on(i) r{i="0",job="api"}', [("r i=1 job=api", 200), ("r i=1 job=app", 600)]),
        ('r{i="0"} or r{job="api"}', [
            ("r i=0 job=api", 100), ("r i=0 job=app", 500), ("r i=1 job=api", 200)
        ]),
        ('r{i="0"} or on(i) r{job="api"}', [
            ("r i=0 job=api", 100), ("r i=0 job=app", 500), ("r i=1 job=api", 200)
        ]),
        ("r and nope", []),
        ("r unless nope > 0", [
            ("r i=0 job=api", 100), ("r i=0 job=app", 500), ("r i=1 job=api", 200),
            ("r i=1 job=app", 600),
        ]),
        ('r{i="0"} + on(job) group_left() sum by (job) (r)', [
            ("i=0 job=api", 400), ("i=0 job=app", 1600)
        ]),
        ('sum by (job) (r) - on(job) group_right() r{i="1"}', [
            ("i=1 job=api", 100), ("i=1 job=app", 500)
        ]),
        ('sum by (job) (r) > on(job) group_right() r{i="1"}', [
            ("r i=1 job=api", 300), ("r i=1 job=app", 1100)
        ]),
    ],
)  # fmt: skip
def test_operators_on_vectors(query: str, expected: list[tuple[str, float]]) -> None:
    assert ask(query, REQUESTS) == expected


ROLES = """
cpu i=a mode=idle role=none 3
cpu i=a mode=user 1
role i=a role=db 1
role i=b role=web 1
"""


def test_group_left_copies_labels_of_the_one_side() -> None:
    assert ask("cpu * on(i) group_left(role, nope) role", ROLES) == [
        ("i=a mode=idle role=db", 3),
        ("i=a mode=user role=db", 1),
    ]


def test_group_left_removes_a_label_the_one_side_lacks() -> None:
    assert ask("cpu * on(i) group_left(role) sum by (i) (role)", ROLES) == [
        ("i=a mode=idle", 3),
        ("i=a mode=user", 1),
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "sum(r) > on() r",
            "found duplicate series for the match group {} on the right hand-side of the "
            'operation: [{__name__="r", i="0", job="api"}, {__name__="r", i="0", job="app"}];'
            "many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        (
            'r * on(job) group_right() r{i="0"}',
            'found duplicate series for the match group {job="api"} on the left hand-side of the '
            'operation: [{__name__="r", i="0", job="api"}, {__name__="r", i="1", job="api"}];'
            "many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        (
            "r > on() sum(r)",
            "multiple matches for labels: many-to-one matching must be explicit "
            "(group_left/group_right)",
        ),
        (
            "r * on(job) group_left(i) sum by (job) (r)",
            "multiple matches for labels: grouping labels must ensure unique matches",
        ),
    ],
)
def test_ambiguous_matches_are_errors(query: str, message: str) -> None:
    with pytest.raises(ExecutionError) as caught:
        run(query, REQUESTS)
    assert str(caught.value) == message


def test_duplicates_do_not_matter_when_one_side_is_empty() -> None:
    assert ask("nope > on() r", REQUESTS) == []
    assert ask("r * on(job) group_right() nope", REQUESTS) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a + fill(10) b", [("i=0", 11), ("i=1", 22), ("i=2", 13)]),
        ("a + fill_right(10) b", [("i=0", 11), ("i=1", 22)]),
        ("a + fill_left(10) b", [("i=1", 22), ("i=2", 13)]),
        ("a - on(i) fill_left(0) fill_right(1) b", [("i=0", 0), ("i=1", -18), ("i=2", -3)]),
        ("a + fill(1) nope", [("i=0", 2), ("i=1", 3)]),
    ],
)
def test_fill_stands_in_for_missing_elements(
    query: str, expected: Sequence[tuple[str, float]]
) -> None:
    assert ask(query, "a i=0 1\na i=1 2\nb i=1 20\nb i=2 3") == expected
