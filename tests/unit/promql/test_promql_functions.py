"""Functions of instant vectors: numbers, dates, labels, order, absence, histograms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.labels import Labels
from tocsin.model.tenant import TenantId
from tocsin.promql.ast import Call
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.options import Options
from tocsin.promql.result import Matrix, Result, Scalar, Vector

TENANT = TenantId("a")
NAN, INF = math.nan, math.inf
EXPERIMENTAL = Options(experimental=True)


def run(
    query: str, elements: dict[str, float], *, at_s: float = 100, options: Options = EXPERIMENTAL
) -> Result:
    """Evaluate over elements written `name,label=value…`, sampled 10 s before `at_s`."""
    memory = MemorySeries()
    for key, value in elements.items():
        name, *pairs = key.split(",")
        labels = Labels.of({"__name__": name, **dict(pair.split("=", 1) for pair in pairs)})
        memory.add(TENANT, labels, [(round(at_s * 1000) - 10_000, value)])
    return Engine(memory, options=options).instant(TENANT, query, at_ms=round(at_s * 1000))


def ask(query: str, elements: dict[str, float], *, at_s: float = 100) -> dict[str, float]:
    """Return {labels: value}, in the order of the result."""
    found = run(query, elements, at_s=at_s).value
    assert isinstance(found, Vector)
    return {
        ",".join(f"{n}={v}".removeprefix("__name__=") for n, v in labels.pairs): value
        for labels, value in zip(found.labels, found.values.tolist(), strict=True)
    }


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("abs(x)", 2.5),
        ("ceil(x)", -2),
        ("floor(x)", -3),
        ("round(x)", -2),
        ("round(x, 0.1)", -2.5),
        ("round(x, 2)", -2),
        ("sgn(x)", -1),
        ("clamp(x, -1, 1)", -1),
        ("clamp(x, NaN, 1)", NAN),
        ("clamp_min(x, 0)", 0),
        ("clamp_max(x, -3)", -3),
        ("sqrt(x)", NAN),
        ("exp(x)", math.exp(-2.5)),
        ("ln(-x)", math.log(2.5)),
        ("log2(x * 0)", -INF),
        ("log10(-x)", math.log10(2.5)),
        ("deg(x)", math.degrees(-2.5)),
        ("rad(x)", math.radians(-2.5)),
        ("sin(x)", math.sin(-2.5)),
        ("acosh(-x)", math.acosh(2.5)),
        ("atanh(x)", NAN),
        ("timestamp(x)", 90),
        ("timestamp((x))", 90),
        ("timestamp(x + 0)", 100),
        ("vector(time())", 100),
        ("vector(pi())", math.pi),
        ("vector(min_of(1, 2) + max_of(3, NaN))", NAN),
        ("vector(start() + end() + step() + range())", 200),
    ],
)
def test_functions_of_a_number(query: str, value: float) -> None:
    [got] = ask(query, {"x": -2.5}).values()
    assert got == pytest.approx(value, nan_ok=True, rel=1e-15)


def test_a_clamp_between_crossed_bounds_is_empty() -> None:
    assert ask("clamp(x, 5, -5)", {"x": 1}) == {}


@pytest.mark.parametrize(
    ("function", "seconds", "value"),
    [
        ("year", 1136239445, 2006),
        ("month", 1456790399, 2),
        ("day_of_month", 1456790399, 29),
        ("day_of_year", 1483191420, 366),
        ("day_of_week", 1136239445, 1),
        ("days_in_month", 1454284800, 29),
        ("days_in_month", 1485907200, 28),
        ("hour", 1136239445, 22),
        ("minute", 1136239445, 4),
        ("hour", -1, 23),
        ("year", NAN, NAN),
        ("year", INF, NAN),
    ],
)
def test_dates_are_utc(function: str, seconds: float, value: float) -> None:
    [got] = ask(f"{function}(x)", {"x": seconds}).values()
    np.testing.assert_equal(got, value)


def test_a_date_without_argument_is_that_of_the_step() -> None:
    assert ask("year() * 100 + month()", {}, at_s=86_400 * 31) == {"": 197002}


@given(st.integers(-(2**36), 2**36))
def test_the_calendar_agrees_with_numpy(seconds: int) -> None:
    date = np.datetime64(seconds, "s")
    [got] = ask("year(x)*10000 + month(x)*100 + day_of_month(x)", {"x": float(seconds)}).values()
    year, month, day = str(date.astype("datetime64[D]")).rsplit("-", 2)
    assert got == int(year) * 10000 + int(month) * 100 + int(day)


@pytest.mark.parametrize(
    ("call", "labels"),
    [
        ('"d", "v-$1", "s", "a-(.*)"', "x,d=v-10,s=a-10"),
        ('"d", "${n}$$", "s", "a-(?P<n>.*)"', "x,d=10$,s=a-10"),
        ('"d", "$1x|$9", "s", "a-(.*)"', "x,d=|,s=a-10"),
        ('"d", "new", "s", "a"', "x,d=old,s=a-10"),
        ('"d", "new", "none", ""', "x,d=new,s=a-10"),
        ('"d", "", "s", ".*"', "x,s=a-10"),
        ('"d", "$0", "s", "a-10"', "x,d=a-10,s=a-10"),
        ('"__name__", "y", "s", ".*"', "y,d=old,s=a-10"),
    ],
)
def test_label_replace(call: str, labels: str) -> None:
    assert list(ask(f"label_replace(x, {call})", {"x,s=a-10,d=old": 1})) == [labels]


def test_label_join() -> None:
    elements = {"x,a=1,b=2": 1.0}
    assert list(ask('label_join(x, "c", "-", "a", "none", "b")', elements)) == ["x,a=1,b=2,c=1--2"]
    assert list(ask('label_join(x, "a", "-")', elements)) == ["x,b=2"]
    assert list(ask('label_join(x, "__name__", "_", "a", "b")', elements)) == ["1_2,a=1,b=2"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('label_replace(x, "d", "", "s", "(")', r"invalid regular expression in label_replace\(\)"),
        ('label_replace(x, "", "", "s", "")', "invalid destination label name in label_replace"),
        (r'label_replace(x, "\xff", "", "s", "")', r"label_replace\(\): \\xff"),
        ('label_join(x, "", "")', "invalid destination label name in label_join"),
        ('label_join(x, "a", "", "")', "invalid source label name in label_join"),
        ('label_replace(x, "i", "1", "", "")', "same labelset"),
        ('label_join(x, "i", "")', "same labelset"),
        ('histogram_quantiles(x, "", 0.5)', "invalid label name"),
    ],
)
def test_bad_labels_are_errors(query: str, message: str) -> None:
    with pytest.raises(ExecutionError, match=message):
        run(query, {"x,i=1": 1, "x,i=2": 2})


def test_sort_puts_nan_last_in_both_directions() -> None:
    elements = {"x,i=1": 2.0, "x,i=2": NAN, "x,i=3": 1.0}
    assert list(ask("sort(x)", elements)) == ["x,i=3", "x,i=1", "x,i=2"]
    assert list(ask("sort_desc(x)", elements)) == ["x,i=1", "x,i=3", "x,i=2"]


def test_sort_by_label_reads_digits_as_numbers() -> None:
    elements = {"x,i=4m600": 1.0, "x,i=4m5": 1.0, "x,i=4m1000": 1.0, "x,i=b": 1.0}
    ordered = ["x,i=4m5", "x,i=4m600", "x,i=4m1000", "x,i=b"]
    assert list(ask('sort_by_label(x, "i")', elements)) == ordered
    assert list(ask('sort_by_label_desc(x, "i")', elements)) == ordered[::-1]


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ('absent(n{a="b",c!="d",e=~"f"})', "a=b"),
        ('absent(n{a="b",a="c",d="e"})', "d=e"),
        ('absent(n{a="b",a=~"c"})', ""),
        ('absent((n{a=~"c",a="b"}))', "a=b"),
        ('absent(sum(n{a="b"}))', ""),
        ('absent_over_time(n{a="b"}[5m])', "a=b"),
        ('absent_over_time(n{a="b"}[5m:])', ""),
    ],
)
def test_absent_takes_labels_from_equality(query: str, labels: str) -> None:
    assert ask(query, {}) == {labels: 1}


def test_absent_of_something_is_nothing() -> None:
    assert ask("absent(x)", {"x": 1}) == {}


def test_functions_of_native_histograms_find_none() -> None:
    for name in ("histogram_sum", "histogram_count", "histogram_avg", "histogram_stddev"):
        assert ask(f"{name}(x)", {"x": 1}) == {}


def test_an_unknown_function_in_a_tree_is_an_error() -> None:
    with pytest.raises(ExecutionError, match=r"nope\(\) is not supported"):
        Engine(MemorySeries()).instant(TENANT, Call("nope"), at_ms=0)


BUCKETS = {
    "h_bucket,le=0.1": 10.0,
    "h_bucket,le=1": 30.0,
    "h_bucket,le=5": 40.0,
    "h_bucket,le=+Inf": 50.0,
}


@pytest.mark.parametrize(
    ("q", "value"),
    [
        (0, 0),
        (0.1, 0.05),
        (0.2, 0.1),
        (0.4, 0.1 + 0.9 * 10 / 20),
        (0.8, 5),
        (0.99, 5),
        (-1, -INF),
        (2, INF),
        (NAN, NAN),
    ],
)
def test_a_histogram_quantile_is_interpolated_in_its_bucket(q: float, value: float) -> None:
    [got] = ask(f"histogram_quantile({q}, h_bucket)", BUCKETS).values()
    assert got == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    ("elements", "value"),
    [
        ({"b,le=1": 1.0, "b,le=2": 2.0}, NAN),  # no +Inf
        ({"b,le=+Inf": 2.0}, NAN),  # a single bucket
        ({"b,le=1": 0.0, "b,le=+Inf": 0.0}, NAN),  # no observations
        ({"b,le=-1": 1.0, "b,le=+Inf": 1.0}, -1),  # a first bound that is not positive
        ({"b,le=1.0": 1.0, "b,le=1": 1.0, "b,le=+inf": 4.0}, 1),  # equal bounds are added
        ({"b,le=1": 3.0, "b,le=2": 2.0, "b,le=+Inf": 4.0}, 2 / 3),  # not monotonic
    ],
)
def test_odd_histograms(elements: dict[str, float], value: float) -> None:
    [got] = ask("histogram_quantile(0.5, b)", elements).values()
    assert got == pytest.approx(value, nan_ok=True)


def test_a_fixed_histogram_is_told_and_rounding_is_not() -> None:
    odd = {"b,le=1": 3.0, "b,le=2": 2.0, "b,le=+Inf": 4.0}
    [info] = run("histogram_quantile(0.5, b)", odd).infos
    assert info.startswith("PromQL info: input to histogram_quantile needed to be fixed for mono")
    assert info.endswith('for metric name "b" (1:25)')
    tiny = {"b,le=1": 3.0, "b,le=2": 3.0 - 1e-13, "b,le=+Inf": 4.0}
    assert run("histogram_quantile(0.5, b)", tiny).infos == ()
    assert run("histogram_quantile(0.5, b)", odd, options=Options(mode="2.42")).infos == ()


@pytest.mark.parametrize("le", ["", "wide"])
def test_a_bad_bucket_bound_warns_and_counts_not(le: str) -> None:
    found = run("histogram_quantile(0.5, b)", {f"b,le={le}": 1})
    assert isinstance(found.value, Vector)
    assert found.value.labels == ()
    assert found.warnings == (
        f'PromQL warning: bucket label "le" is missing or has a malformed value of "{le}" '
        'for metric name "b" (1:25)',
    )


def test_several_quantiles_at_once() -> None:
    got = ask('histogram_quantiles(h_bucket, "q", 0.1, 1)', BUCKETS)
    assert got == {"q=0.1": pytest.approx(0.05), "q=1.0": 5}


def test_quantiles_that_take_a_label_away_are_an_error() -> None:
    elements = {f"{key},q={q}": value for key, value in BUCKETS.items() for q in "ab"}
    with pytest.raises(ExecutionError, match="same labelset"):
        run('histogram_quantiles(h_bucket, "q", 0.5)', elements)


@pytest.mark.parametrize(
    ("lower", "upper", "value"),
    [
        ("0", "0.1", 0.2),
        ("0.1", "0.55", 0.2),
        ("-Inf", "1", 0.6),
        ("-5", "-1", 0),
        ("6", "7", 0),
        ("5", "+Inf", 0.2),
        ("2", "1", 0),
        ("NaN", "1", NAN),
        ("0", "NaN", NAN),
    ],
)
def test_histogram_fraction(lower: str, upper: str, value: float) -> None:
    [got] = ask(f"histogram_fraction({lower}, {upper}, h_bucket)", BUCKETS).values()
    assert got == pytest.approx(value, nan_ok=True)


def test_histograms_with_different_buckets_at_different_steps() -> None:
    memory = MemorySeries()
    for le, times in (("1", (0, 1)), ("2", (1,)), ("+Inf", (0, 1))):
        labels = Labels.of({"__name__": "b", "le": le})
        memory.add(
            TENANT, labels, [(t * 1000, {"1": 1.0, "2": 3.0, "+Inf": 4.0}[le]) for t in times]
        )
    options = Options(lookback_ms=1000)
    found = Engine(memory, options=options).range(
        TENANT, "histogram_quantile(0.75, b)", start_ms=0, end_ms=1000, step_ms=1000
    )
    assert isinstance(found.value, Matrix)
    assert found.value.series[0].values.tolist() == [1, 2]


def test_scalar_of_many_is_nan() -> None:
    assert isinstance(run("scalar(x)", {"x,i=1": 1}).value, Scalar)
    found = run("scalar(x)", {"x,i=1": 1, "x,i=2": 2}).value
    assert isinstance(found, Scalar)
    assert math.isnan(found.value)
