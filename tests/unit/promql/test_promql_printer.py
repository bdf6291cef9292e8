"""A tree prints as Prometheus prints it, and reads back as what it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.promql.format import format_exponent, format_plain
from tocsin.promql.parser import Grammar, parse
from tocsin.promql.printer import pretty, text_of

EXPERIMENTAL = Grammar(experimental=True)


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("x", "x"),
        ("+x", "+x"),
        ("- - x", "--x"),
        ("-5", "-5"),
        ("1e3", "1000"),
        ("0x10", "16"),
        ("1e21", "1000000000000000000000"),
        ("inf", "+Inf"),
        ("-NaN", "NaN"),
        ("5m30s", "5m30s"),
        ("-90m", "-1h30m"),
        (r'"a\"\n\x01é"', '"a\\"\\n\\x01é"'),
        ("`raw`", '"raw"'),
        ('{b="c",__name__="x"}', '{__name__="x",b="c"}'),
        ('x{z="1",a!~"b.*"}', 'x{a!~"b.*",z="1"}'),
        ('{"a.b","c d"="e"}', '{"c d"="e",__name__="a.b"}'),
        ("x offset 5m @ 10", "x @ 10.000 offset 5m"),
        ("x @ -1.5 offset -90s", "x @ -1.500 offset -1m30s"),
        ("x[5m] @ start()", "x[5m] @ start()"),
        ("x[1h:] @ end() offset 1d", "x[1h:] @ end() offset 1d"),
        ("(x+y)[90s:15]", "(x + y)[1m30s:15s]"),
        ("x[step()+1m]", "x[step() + 1m]"),
        ("x[1h:step()] offset -(2*1m)", "x[1h:step()] offset -(2 * 1m)"),
        ("sum(x)by(a,b)", "sum by (a, b) (x)"),
        ("sum by () (x)", "sum(x)"),
        ("sum without()(x)", "sum without () (x)"),
        ('sum by ("a b", c:d) (x)', 'sum by ("a b", c:d) (x)'),
        ("topk(3,x)", "topk(3, x)"),
        ("time()", "time()"),
        ("label_replace(x,'a','$1','b','(.*)')", 'label_replace(x, "a", "$1", "b", "(.*)")'),
        ("x==bool y", "x == bool y"),
        ("x+on()y", "x + on () y"),
        ("x*ignoring(a)group_right(b,c)y", "x * ignoring (a) group_right (b, c) y"),
        ("x*on(a)group_left y", "x * on (a) group_left () y"),
        ("x and ignoring() y", "x and y"),
        ("x+fill(0)y", "x + fill (0) y"),
        ("x+on(a)fill_right(1)y", "x + on (a) fill_right (1) y"),
        ("x+fill_left(-1)fill_right(2)y", "x + fill_left (-1) fill_right (2) y"),
    ],
)
def test_an_expression_has_one_form(written: str, printed: str) -> None:
    assert text_of(parse(written, EXPERIMENTAL)) == printed
    assert text_of(parse(printed, EXPERIMENTAL)) == printed


M88, M97 = "m" * 88, "m" * 97  # of a line of 100


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ("sum by (a) (x)", ["sum by (a) (x)"]),
        (f"sum({M97} + x)", ["sum(", f"    {M97}", "  +", "    x", ")"]),
        (f"sum({M88} + x)", [f"sum({M88} + x)"]),
        (f"topk(3, {M88}{{a='b'}})", ["topk(", "  3,", f'  {M88}{{a="b"}}', ")"]),
        (f"abs(rate({M88}[5m]))", ["abs(", f"  rate({M88}[5m])", ")"]),
        (f"(-{M97} * y)", ["(", f"    -{M97}", "  *", "    y", ")"]),
        (f"-({M97} + y)", ["-(", f"    {M97}", "  +", "    y", ")"]),
        (f"+({M97} + y)", ["+(", f"    {M97}", "  +", "    y", ")"]),
        (
            f"max_over_time((x + {M97})[5m:1m])",
            ["max_over_time(", "  (", "      x", "    +", f"      {M97}", "  )[5m:1m]", ")"],
        ),
        (
            f"x == bool on (a) group_left (b) {M88}",
            ["  x", "== bool on (a) group_left (b)", f"  {M88}"],
        ),
        (f"{M97}{{a='b'}}", [f'{M97}{{a="b"}}']),
    ],
)
def test_what_is_too_long_for_a_line_is_split(written: str, lines: list[str]) -> None:
    assert pretty(parse(written)) == "\n".join(lines)


_LEAVES = st.sampled_from(["x", 'y{a="b"}', "1", "-2", "z offset 1m", "x @ 5", "time()", "5m"])
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda t: f"({t})"),
        inner.map(lambda t: f"-({t})"),
        inner.map(lambda t: f"+({t})"),
        st.tuples(inner, st.sampled_from("+*^%-"), inner).map(" ".join),
        inner.map(lambda t: f"sum by (a) (vector(scalar(y)) + ({t}))"),
    ),
    max_leaves=12,
)


@given(_TREES)
def test_what_is_printed_reads_back(text: str) -> None:
    tree = parse(text)
    assert parse(text_of(tree)) == tree
    assert parse(pretty(tree)) == tree


@pytest.mark.parametrize(
    ("value", "plain", "exponent"),
    [
        (0.0, "0", "0e+00"),
        (-1250.0, "-1250", "-1.25e+03"),
        (1e-7, "0.0000001", "1e-07"),
        (float("nan"), "NaN", "NaN"),
        (float("-inf"), "-Inf", "-Inf"),
    ],
)
def test_numbers_have_a_plain_and_an_exponent_form(value: float, plain: str, exponent: str) -> None:
    assert (format_plain(value), format_exponent(value)) == (plain, exponent)
