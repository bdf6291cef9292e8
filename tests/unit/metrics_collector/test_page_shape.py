"""A page read by its shape gives what it gives line by line, and a change of shape is noticed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.metrics_collector.exposition import PageParser, PageSamples
from tocsin.model.errors import InvalidInput

PAGE = """\
# HELP a Some a.
# TYPE a counter
a{x="1"} 1
a{x="2"} 2.5

b 3
with_time 4 1000
with_exemplar_total 5 # {trace="x"} 0.5
with_both_total 7 5 # {trace="x"} 0.5
with_time_too 4 2000
last 6
"""


class Plain(PageParser):
    """Reads every page line by line."""

    def _learn_shape(self, body: bytes, page: PageSamples) -> None:
        """Learn nothing."""


def read(parser: PageParser, page: str, *, openmetrics: bool) -> tuple[Any, ...] | str:
    text = page + "# EOF\n" if openmetrics else page
    try:
        found = parser.parse(text.encode(), openmetrics=openmetrics)
    except InvalidInput as error:
        parser.forget()  # as for a target whose scrape failed
        return str(error)
    labels = [parser.series[number] for number in found.numbers]
    bits = found.values.view(np.uint64).tolist()
    return labels, bits, list(found.times.items()), found.exemplars, found.metadata


def check(pages: Sequence[str], *, openmetrics: bool) -> None:
    quick, plain = PageParser(), Plain()
    for page in pages:
        expected = read(plain, page, openmetrics=openmetrics)
        assert read(quick, page, openmetrics=openmetrics) == expected, page
        afresh = read(PageParser(), page, openmetrics=openmetrics)
        if isinstance(expected, str) or isinstance(afresh, str):
            assert afresh == expected, page
        else:  # all but the metadata, of which only what is new is told
            assert afresh[:-1] == expected[:-1], page


def in_shape(page: str, *, openmetrics: bool = True) -> PageParser:
    """Return a parser that knows the shape of a page."""
    parser = PageParser()
    for _ in range(2):
        assert not isinstance(read(parser, page, openmetrics=openmetrics), str)
    assert parser._shape is not None
    return parser


def test_of_a_page_in_shape_only_the_values_are_new() -> None:
    parser = in_shape(PAGE)
    numbers = parser._before
    changed = PAGE.replace("2.5", "+Inf").replace("4 1000", "8 1001.5").replace("0.5", "7 9")
    found = parser.parse(changed.encode() + b"# EOF\n", openmetrics=True)
    assert found.numbers is numbers
    assert found.values.tolist() == [1, float("inf"), 3, 8, 5, 7, 4, 6]
    assert list(found.times.items()) == [(3, 1_001_500), (5, 5000), (6, 2_000_000)]
    assert (found.exemplars, found.metadata) == (2, {})


CHANGES = {
    "a value": ("2.5", "1e-7"),
    "a value that is none": ("2.5", "x"),
    "an empty value": ("b 3", "b "),
    "a value with a separator": ("2.5", "2_5"),
    "a value behind two spaces": ("b 3", "b  3"),
    "a value before a space": ("b 3", "b 3 "),
    "a value before a tab": ("b 3", "b 3\t"),
    "no space before a value": ('a{x="2"} 2.5', 'a{x="2"}2.5'),
    "a value in the wrong place": ("b 3", "b3 "),
    "a value and a time in the wrong place": ("with_time 4 1000", "with_time4 1000 "),
    "a hexadecimal value": ("b 3", "b 0x3"),
    "letters of numbers": ("b 3", "b fin"),
    "another name": ("b 3", "c 3"),
    "a longer name": ("b 3", "bn 3"),
    "no name": ("b 3", " 3"),
    "another label value": ('x="2"', 'x="3"'),
    "the same series twice": ('x="2"', 'x="1"'),
    "a time where none was": ("b 3", "b 3 5"),
    "no time where one was": ("4 1000", "4"),
    "a time that is none": ("4 1000", "4 x"),
    "a time too large": ("4 1000", "4 99999999999999999999"),
    "a time that is infinite": ("4 1000", "4 inf"),
    "a time without a value": ("4 1000", " 1000"),
    "a value without a time": ("4 1000", "4 "),
    "an exemplar where none was": ("b 3", 'b 3 # {x="y"} 1'),
    "no exemplar where one was": (' # {trace="x"} 0.5', ""),
    "an exemplar of another series": ("with_exemplar_total", "other_total"),
    "a comment where an exemplar was": ("with_exemplar_total 5", "# with_exemplar_total 5"),
    "a comment where a sample was": ("b 3", "# b 3"),
    "another comment": ("Some a.", "Another a."),
    "another type": ("a counter", "a gauge"),
    "a line less": ("b 3\n", ""),
    "a line more": ("b 3\n", "b 3\nc 4\n"),
    "an empty line more": ("b 3\n", "b 3\n\n"),
    "two lines in one": ("b 3\n", "b 3"),
    "lines in another order": ('b 3\na{x="2"} 2.5', 'a{x="2"} 2.5\nb 3'),
    "a carriage return": ("b 3", "b 3\r"),
    "a form feed": ("b 3", "b \x0c3"),
    "a tab before a time": ("with_time 4 1000", "with_time 4\t1000"),
    "text that is not ASCII": ("b 3", "b ٣"),
}


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize(("old", "new"), CHANGES.values(), ids=CHANGES)
def test_a_page_that_changes_is_read_as_line_by_line(
    old: str,
    new: str,
    openmetrics: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    page = PAGE if openmetrics else PAGE.replace(' # {trace="x"} 0.5', "")
    changed = page.replace(old, new)
    check([page, page, changed, changed, changed, page, page, page], openmetrics=openmetrics)


def test_a_shape_that_proved_wrong_is_not_learnt_again_at_once() -> None:
    parser = in_shape("# 1\na 1\n", openmetrics=False)
    learnt = []
    for n in range(4):
        read(parser, f"# {n + 2}\na 1\n", openmetrics=False)
        learnt.append(parser._shape is not None)
    assert learnt == [False, True, False, True]


def test_a_page_may_change_its_format() -> None:
    parser = in_shape("a 1 5000\n", openmetrics=False)
    assert parser.parse(b"a 1 5\n# EOF", openmetrics=True).times == {0: 5000}


def test_a_page_of_comments_and_an_empty_one_have_a_shape() -> None:
    for page in ("", "\n\n", "# nothing\n"):
        check([page] * 4, openmetrics=False)
        check([page, page, page, "a 1", page + "a 1", page], openmetrics=False)
        in_shape(page)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_a_long_page_is_read_in_pieces(
    openmetrics: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = "tocsin.metrics_collector.page_shape"
    monkeypatch.setattr(f"{module}._LINES", 3)
    monkeypatch.setattr(f"{module}._BYTES", 7)
    page = PAGE if openmetrics else PAGE.replace(' # {trace="x"} 0.5', "")
    for old, new in CHANGES.values():
        changed = page.replace(old, new)
        check([page, page, changed, changed, changed, page], openmetrics=openmetrics)


NAMES = st.sampled_from(["a", "b", 'c{x="1"}', 'c{x="2"}', 'c{x=" 1"}', "nan", "e1"])
NUMBERS = st.sampled_from(
    ["1", "2.5", "-0", "1e300", "NaN", "+Inf", "infinity", "1_0", "x", "", "0x1", "1\x0c", "٣"]
)
ENDS = st.sampled_from(
    ["", "", "", " 5", " 6.5", " x", " ", '# {x="y"} 1', ' # {x="y"} 1', "\r", " 5 5", " nan"]
)
LINES = st.one_of(
    st.tuples(NAMES, st.sampled_from([" ", " ", " ", "  ", "\t", ""]), NUMBERS, ENDS).map("".join),
    st.sampled_from(["", " ", "# HELP a x", "# TYPE a gauge", "# a", "#", "# EOF"]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[str]:
    """Return pages of which each differs from the one before in a few lines, or not at all."""
    good = st.tuples(NAMES, st.just(" "), st.sampled_from(["1", "2"]), st.just("")).map("".join)
    lines: list[str] = draw(st.lists(good | good | LINES, max_size=5))
    pages = []
    for _ in range(draw(st.integers(3, 7))):
        pages.append("".join(line + "\n" for line in lines))
        changes: bool = draw(st.booleans())
        if lines and changes:
            at = draw(st.integers(0, len(lines) - 1))
            lines = [*lines[:at], draw(LINES), *lines[at + draw(st.integers(0, 1)) :]]
    return pages


@settings(max_examples=300)
@given(histories(), st.booleans())
def test_whatever_becomes_of_a_page_it_is_read_as_line_by_line(
    pages: list[str],
    openmetrics: bool,  # noqa: FBT001 - drawn
) -> None:
    check(pages, openmetrics=openmetrics)
