"""Variables are replaced in scalars of our own file, and only there."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.config_loader.expand import Expanded, expand, expand_text
from tocsin.config_loader.tree import Node, parse, plain
from tocsin.model.settings import PathPart

ENV = {"HOST": "db-1", "PORT": "9093", "EMPTY": "", "TRICKY": "${HOST} $$ a: [1]\n- x"}


def expanded(text: str, *, spare: str = "") -> Expanded:
    def spared(path: tuple[PathPart, ...], node: Node) -> bool:
        return bool(spare) and path == (spare,)

    root = parse(text, file="f").root
    assert root is not None
    return expand(root, ENV, spared=spared)


def test_values_are_expanded_and_keys_are_not() -> None:
    done = expanded("${HOST}: ${HOST}\nlist: ['a-${HOST}-${PORT}']\n")
    assert plain(done.section.node) == {"${HOST}": "db-1", "list": ["a-db-1-9093"]}
    assert done.problems == ()


def test_a_plain_scalar_keeps_its_type_and_a_quoted_one_is_text() -> None:
    done = expanded("a: ${PORT}\nb: '${PORT}'")
    assert plain(done.section.node) == {"a": 9093, "b": "9093"}


def test_a_value_can_add_neither_structure_nor_further_variables() -> None:
    assert plain(expanded("a: ${TRICKY}").section.node) == {"a": ENV["TRICKY"]}


def test_what_is_spared_stays_as_written() -> None:
    done = expanded("groups: [{expr: '${NOPE} $$'}]\na: ${HOST}", spare="groups")
    assert plain(done.section.node) == {"groups": [{"expr": "${NOPE} $$"}], "a": "db-1"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$$", "$"),
        ("$${HOST}", "${HOST}"),
        ("$$$${HOST}", "$${HOST}"),
        ("$$${HOST}", "$db-1"),
        ("$labels.instance costs 5$", "$labels.instance costs 5$"),
        ("${1}:9100", "${1}:9100"),
        ("${NOPE:-x}", "x"),
        ("${NOPE:-}", ""),
        ("${NOPE:-a:-b}", "a:-b"),
        ("${EMPTY}", ""),
        ("${EMPTY:-x}", "x"),
        ("${HOST:-x}", "db-1"),
        ("{{ $x := 1 }}", "{{ $x := 1 }}"),
    ],
)
def test_forms(text: str, value: str) -> None:
    assert expand_text(text, ENV) == (value, ())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("${NOPE}", "environment variable NOPE is not set (set it, or write ${NOPE:-default})"),
        ("${}", "${} is no variable: write ${NAME}, or $$ for $"),
        ("${HOST", "${HOST is no variable: write ${NAME}, or $$ for $"),
        ("${HOST:?x}", "${HOST:?x} is no variable: write ${NAME}, or $$ for $"),
        ("${a b}", "${a b} is no variable: write ${NAME}, or $$ for $"),
    ],
)
def test_faults(text: str, fault: str) -> None:
    assert expand_text(text, ENV) == (text, (fault,))


def test_every_fault_has_its_place_and_an_alias_tells_it_once() -> None:
    done = expanded("a: &x ${NOPE}\nb: *x\nc:\n  - ${A}${B}\n")
    found = [str(p)[:38] for p in done.problems]
    assert found == [
        "f:1:4: environment variable NOPE is no",
        "f:4:5: environment variable A is not s",
        "f:4:5: environment variable B is not s",
    ]


@given(st.text())
def test_text_without_a_dollar_is_untouched(text: str) -> None:
    clean = text.replace("$", "")
    assert expand_text(clean, ENV) == (clean, ())


@given(st.text())
def test_doubling_every_dollar_protects_any_text(text: str) -> None:
    assert expand_text(text.replace("$", "$$"), {}) == (text, ())


@given(st.text(alphabet="${}:-A1 ", max_size=30))
def test_any_text_expands_or_tells_why_not(text: str) -> None:
    value, found = expand_text(text, {"A": "v"})
    assert isinstance(value, str)
    if not re.search(r"\$[{$]", text):
        assert (value, found) == (text, ())
