"""PromQL text becomes our own tree, or an error that says where."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import InvalidInput
from tocsin.model.matchers import matcher
from tocsin.promql import ast
from tocsin.promql.errors import ParseError
from tocsin.promql.literals import duration_ms, is_utf8, quote, unquote
from tocsin.promql.parser import Grammar, check, parse

X = ast.VectorSelector((matcher("__name__", "=", "x"),))
Y = ast.VectorSelector((matcher("__name__", "=", "y"),))
EXPERIMENTAL = Grammar(experimental=True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.34e6", 12.34e6),
        ("1_000", 1000.0),
        ("0x1F", 31.0),
        (".2", 0.2),
        ("2.", 2.0),
        ("inF", math.inf),
        ("5m", 300.0),
        ("-1", -1.0),
        ("1.5 # a comment", 1.5),
    ],
)
def test_numbers_are_read_as_prometheus_reads_them(text: str, value: float) -> None:
    assert parse(text) == ast.NumberLiteral(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"Foo"', "Foo"),
        ("'it\"s'", 'it"s'),
        (r"`a\n`", r"a\n"),
        (r'"a\n\t\"\\"', 'a\n\t"\\'),
        (r'"\x41\101\u00e9\U0001F600"', "AA\u00e9\U0001f600"),
        (r'"\xff"', "\udcff"),
    ],
)
def test_strings_have_the_escapes_of_go(text: str, value: str) -> None:
    assert parse(text) == ast.StringLiteral(value)


def test_a_selector_holds_its_name_as_the_first_matcher() -> None:
    tree = parse('x{a="b",c!="d",e=~"f|g",h!~"i{j"}')
    assert isinstance(tree, ast.VectorSelector)
    assert [str(m) for m in tree.matchers] == [
        '__name__="x"',
        'a="b"',
        'c!="d"',
        'e=~"f|g"',
        'h!~"i{j"',
    ]


def test_a_quoted_name_may_stand_in_the_braces() -> None:
    tree = parse('{"a.b", c="d"}')
    assert isinstance(tree, ast.VectorSelector)
    assert [str(m) for m in tree.matchers] == ['__name__="a.b"', 'c="d"']


@pytest.mark.parametrize(
    ("text", "offset_ms", "at"),
    [
        ("x offset 5m", 300_000, None),
        ("x offset -5m", -300_000, None),
        ("x offset 0s", 0, None),
        ("x OFFSET 1.5", 1500, None),
        ("x offset (5m+1m)", 360_000, None),
        ("x @ 3000.5", 0, ast.At(ast.AtKind.TIME, 3_000_500)),
        ("x @ -5", 0, ast.At(ast.AtKind.TIME, -5000)),
        ("x @ start() offset 1s", 1000, ast.At(ast.AtKind.START)),
        ("x offset 1s @ end()", 1000, ast.At(ast.AtKind.END)),
    ],
)
def test_offset_and_at_are_milliseconds(text: str, offset_ms: int, at: ast.At | None) -> None:
    assert parse(text) == ast.VectorSelector(X.matchers, offset_ms, at)


@pytest.mark.parametrize(
    ("text", "range_ms"),
    [("x[5m]", 300_000), ("x[1.5]", 1500), ("x[1h30m]", 5_400_000), ("x[5m-1m]", 240_000)],
)
def test_ranges_keep_their_milliseconds(text: str, range_ms: int) -> None:
    assert parse(text) == ast.MatrixSelector(X, range_ms)


def test_a_subquery_without_step_leaves_it_to_the_engine() -> None:
    assert parse("x[5m:]") == ast.Subquery(X, 300_000)
    tree = parse("x[5m:30s] @ 10 offset 1m")
    assert tree == ast.Subquery(X, 300_000, 30_000, 60_000, ast.At(ast.AtKind.TIME, 10_000))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2 ^ 3 ^ 2", "2 ^ (3 ^ 2)"),
        ("-x ^ 2", "-(x ^ 2)"),
        ("x + y * x", "x + (y * x)"),
        ("x or y and x", "x or (y and x)"),
        ("x == y + x", "x == (y + x)"),
        ("x atan2 y * x", "(x atan2 y) * x"),
        ("x - y - x", "(x - y) - x"),
    ],
)
def test_operators_bind_as_in_prometheus(text: str, same: str) -> None:
    assert parse(text) == _bare(parse(same))


def _bare(tree: ast.Expr) -> ast.Expr:
    if isinstance(tree, ast.Paren):
        return _bare(tree.expr)
    if isinstance(tree, ast.Negation):
        return ast.Negation(_bare(tree.expr))
    if isinstance(tree, ast.Binary):
        left, right = _bare(tree.left), _bare(tree.right)
        return ast.Binary(tree.op, left, right, tree.matching, tree.return_bool)
    return tree


def test_vector_matching_is_typed() -> None:
    tree = parse("x * on(a) group_left(b) y")
    matching = ast.Matching(ast.Cardinality.MANY_TO_ONE, on=True, labels=("a",), include=("b",))
    assert tree == ast.Binary(ast.BinaryOp.MUL, X, Y, matching)
    tree = parse("x > bool ignoring(a) y")
    matching = ast.Matching(labels=("a",))
    assert tree == ast.Binary(ast.BinaryOp.GT, X, Y, matching, return_bool=True)


def test_an_aggregation_keeps_parameter_and_grouping() -> None:
    tree = parse("TOPK(3, x) by (a)")
    assert tree == ast.Aggregate("topk", X, ast.NumberLiteral(3.0), ("a",))
    assert parse("sum without (a) (x)") == ast.Aggregate("sum", X, None, ("a",), without=True)


def test_calls_know_where_their_arguments_stand() -> None:
    tree = parse("histogram_quantile(0.9,\n  sum by (le) (rate(x[5m])))")
    assert isinstance(tree, ast.Call)
    assert tree.places == ("1:20", "2:3")
    quantile = parse("quantile by (a) (0.9, x)")
    assert isinstance(quantile, ast.Aggregate)
    assert quantile.place == "1:18"


def test_equal_trees_from_different_places_are_equal() -> None:
    assert parse("abs(x)") == parse("  abs( x )")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: parse error: no expression found in input"),
        ("x +", "1:4: parse error: unexpected end of input"),
        ("x and on", "1:9: parse error: unexpected end of input"),
        ("x y", "1:1: parse error: unexpected input"),
        ("x[0s]", "1:3: parse error: duration must be greater than 0"),
        ("x[", "1:3: parse error: unexpected 'end of input', expected duration"),
        ("x offset (5m", "1:13: parse error: unclosed left parenthesis"),
        ("x @ 1e400", "1:5: parse error: timestamp out of bounds for @ modifier: 1e400"),
        ("x @ -Inf", "1:6: parse error: timestamp out of bounds for @ modifier: -Inf"),
        ("1 + nope(x)", '1:5: parse error: unknown function with name "nope"'),
        ("1 == 1", "1:1: parse error: comparisons between scalars must use BOOL modifier"),
        ('x{a="b" or c="d"}', '1:1: parse error: unexpected "or" in label matching'),
        ("\nstep()", '2:1: parse error: function "step" is not enabled'),
        (
            "limitk(1, x)",
            "1:1: parse error: limitk() is experimental and not enabled",
        ),
        (
            '{a=~".*"}',
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        (r'"\q"', r"1:1: parse error: unknown escape sequence '\\q'"),
        ("x[99999y]", "1:3: parse error: duration out of range: '99999y'"),
    ],
)
def test_an_error_says_what_and_where(text: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        check(text)
    assert str(caught.value) == message
    assert isinstance(caught.value, InvalidInput)


def test_a_bad_pattern_is_refused() -> None:
    with pytest.raises(ParseError, match="bad regular expression"):
        parse('x{a=~"("}')


@pytest.mark.parametrize("text", ["(" * 300 + "x", "-" * 2000 + "x", "+".join(["x"] * 500)])
def test_a_deep_expression_is_an_error_and_no_crash(text: str) -> None:
    with pytest.raises(ParseError, match="too deeply"):
        parse(text)


def test_experimental_functions_need_to_be_admitted() -> None:
    assert parse("step()", EXPERIMENTAL) == ast.Call("step")
    assert isinstance(parse("limitk(1, x)", EXPERIMENTAL), ast.Aggregate)


def test_prometheus_2_knows_holt_winters() -> None:
    tree = parse("holt_winters(x[5m], 0.5, 0.5) or holt_winters", Grammar(mode="2.42"))
    assert isinstance(tree, ast.Binary)
    assert tree.right == ast.VectorSelector((matcher("__name__", "=", "holt_winters"),))
    tree = tree.left
    assert isinstance(tree, ast.Call)
    assert tree.func == "double_exponential_smoothing"
    with pytest.raises(ParseError):
        parse("holt_winters(x[5m], 0.5, 0.5)")


def test_in_prometheus_2_a_dot_matches_no_newline() -> None:
    for mode, matches in (("3", True), ("2.42", False)):
        tree = parse('x{a=~"b.c"}', Grammar(mode="2.42" if mode == "2.42" else "3"))
        assert isinstance(tree, ast.VectorSelector)
        assert tree.matchers[1].matches("b\nc") is matches


def test_walk_visits_parents_before_children() -> None:
    tree = parse("sum(-x) + (topk(1, y)) or rate(x[1m:1s]) or rate(x[1m])")
    kinds = [type(node).__name__ for node in ast.walk(tree)]
    assert kinds == [
        *("Binary", "Binary", "Binary"),
        *("Aggregate", "Negation", "VectorSelector"),
        *("Paren", "Aggregate", "NumberLiteral", "VectorSelector"),
        *("Call", "Subquery", "VectorSelector"),
        *("Call", "MatrixSelector", "VectorSelector"),
    ]


@given(st.text())
def test_any_text_is_a_tree_or_a_parse_error(text: str) -> None:
    with contextlib.suppress(ParseError):
        parse(text, EXPERIMENTAL)


_PIECES = st.sampled_from(
    [
        *(
            "x",
            "rate(",
            "sum",
            "by",
            "(",
            ")",
            "[5m]",
            "[5m:1m]",
            "{a='b'}",
            "+",
            "-",
            "==",
            "bool",
        ),
        *("on", "group_left", "1", "0x", "@", "offset", "5m", "start()", "and", ",", '"s"', "#"),
    ]
)


@given(st.lists(_PIECES, max_size=12))
def test_any_pieces_are_a_tree_or_a_parse_error(pieces: list[str]) -> None:
    with contextlib.suppress(ParseError):
        parse(" ".join(pieces), EXPERIMENTAL)


@given(st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0x10F6FF)))
def test_a_quoted_string_reads_back(text: str) -> None:
    assert parse(quote(text)) == ast.StringLiteral(text)


@given(st.binary())
def test_any_bytes_can_be_written_in_escapes(raw: bytes) -> None:
    literal = '"' + "".join(f"\\x{byte:02x}" for byte in raw) + '"'
    value = unquote(literal)
    assert value.encode("utf-8", "surrogateescape") == raw
    assert parse(literal) == ast.StringLiteral(value)
    assert is_utf8(value) == is_utf8(raw.decode("utf-8", "surrogateescape"))


@given(st.integers(1, 10**9))
def test_durations_in_milliseconds_are_exact(ms: int) -> None:
    assert parse(f"x[{ms}ms]") == ast.MatrixSelector(X, ms)
    assert duration_ms(f"{ms // 1000}.{ms % 1000:03}") == ms


@pytest.mark.parametrize("text", [r'"\ud800"', r'"\U00110000"'])
def test_an_escape_that_is_no_character_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="unknown escape"):
        parse(text)
