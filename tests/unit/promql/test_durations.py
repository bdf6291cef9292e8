"""Duration expressions are valued when the query is known, and print as they are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.tenant import tenant_id
from tocsin.promql import ast
from tocsin.promql.durations import Duration, QueryTimes, depends_on_query, text_of
from tocsin.promql.engine import Engine
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.options import Options
from tocsin.promql.parser import Grammar, parse
from tocsin.promql.resolve import resolved
from tocsin.promql.result import Matrix, Vector

EXPERIMENTAL = Grammar(experimental=True)
TIMES = QueryTimes(step_ms=15_000, range_ms=3_600_000)
TENANT = tenant_id("acme")


def range_of(text: str, times: QueryTimes = TIMES) -> int:
    tree = resolved(parse(f"x[{text}]", EXPERIMENTAL), times)
    assert isinstance(tree, ast.MatrixSelector)
    return tree.range_ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("5m+1m", 360_000),
        ("5m - 1m", 240_000),
        ("2*1m+1", 121_000),
        ("1+2*1m", 121_000),
        ("(1+2)*1m", 180_000),
        ("2^3^2", 512_000),
        ("1h/4", 900_000),
        ("100%30", 10_000),
        ("-1m+5m", 240_000),
        ("+5m", 300_000),
        ("-(-5m)", 300_000),
        ("-2^2+10", 6_000),
        ("step()", 15_000),
        ("step()+1", 16_000),
        ("-step()+1m", 45_000),
        ("+step()", 15_000),
        ("range()", 3_600_000),
        ("STEP()*2", 30_000),
        ("min_of(step(),10s)", 10_000),
        ("max_of(step(),10s)", 15_000),
        ("min(step(),10s)", 10_000),
        ("MAX(step(), min(1m, 2m))", 60_000),
        ("(step())", 15_000),
        ("step()/7", 2142),
    ],
)
def test_a_range_may_be_arithmetic(text: str, ms: int) -> None:
    assert range_of(text) == ms


@pytest.mark.parametrize(
    ("text", "offset_ms"),
    [
        ("x offset (5m+1m)", 360_000),
        ("x offset -(5m+1m)", -360_000),
        ("x offset +(5m)", 300_000),
        ("x offset step()", 15_000),
        ("x offset -step()", -15_000),
        ("x offset -min_of(step(), 5s)", -5_000),
        ("x offset -min(step(), 5s)", -5_000),
        ("x offset -range()", -3_600_000),
    ],
)
def test_an_offset_may_be_arithmetic_in_parentheses(text: str, offset_ms: int) -> None:
    tree = resolved(parse(text, EXPERIMENTAL), TIMES)
    assert isinstance(tree, ast.VectorSelector)
    assert tree.offset_ms == offset_ms


def test_after_an_offset_arithmetic_goes_on_with_the_selector() -> None:
    tree = parse("x offset 1m+1m", EXPERIMENTAL)
    assert isinstance(tree, ast.Binary)
    assert tree.right == ast.NumberLiteral(60.0)


def test_a_subquery_has_three_durations() -> None:
    tree = resolved(parse("(-x)[step()*4:step()] offset -step()", EXPERIMENTAL), TIMES)
    assert isinstance(tree, ast.Subquery)
    assert (tree.range_ms, tree.step_ms, tree.offset_ms) == (60_000, 15_000, -15_000)


def test_every_selector_of_a_tree_is_found() -> None:
    text = "sum by (a) (topk(1, -rate(x[step()]) + (y offset step()))) or abs(z offset step())"
    tree = resolved(parse(text, EXPERIMENTAL), TIMES)
    found = [n.offset_ms for n in ast.walk(tree) if isinstance(n, ast.VectorSelector)]
    assert found == [0, 15_000, 15_000]
    assert [n.range_ms for n in ast.walk(tree) if isinstance(n, ast.MatrixSelector)] == [15_000]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step()", "2:8: duration must be greater than 0"),
        ("1m-5m", "2:7: duration must be greater than 0"),
        ("1/step()", "2:10: division by zero"),
        ("1%(2*0)", "2:8: modulo by zero"),
        ("-(range())", "2:11: duration must be greater than 0"),
        ("10^300", "2:8: duration is out of range"),
        ("10^9999", "2:9: duration must be greater than 0"),
        ("(0-8)^0.5", "3:11: duration must be greater than 0"),
        ("0^-1", "2:6: duration is out of range"),
        ("(10^308*10)%5", "3:15: duration must be greater than 0"),
    ],
)
def test_a_duration_that_is_none_is_refused_when_the_query_is_asked(
    text: str, message: str
) -> None:
    tree = parse(f"x[{text}]", EXPERIMENTAL)
    with pytest.raises(InvalidInput) as caught:
        resolved(tree, QueryTimes())
    assert str(caught.value) == message


def test_a_tree_without_expressions_stays_the_same_object() -> None:
    tree = parse("rate(x[5m] offset 1m)", EXPERIMENTAL)
    assert resolved(tree, TIMES) is tree


def test_a_duration_of_the_query_is_told_from_one_that_is_known() -> None:
    for text, expected in (
        ("step()", True),
        ("-range()", True),
        ("1m+2m", False),
        ("(2)*3", False),
    ):
        tree = parse(f"x[{text}]", EXPERIMENTAL)
        assert isinstance(tree, ast.MatrixSelector)
        assert tree.range_expr is not None
        assert depends_on_query(tree.range_expr) is expected


@pytest.mark.parametrize(
    "text",
    [
        *("5m + 1m", "(5m + 1m) * 2", "-step()", "min_of(step(), 1m30s)", "2 ^ (3 ^ 2)"),
        *("range() % 7", "-(1m + step())", "1.5 * 1ms", "(range())", "max_of(1, 2) / 3 - 1"),
    ],
)
def test_an_expression_prints_as_it_is_written(text: str) -> None:
    tree = parse(f"x[{text}]", EXPERIMENTAL)
    assert isinstance(tree, ast.MatrixSelector)
    assert tree.range_expr is not None
    assert text_of(tree.range_expr) == text


_ATOMS = st.sampled_from(["1m", "2", "0.5", "step()", "range()", "1h30m"])
_TEXTS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/%^"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda t: f"-({t})"),
        st.tuples(inner, inner).map(lambda t: f"max_of({t[0]}, {t[1]})"),
    ),
    max_leaves=6,
)


@given(_TEXTS)
def test_what_is_printed_is_read_as_the_same_expression(text: str) -> None:
    def read(written: str) -> Duration | None:
        tree = parse(f"x[{written} + 0]", EXPERIMENTAL)
        assert isinstance(tree, ast.MatrixSelector)
        return tree.range_expr

    first = read(text)
    assert first is not None
    assert read(text_of(first).removesuffix(" + 0")) == first


def test_the_engine_puts_in_the_step_of_a_range_query() -> None:
    source = MemorySeries()
    source.add(TENANT, Labels.of({"__name__": "x"}), [(i * 1000, float(i)) for i in range(61)])
    engine = Engine(source, options=Options(experimental=True))
    found = engine.range(
        TENANT, "count_over_time(x[step()*2])", start_ms=30_000, end_ms=60_000, step_ms=5_000
    ).value
    assert isinstance(found, Matrix)
    assert found.series[0].values.tolist() == [10.0] * 7
    with pytest.raises(InvalidInput, match="duration must be greater than 0"):
        engine.instant(TENANT, "count_over_time(x[step()])", at_ms=30_000)
    known = engine.instant(TENANT, "count_over_time(x[5s*2])", at_ms=30_000).value
    assert isinstance(known, Vector)
    assert known.values.tolist() == [10.0]
