"""Matchers in the classic grammar, the UTF-8 grammar, and the fallback between them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.alert_manager.matcher_syntax import (
    MatcherMode,
    format_matchers,
    ordered,
    parse_matcher,
    parse_matchers,
    valid_name,
)
from tocsin.model.errors import InvalidInput
from tocsin.model.matchers import MatchOp, matcher

CLASSIC, UTF8, FALLBACK = MatcherMode.CLASSIC, MatcherMode.UTF8_STRICT, MatcherMode.FALLBACK


def parts(text: str, mode: MatcherMode) -> tuple[str, str, str]:
    m = parse_matcher(text, mode)
    return m.name, m.op.value, m.value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("foo=bar", ("foo", "=", "bar")),
        ('foo="bar"', ("foo", "=", "bar")),
        (" foo  !=  bar ", ("foo", "!=", "bar")),
        ('a:b=~"x.*"', ("a:b", "=~", "x.*")),
        ("foo!~bar|baz", ("foo", "!~", "bar|baz")),
        ("foo=", ("foo", "=", "")),
        ('foo=""', ("foo", "=", "")),
        ("foo==", ("foo", "=", "=")),
        ("foo={bar}x", ("foo", "=", "{bar}x")),
        (r'foo="a\"b\\c\nd\e"', ("foo", "=", 'a"b\\c\nd\\e')),
        ("foo=bar\\", ("foo", "=", "bar\\")),
        ('foo="Σ🙂"', ("foo", "=", "Σ🙂")),
        ('foo="a,b"', ("foo", "=", "a,b")),
        ("foo=a\nb", ("foo", "=", "a\nb")),
    ],
)
def test_classic_matchers(text: str, found: tuple[str, str, str]) -> None:
    assert parts(text, CLASSIC) == found
    assert parts(text, FALLBACK) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("==", "bad matcher format: =="),
        ("", "bad matcher format: "),
        ("foo", "bad matcher format: foo"),
        ('foo="bar', 'matcher value contains unescaped double quote: "bar'),
        ('foo=ba"r', 'matcher value contains unescaped double quote: ba"r'),
        ('foo="a",b="c"', 'matcher value contains unescaped double quote: "a",b="c"'),
        ("foo=~[", "bad regular expression"),
    ],
)
def test_classic_faults(text: str, message: str) -> None:
    for mode in (CLASSIC, FALLBACK):
        with pytest.raises(InvalidInput, match="^" + re.escape(message)):
            parse_matcher(text, mode)


def test_a_classic_name_does_not_begin_with_a_digit() -> None:
    with pytest.raises(InvalidInput, match=r"^bad matcher format: 1foo=bar$"):
        parse_matcher("1foo=bar", CLASSIC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("foo=bar", ("foo", "=", "bar")),
        ("foo🙂=bar", ("foo🙂", "=", "bar")),
        ('"foo bar"="x"', ("foo bar", "=", "x")),
        (r'foo="\x61\u00e9\U0001F642\101\t"', ("foo", "=", "aé🙂A\t")),
        ("foo!~b.r,", ("foo", "!~", "b.r")),
        ("1foo=~bar", ("1foo", "=~", "bar")),
    ],
)
def test_utf8_matchers(text: str, found: tuple[str, str, str]) -> None:
    assert parts(text, UTF8) == found


@pytest.mark.parametrize(
    "text",
    [
        "foo",
        "foo=",
        "=bar",
        "foo=bar=",
        "foo=bar baz",
        'foo="bar',
        "foo!bar",
        "foo=b'r",
        r'foo="\q"',
        r'foo="\777"',
        r'foo="\ud800"',
        r'foo="\xff"',
        'foo="a\nb"',
        "",
        "a=b,c=d",
        "{a=b}",
    ],
)
def test_utf8_faults(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_matcher(text, UTF8)


def test_utf8_faults_say_where() -> None:
    with pytest.raises(InvalidInput, match=r"^3:4: unexpected =: expected label value$"):
        parse_matchers("a!==x", UTF8)
    with pytest.raises(InvalidInput, match=r'^2:4: "x: missing end "$'):
        parse_matchers('a="x', UTF8)
    with pytest.raises(InvalidInput, match="expected close brace"):
        parse_matchers("{a=b", UTF8)
    with pytest.raises(InvalidInput, match="expected close brace"):
        parse_matchers("{", UTF8)
    with pytest.raises(InvalidInput, match="expected a comma or close brace"):
        parse_matchers("a=b c=d", UTF8)
    with pytest.raises(InvalidInput, match="unexpected }: expected a comma or close brace"):
        parse_matchers("a=b}", UTF8)
    with pytest.raises(InvalidInput, match="expected label name"):
        parse_matchers("a=b,=c", UTF8)


def test_the_fallback_takes_what_only_one_grammar_understands() -> None:
    assert parts("foo🙂=bar", FALLBACK) == ("foo🙂", "=", "bar")
    assert parts("foo=bar{", FALLBACK) == ("foo", "=", "bar{")
    with pytest.raises(InvalidInput, match="unexpected open or close brace"):
        parse_matcher('{foo="bar"}', FALLBACK)
    with pytest.raises(InvalidInput):
        parse_matcher("foo🙂=bar", CLASSIC)


def test_classic_wins_where_both_grammars_understand_something_else() -> None:
    text = r'foo="\t"'
    assert parts(text, UTF8)[2] == "\t"
    assert parts(text, FALLBACK)[2] == r"\t"


@pytest.mark.parametrize("mode", list(MatcherMode))
@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("{}", "{}"),
        ("", "{}"),
        ('{foo="bar"}', '{foo="bar"}'),
        ('{foo = "bar", dings != "bums", }', '{foo="bar",dings!="bums"}'),
        ("foo=bar,dings!=bums", '{foo="bar",dings!="bums"}'),
        ('a="x,y",b=~"c|d"', '{a="x,y",b=~"c|d"}'),
        (r'{quote="She said: \"Hi, you\""}', r'{quote="She said: \"Hi, you\""}'),
    ],
)
def test_lists(text: str, printed: str, mode: MatcherMode) -> None:
    assert format_matchers(parse_matchers(text, mode)) == printed


def test_a_list_with_a_fault_in_it_is_refused() -> None:
    with pytest.raises(InvalidInput, match="bad matcher format"):
        parse_matchers("foo=bar,,x=y", FALLBACK)
    with pytest.raises(InvalidInput, match="expected 1 matcher, found 2"):
        parse_matcher("a=b,c=d", UTF8)
    with pytest.raises(InvalidInput, match="no matchers"):
        parse_matcher(" ", UTF8)


def test_printing_quotes_what_needs_it_and_orders_by_name_value_operator() -> None:
    unordered = [
        matcher("b", MatchOp.EQUAL, "1"),
        matcher("a", MatchOp.REGEX, "2"),
        matcher("a", MatchOp.EQUAL, "2"),
        matcher("a b", MatchOp.EQUAL, 'x"y\\z\n'),
    ]
    printed = '{a="2",a=~"2","a b"="x\\"y\\\\z\\n",b="1"}'
    assert format_matchers(ordered(unordered)) == printed


def test_label_names_are_free_but_for_the_classic_mode() -> None:
    for name in ("a-b", "foo🙂", "1a", "a:b"):
        assert valid_name(name, FALLBACK)
        assert not valid_name(name, CLASSIC)
    for mode in MatcherMode:
        assert valid_name("_a1", mode)
        assert not valid_name("", mode)
    assert not valid_name("\ud800", UTF8)


@given(st.text(max_size=30), st.sampled_from(MatcherMode))
def test_any_text_is_parsed_or_refused(text: str, mode: MatcherMode) -> None:
    try:
        found = parse_matchers(text, mode)
    except InvalidInput:
        return
    again = parse_matchers(format_matchers(found), CLASSIC if mode is CLASSIC else FALLBACK)
    assert len(again) == len(found)


@given(st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True), st.text(max_size=20))
def test_what_is_printed_is_read_back(name: str, value: str) -> None:
    printed = format_matchers([matcher(name, MatchOp.EQUAL, value)])
    assert parse_matchers(printed, CLASSIC) == (matcher(name, MatchOp.EQUAL, value),)
