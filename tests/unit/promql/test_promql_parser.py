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
from tocsin.promql.literals import go_quoted, is_utf8, unquote
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
        ("0x_1fp-1", 15.5),
        ("010", 8.0),
        ("08", 8.0),
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
    [("x[5m]", 300_000), ("x[1.5]", 1500), ("x[1h30m]", 5_400_000), ("x[ 90 ]", 90_000)],
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
        ("# x", "1:1: parse error: no expression found in input"),
        ("x +", "1:4: parse error: unexpected end of input"),
        ("x and on", '1:9: parse error: unexpected end of input in grouping opts, expected "("'),
        ("x y", '1:3: parse error: unexpected identifier "y"'),
        ("a:b c:d", '1:5: parse error: unexpected metric identifier "c:d"'),
        ("sum(x y)", '1:7: parse error: unexpected identifier "y" in aggregation'),
        ("sum by (a) x", '1:12: parse error: unexpected identifier "x" in aggregation'),
        ("x 123456789012", '1:3: parse error: unexpected number "1234567890"...'),
        ("x\n+\n*", "3:1: parse error: unexpected <op:*>"),
        ("é", "1:1: parse error: unexpected character: 'é'"),
        ('"é" y', '1:6: parse error: unexpected identifier "y"'),
        ("x by y", "1:3: parse error: unexpected <by>"),
        ("x sum", "1:3: parse error: unexpected <aggr:sum>"),
        ("by(x)", '1:3: parse error: unexpected "("'),
        ("(x", "1:3: parse error: unclosed left parenthesis"),
        ("x)", "1:3: parse error: unexpected right parenthesis ')'"),
        ("x]", "1:2: parse error: unexpected right bracket ']'"),
        ("x[5m[", "1:5: parse error: unexpected left bracket '['"),
        ("x[5m", "1:5: parse error: unclosed left bracket"),
        ("x[5m:1m:1m]", "1:8: parse error: unexpected colon ':'"),
        (
            "x[5m 5m]",
            '1:6: parse error: unexpected duration "5m" in subquery or range, expected ":" or "]"',
        ),
        (
            "x[5m:1m 1m]",
            '1:9: parse error: unexpected duration "1m" in subquery selector, expected "]"',
        ),
        (
            "x[5m:y]",
            '1:6: parse error: unexpected identifier "y" in subquery selector, '
            'expected number, duration, step(), range(), or "]"',
        ),
        (
            "x[y]",
            '1:3: parse error: unexpected identifier "y" in subquery or range selector, '
            "expected number, duration, step(), or range()",
        ),
        ("x{", "1:3: parse error: unexpected end of input inside braces"),
        ("x{{", "1:3: parse error: unexpected left brace '{'"),
        ("x{a!b}", "1:4: parse error: unexpected character after '!' inside braces: 'b'"),
        ("x{5}", "1:3: parse error: unexpected character inside braces: '5'"),
        (
            "x{a}",
            '1:4: parse error: unexpected "}" in label matching, expected label matching operator',
        ),
        ("x{a=}", '1:5: parse error: unexpected "}" in label matching, expected string'),
        ("x{,}", '1:3: parse error: unexpected "," in label matching, expected identifier or "}"'),
        (
            'x{a="b" or c="d"}',
            '1:9: parse error: unexpected identifier "or" in label matching, expected "," or "}"',
        ),
        (
            "sum by (1) (x)",
            '1:9: parse error: unexpected number "1" in grouping opts, expected label',
        ),
        (
            "sum by (a b) (x)",
            '1:11: parse error: unexpected identifier "b" in grouping opts, expected "," or ")"',
        ),
        ('sum by ("") (x)', '1:9: parse error: invalid label name for grouping: ""'),
        ("x[0s]", "1:3: parse error: duration must be greater than 0"),
        ("x[5m1h]", '1:3: parse error: not a valid duration string: "5m1h"'),
        ("x[99999y]", "1:3: parse error: duration out of range"),
        (
            "x offset y",
            '1:10: parse error: unexpected identifier "y" in offset, '
            "expected number, duration, step(), or range()",
        ),
        ("x offset 1m offset 1m", "1:1: parse error: offset may not be set multiple times"),
        ("x @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"),
        ("x offset 1m[5m]", "1:12: parse error: no offset modifiers allowed before range"),
        ("x @ 1[5m]", "1:6: parse error: no @ modifiers allowed before range"),
        ("(x)[5m]", "1:4: parse error: ranges only allowed for vector selectors"),
        (
            "1 offset 5m",
            "1:1: parse error: offset modifier must be preceded by an instant "
            "vector selector or range vector selector or a subquery",
        ),
        (
            "1 @ 5",
            "1:1: parse error: @ modifier must be preceded by an instant "
            "vector selector or range vector selector or a subquery",
        ),
        ("x @ y", '1:5: parse error: unexpected identifier "y" in @, expected timestamp'),
        ("x @ start", "1:10: parse error: unexpected end of input in @, expected timestamp"),
        (
            "x @ 1e400",
            "1:5: parse error: error parsing number: strconv.ParseFloat: "
            'parsing "1e400": value out of range',
        ),
        ("x @ -Inf", "1:1: parse error: timestamp out of bounds for @ modifier: -Inf"),
        ("x @ NaN", "1:1: parse error: timestamp out of bounds for @ modifier: NaN"),
        (
            "x @ 1e19",
            "1:1: parse error: timestamp out of bounds for @ modifier: 10000000000000000000.000000",
        ),
        ("1 + nope(x)", '1:5: parse error: unknown function with name "nope"'),
        ("rate(x,)", "1:7: parse error: trailing commas not allowed in function call args"),
        ("1x", '1:1: parse error: bad number or duration syntax: "1"'),
        ("5mm", '1:1: parse error: bad number or duration syntax: "5mm"'),
        ("!x", "1:1: parse error: unexpected character after '!': 'x'"),
        ("x =~ y", "1:3: parse error: unexpected character after '=': '~'"),
        ("x = y", '1:3: parse error: unexpected "="'),
        ("x;", "1:2: parse error: unexpected character: ';'"),
        ("'x", "1:1: parse error: unterminated quoted string"),
        ("`x", "1:1: parse error: unterminated raw string"),
        (r'"\q"', "1:1: parse error: unknown escape sequence U+0071 'q'"),
        (r'"\x4g"', "1:1: parse error: illegal character U+0067 'g' in escape sequence"),
        (r'"\'"', "1:1: parse error: unknown escape sequence U+0027 '''"),
        ("\nstep()", '2:1: parse error: function "step" is not enabled'),
        ("limitk(1, x)", "1:1: parse error: limitk() is experimental and not enabled"),
        ("x[5m+1m]", "1:3: parse error: experimental duration expression is not enabled"),
        (
            "x + fill(0) y",
            "1:5: parse error: binop fill modifiers are experimental and not enabled",
        ),
        ("rate(x[5m] anchored)", "1:6: parse error: anchored modifier is not supported"),
        ("x smoothed", "1:1: parse error: smoothed modifier is not supported"),
        (
            "x </ 5",
            '1:3: parse error: operator "</" trims native histograms, which are not supported',
        ),
    ],
)
def test_an_error_says_what_and_where(text: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        check(text)
    assert str(caught.value) == message
    assert isinstance(caught.value, InvalidInput)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("x + bool y", "1:3: parse error: bool modifier can only be used on comparison operators"),
        (
            "x + on(a) group_left(a) y",
            '1:3: parse error: label "a" must not occur in ON and GROUP clause at once',
        ),
        (
            'x + "a"',
            "1:5: parse error: binary expression must contain only scalar and instant vector types",
        ),
        ("x + on(a) 1", "1:1: parse error: vector matching only allowed between instant vectors"),
        ("x and 1", '1:1: parse error: set operator "and" not allowed in binary scalar expression'),
        ("x and on(a) group_left() y", '1:1: parse error: no grouping allowed for "and" operation'),
        (
            '-"a"',
            "1:1: parse error: unary expression only allowed on expressions of type scalar "
            'or instant vector, got "string"',
        ),
        (
            "+x[5m]",
            "1:1: parse error: unary expression only allowed on expressions of type scalar "
            'or instant vector, got "range vector"',
        ),
        (
            "1[5m:]",
            "1:1: parse error: subquery is only allowed on instant vector, got scalar instead",
        ),
        (
            "sum(1)",
            "1:5: parse error: expected type instant vector in aggregation expression, got scalar",
        ),
        ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
        (
            "sum(x, y)",
            "1:1: parse error: wrong number of arguments for aggregate expression "
            "provided, expected 1, got 2",
        ),
        (
            'topk("a", x)',
            "1:6: parse error: expected type scalar in aggregation parameter, got string",
        ),
        (
            "count_values(1, x)",
            "1:14: parse error: expected type string in aggregation parameter, got scalar",
        ),
        (
            "rate(x)",
            '1:6: parse error: expected type range vector in call to function "rate", '
            "got instant vector",
        ),
        ("rate()", '1:1: parse error: expected 1 argument(s) in call to "rate", got 0'),
        (
            "round(x, 1, 2)",
            '1:1: parse error: expected at most 2 argument(s) in call to "round", got 3',
        ),
        (
            'label_join(x, "a")',
            '1:1: parse error: expected at least 3 argument(s) in call to "label_join", got 2',
        ),
        ('x{__name__="y"}', '1:1: parse error: metric name must not be set twice: "x" or "y"'),
        (
            '{a=~".*"}',
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        ('x{a=~"("}', "1:3: parse error: error parsing regexp: missing closing ): `^(?s:()$`"),
    ],
)
def test_what_makes_no_sense_is_refused_in_the_words_of_prometheus(text: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        check(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x and fill(0) y", "filling in missing series not allowed for set operators"),
        ("x + fill(0) 1", "filling in missing series only allowed between instant vectors"),
        ("x + fill(0) fill_left(1) y", "unexpected <fill_left>"),
        ("x + fill(y) z", 'unexpected identifier "y" in fill modifier, expected number'),
        ("x + fill(1 y", 'unexpected identifier "y" in fill modifier, expected ")"'),
        ("info(x, y)", "expected label selectors only, got vector selector instead"),
        ("info(x, sum(y))", "expected label selectors only"),
        ("info(x, 1)", 'expected type instant vector in call to function "info", got scalar'),
        ("x[5m/0]", "division by zero"),
        ("x[5m%0]", "modulo by zero"),
        ("x[-1m]", "duration must be greater than 0"),
        ("x[min_of(1m)]", 'unexpected ")"'),
        ("x[min_of(1m,2m]", 'unexpected "]"'),
        ("x[(1m]", 'unexpected "]"'),
        ("x[1m+]", 'unexpected "]"'),
        (
            "x[step]",
            'unexpected "step" in subquery or range selector, '
            "expected number, duration, step(), or range()",
        ),
        ("x offset 1e10", "duration out of range"),
    ],
)
def test_experimental_forms_have_their_own_faults(text: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        check(text, EXPERIMENTAL)
    assert caught.value.reason == message


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("x + fill(0) y", ast.Matching(fill_left=0.0, fill_right=0.0)),
        ("x + fill_left(-1) y", ast.Matching(fill_left=-1.0)),
        ("x + fill_right(2) fill_left(1) y", ast.Matching(fill_left=1.0, fill_right=2.0)),
        (
            "x + on(a) group_left fill(NaN) y",
            ast.Matching(ast.Cardinality.MANY_TO_ONE, on=True, labels=("a",), fill_left=math.nan),
        ),
    ],
)
def test_fill_modifiers_name_the_missing_side(text: str, matching: ast.Matching) -> None:
    tree = parse(text, EXPERIMENTAL)
    assert isinstance(tree, ast.Binary)
    assert tree.matching.fill_left == pytest.approx(matching.fill_left, nan_ok=True)
    assert tree.matching.cardinality == matching.cardinality
    assert tree.matching.labels == matching.labels


def test_info_takes_any_matchers() -> None:
    assert isinstance(parse('info(x, {a=~".*"})', EXPERIMENTAL), ast.Call)


def test_a_name_that_is_a_keyword_elsewhere_is_a_metric_or_a_label() -> None:
    for name in ("sum", "by", "offset", "and", "start", "step", "fill", "anchored", "limitk"):
        assert parse(name) == ast.VectorSelector((matcher("__name__", "=", name),))
    tree = parse("sum by (by, on, and, sum, start, a:b) (x)")
    assert isinstance(tree, ast.Aggregate)
    assert tree.labels == ("by", "on", "and", "sum", "start", "a:b")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 300 + "x",
        "abs(" * 300 + "x",
        "-" * 2000 + "x",
        "+".join(["x"] * 500),
        "+".join(["1"] * 5000),
        "^".join(["1"] * 500),
        "x[" + "(" * 300 + "1",
    ],
)
def test_a_deep_expression_is_an_error_and_no_crash(text: str) -> None:
    with pytest.raises(ParseError, match="too deeply"):
        parse(text, EXPERIMENTAL)


def test_a_text_without_end_is_refused_before_it_is_read() -> None:
    with pytest.raises(ParseError, match="longer than 1048576 characters"):
        parse(" " * (1 << 20) + "x")


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


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_quoted_string_reads_back(text: str) -> None:
    assert parse(go_quoted(text)) == ast.StringLiteral(text)


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
    assert parse(f"x[{ms // 1000}.{ms % 1000:03}]") == ast.MatrixSelector(X, ms)


@pytest.mark.parametrize("text", [r'"\ud800"', r'"\U00110000"', r'"\777"'])
def test_an_escape_that_is_no_character_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="invalid Unicode code point"):
        parse(text)
