"""Faults are told once, in file order, and consequences of a fault are not told."""

import pytest

from tocsin.config_loader.report import Report, in_file_order
from tocsin.config_loader.tree import Section, parse
from tocsin.model.errors import ConfigError, Problem
from tocsin.model.settings import Finding


def section(text: str) -> Section:
    root = parse(text, file="f").root
    assert root is not None
    return root


def test_problems_are_sorted_by_place_and_files_by_first_appearance() -> None:
    problems = [
        Problem("c", "main", 9, 1),
        Problem("d", "other", 1, 1),
        Problem("a", "main", 2, 5),
        Problem("b", "main", 2, 7),
        Problem("a", "main", 2, 5),
    ]
    assert "".join(p.message for p in in_file_order(problems)) == "abcd"


def test_nothing_is_raised_without_a_problem() -> None:
    report = Report()
    report.warn(section("a: 1"), "hm", "a")
    report.raise_if_any()
    assert [str(w) for w in report.warnings] == ["f:1:4: hm"]


def test_everything_is_raised_together() -> None:
    report, root = Report(), section("a: 1\nb: [2]")
    report.fault(root, "second", "b", 0)
    report.take(root, [Finding(("a",), "first")])
    with pytest.raises(ConfigError, match=r"f:1:4: first\nf:2:5: second"):
        report.raise_if_any()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (("good", "x"), True),
        (("good",), True),
        (("torn",), False),
        (("torn", "missing"), False),
        (("torn", "bad"), False),
        (("torn", "deep", "x"), True),
        (("list",), False),
        (("list", 0), False),
        (("list", 1), True),
    ],
)
def test_a_finding_where_decoding_failed_is_not_told(
    path: tuple[str | int, ...],
    told: bool,  # noqa: FBT001  # a table
) -> None:
    root = section("good: {x: 1}\ntorn: {bad: 1, deep: {x: 1}}\nlist: [1, 2]\n")
    report = Report()
    report.broken([Problem("decode", "f", 2, 13), Problem("decode", "f", 3, 8)])
    before = len(report.problems)
    report.take(root, [Finding(path, "stage")])
    assert (len(report.problems) > before) is told


def test_one_decoding_problem_a_place_is_enough() -> None:
    report = Report()
    report.broken([Problem("first", "f", 1, 1)])
    report.broken([Problem("second", "f", 1, 1), Problem("other", "g", 1, 1)])
    assert [p.message for p in report.problems] == ["first", "other"]


def test_an_entry_is_sound_when_nothing_in_it_failed() -> None:
    root = section("a: {b: {c: 1}}\nd: 1\n")
    report = Report()
    assert report.sound(root, "a")
    report.broken([Problem("x", "f", 1, 12)])
    assert not report.sound(root, "a")
    assert report.sound(root, "d")
    assert report.sound(root, "absent")
    assert not report.sound(section("[1]"), "a")
