"""Nodes become structs; every fault is told with its place."""

from __future__ import annotations

import collections.abc
import enum
from typing import Annotated, Any, Literal, NewType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.config_loader.convert import Converted, convert, nearest
from tocsin.config_loader.tree import parse
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration, duration

Name = NewType("Name", str)


class Colour(enum.StrEnum):
    """A choice."""

    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    """A choice among numbers."""

    LOW = 1
    HIGH = 2


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    """A nested section."""

    name: str
    hold: Duration = msgspec.field(name="for", default_factory=Duration)


class Strict(msgspec.Struct, frozen=True, kw_only=True):
    """A section whose number nobody can guess."""

    number: int


class Picky(msgspec.Struct, frozen=True, kw_only=True):
    """A section that checks itself."""

    low: int = 0
    high: int = 10

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    """Every kind of field."""

    text: str = "default"
    maybe: str | None = None
    number: int = 1
    ratio: float = 0.5
    flag: bool = False
    wait: Duration = duration("30s")
    key: Secret | None = None
    colour: Colour = Colour.RED
    level: Level = Level.LOW
    mode: Literal["a", "b", 3] = "a"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 80
    code: Annotated[str, msgspec.Meta(pattern="^x")] = "x"
    tenant: Name = Name("n")
    words: list[str] = []
    pair: tuple[str, int] = ("a", 1)
    many: tuple[int, ...] = ()
    unique: frozenset[str] = frozenset()
    seq: collections.abc.Sequence[int] = ()
    few: Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)] = []
    labels: dict[str, str] = {}
    numbers: dict[Colour, int] = {}
    mixed: dict[str, str | int | float | bool] = {}
    either: int | Inner | list[int] = 0
    amount: int | Duration = 0
    inner: Inner | None = None
    inners: list[Inner] = []
    holes: list[Inner | None] = []
    picky: Picky = Picky()
    anything: Any = None


def read(text: str, kind: Any = Outer) -> Converted[Any]:
    document = parse(text, file="f")
    assert document.root is not None
    assert document.problems == ()
    return convert(document.root, kind)


def value(text: str) -> Any:
    done = read(text)
    assert done.problems == ()
    return done.value


def faults(text: str, kind: Any = Outer) -> list[str]:
    return [str(problem) for problem in read(text, kind).problems]


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("text: on", "text", "on"),
        ("text: 1.10", "text", "1.10"),
        ("text: 12:30", "text", "12:30"),
        ("text: 0x10", "text", "0x10"),
        ("text: ''", "text", ""),
        ("text:", "text", "default"),
        ("text: ~", "text", "default"),
        ("maybe: ~", "maybe", None),
        ("maybe: no", "maybe", "no"),
        ("number: 0x10", "number", 16),
        ("ratio: 1", "ratio", 1.0),
        ("ratio: 1e-3", "ratio", 0.001),
        ("flag: yes", "flag", True),
        ("flag: Off", "flag", False),
        ("wait: 1h30m", "wait", Duration(minutes=90)),
        ("wait: 0", "wait", Duration(0)),
        ("wait: '5m'", "wait", Duration(minutes=5)),
        ("key: 12345", "key", Secret("12345")),
        ("colour: green", "colour", Colour.GREEN),
        ("level: 2", "level", Level.HIGH),
        ("mode: b", "mode", "b"),
        ("mode: 3", "mode", 3),
        ("port: 65535", "port", 65535),
        ("code: xyz", "code", "xyz"),
        ("tenant: t", "tenant", "t"),
        ("words: [a, 1, yes]", "words", ["a", "1", "yes"]),
        ("words: [a, ~]", "words", ["a", "~"]),
        ("words:", "words", []),
        ("pair: [x, 2]", "pair", ("x", 2)),
        ("many: [1, 2]", "many", (1, 2)),
        ("unique: [a, a]", "unique", frozenset({"a"})),
        ("seq: [1]", "seq", (1,)),
        ("few: [1, 2]", "few", [1, 2]),
        ("labels: {a: 1, b: yes, c: }", "labels", {"a": "1", "b": "yes", "c": ""}),
        ("numbers: {red: 1}", "numbers", {Colour.RED: 1}),
        ("mixed: {a: 1.10, b: true}", "mixed", {"a": "1.10", "b": "true"}),
        ("either: 3", "either", 3),
        ("either: [3]", "either", [3]),
        ("either: {name: x}", "either", Inner(name="x")),
        ("amount: 3", "amount", 3),
        ("amount: 3m", "amount", Duration(minutes=3)),
        ("inner: {name: x, for: 1m}", "inner", Inner(name="x", hold=Duration(minutes=1))),
        ("inner: ~", "inner", None),
        ("holes: [~, {name: x}]", "holes", [None, Inner(name="x")]),
        ("picky: {low: 2}", "picky", Picky(low=2)),
        ("picky:", "picky", Picky()),
        ("anything: [1, {a: no}]", "anything", [1, {"a": "no"}]),
    ],
)
def test_the_field_decides_what_a_scalar_means(text: str, field: str, expected: object) -> None:
    found = getattr(value(text), field)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("txt: a", 'f:1:1: unknown field "txt" (did you mean "text"?)'),
        ("inner: {name: x, zzz: 1}", 'f:1:18: unknown field "zzz" (known here: for, name)'),
        ("inner: {}", 'f:1:8: required field "name" is missing'),
        ("inner: {name: }", 'f:1:9: required field "name" is empty'),
        ("text: [a]", "f:1:7: expected a string, got a list"),
        ("text: {a: b}", "f:1:7: expected a string, got a mapping"),
        ("number: ten", 'f:1:9: expected an integer, got "ten"'),
        ("number: '10'", 'f:1:9: expected an integer, got the quoted text "10"'),
        ("number: 1.5", 'f:1:9: expected an integer, got "1.5"'),
        ("number: true", 'f:1:9: expected an integer, got "true"'),
        ("ratio: x", 'f:1:8: expected a number, got "x"'),
        ("flag: maybe", 'f:1:7: expected true or false, got "maybe"'),
        ("flag: 'true'", 'f:1:7: expected true or false, got the quoted text "true"'),
        ("flag: 1", 'f:1:7: expected true or false, got "1"'),
        ("wait: 5", "f:1:7: not a valid duration string: '5' (write for example 30s or 1h30m)"),
        ("wait: [5m]", "f:1:7: expected a duration such as 30s, got a list"),
        ("key: [a]", "f:1:6: expected a string, got a list"),
        ("colour: blue", 'f:1:9: expected one of red, green, got "blue"'),
        ("level: 3", 'f:1:8: expected one of 1, 2, got "3"'),
        ("mode: c", 'f:1:7: expected one of a, b, 3, got "c"'),
        ("port: 0", "f:1:7: expected int >= 1"),
        ("code: abc", "f:1:7: expected str matching regex '^x'"),
        ("words: a", 'f:1:8: expected a list, got "a"'),
        ("words: {a: b}", "f:1:8: expected a list, got a mapping"),
        ("labels: [a]", "f:1:9: expected a mapping, got a list"),
        ("labels: {a: [b]}", "f:1:13: expected a string, got a list"),
        ("numbers: {blue: 1}", 'f:1:11: expected one of red, green, got "blue"'),
        ("pair: [x]", "f:1:7: expected 2 items, got 1"),
        ("few: []", "f:1:6: expected at least 1 entries"),
        ("few: [1, 2, 3]", "f:1:6: expected at most 2 entries"),
        ("inner: text", 'f:1:8: expected a mapping, got "text"'),
        ("inners: [~]", 'f:1:10: required field "name" is missing'),
        ("many: [~]", "f:1:8: expected an integer, got nothing"),
        ("either: x", 'f:1:9: expected an integer, got "x"'),
        ("picky: {low: 20}", "f:1:8: low is above high"),
        (f"number: {'x' * 90}", f'f:1:9: expected an integer, got "{"x" * 57}..."'),
    ],
)
def test_a_fault_says_where_and_what(text: str, fault: str) -> None:
    assert faults(text) == [fault]


def test_every_fault_is_told_at_once() -> None:
    text = "txt: 1\nnumber: x\ninners:\n  - {nam: a}\n  - {name: [b], for: 5}\nflag: 7\n"
    assert [fault.partition(": ")[0] for fault in faults(text)] == [
        "f:1:1",
        "f:2:9",
        "f:6:7",
        "f:4:6",
        "f:4:5",
        "f:5:12",
        "f:5:22",
    ]


def test_what_could_be_saved_is_given_beside_the_problems() -> None:
    done = read("text: kept\nnumber: x\nzzz: 1")
    assert done.value == Outer(text="kept")
    assert len(done.problems) == 2
    assert read("name: [x]", Inner).value == Inner(name="")
    assert read("{}", Strict).value is None


def test_a_section_that_is_no_mapping_gives_nothing() -> None:
    assert read("- a").value is None
    assert faults("just text") == ['f:1:1: expected a mapping, got "just text"']


def test_an_empty_file_is_a_section_of_defaults() -> None:
    assert value("") == Outer()


def test_lists_and_mappings_are_read_at_the_root_too() -> None:
    assert read("[1, 2]", list[int]).value == [1, 2]
    assert read("{a: 1}", dict[str, int]).value == {"a": 1}
    assert read("[x]", list[int]).value is None
    assert read("[1, a]", list).value == [1, "a"]
    assert read("{a: no}", dict).value == {"a": "no"}


def test_a_fault_behind_an_alias_is_told_once() -> None:
    assert faults("inner: &x {nam: a}\neither: *x\nholes: [*x]") == [
        'f:1:12: unknown field "nam" (did you mean "name"?)',
        'f:1:8: required field "name" is missing',
    ]


def test_a_union_of_structs_tells_the_faults_of_the_likeliest() -> None:
    kind = list[Inner | Picky]
    assert read("[{name: x}, {low: 1}]", kind).value == [Inner(name="x"), Picky(low=1)]
    assert faults("[{name: x, hi: 3}]", kind) == [
        'f:1:12: unknown field "hi" (known here: for, name)'
    ]


def test_a_null_where_only_null_is_meant() -> None:
    assert read("~", type(None)).problems == ()
    assert faults("x", type(None)) == ['f:1:1: expected nothing, got "x"']


def test_a_secret_is_never_in_a_message() -> None:
    done = read("key: hunter2\ninners: [{key: hunter2}]")
    assert all("hunter2" not in str(problem) for problem in done.problems)
    assert "hunter2" not in repr(done.value)


def test_the_nearest_name() -> None:
    assert nearest("group_wiat", ["group_wait", "group_by"]) == ' (did you mean "group_wait"?)'
    assert nearest("groupBy", ["group_wait", "group_by"]) == ' (did you mean "group_by"?)'
    assert nearest("zebra", ["group_wait"]) == ""


@given(st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1))
def test_a_quoted_string_comes_through_unchanged(text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    assert value(f"text: {quoted}").text == text


@given(st.integers(min_value=0, max_value=10**15))
def test_an_unquoted_number_is_text_in_a_text_field(number: int) -> None:
    assert value(f"text: {number}").text == str(number)
    assert value(f"number: {number}").number == number
