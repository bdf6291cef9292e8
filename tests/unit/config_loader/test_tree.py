"""YAML text becomes a tree with places, within budgets."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tocsin.config_loader import tree
from tocsin.config_loader.tree import (
    ListNode,
    MapNode,
    ScalarNode,
    descend,
    is_null,
    parse,
    places,
    plain,
    resolve,
)


def data(text: str) -> object:
    document = parse(text, file="f")
    assert document.problems == ()
    assert document.root is not None
    return plain(document.root.node)


def faults(text: str) -> list[str]:
    return [str(problem) for problem in parse(text, file="f").problems]


def test_every_node_and_key_knows_its_place() -> None:
    document = parse("a:\n  - x\n  - é: 1\n    b: [2, 3]\n", file="f")
    assert document.root is not None
    root = document.root.node
    assert isinstance(root, MapNode)
    assert (root.entries["a"].key.line, root.entries["a"].key.column) == (1, 1)
    assert descend(root, ("a", 0)).place == tree.Place(2, 5)
    assert descend(root, ("a", 1, "b", 1)).place == tree.Place(4, 12)
    assert len(list(places(root))) == 11


def test_a_path_that_leads_nowhere_ends_at_the_deepest_node() -> None:
    document = parse("a: {b: [1]}", file="f")
    assert document.root is not None
    root = document.root.node
    assert isinstance(descend(root, ("a", "b", 7)), ListNode)
    assert isinstance(descend(root, ("a", "x", "y")), MapNode)
    assert isinstance(descend(root, ("a", "b", 0, "z")), ScalarNode)
    assert descend(root, (3,)) is root


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("12", 12),
        ("+12", 12),
        ("-0", 0),
        ("0o17", 15),
        ("0xfF", 255),
        ("017", 17),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("on", "on"),
        ("no", "no"),
        ("y", "y"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("2026-01-01", "2026-01-01"),
        ("nan", "nan"),
        ("9" * 400, math.inf),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("!!int 12", 12),
        ("|\n  12", "12\n"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert data(f"k: {text}\n") == {"k": value}


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(resolve(ScalarNode(".nan", plain=True, place=tree.Place(1, 1))))  # type: ignore[arg-type]  # a float by its text


def test_an_empty_file_is_nothing() -> None:
    assert data("") is None
    assert data("# only a comment\n") is None
    assert data("---\n") is None


def test_a_byte_order_mark_and_document_ends_are_taken() -> None:
    assert data("\ufeffa: 1") == {"a": 1}
    assert data("---\na: 1\n...\n") == {"a": 1}
    assert data("a: 1\n---\n") == {"a": 1}


def test_merge_keys_fill_what_the_mapping_leaves_out() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\n"
    assert data(text + "m: {<<: *b, x: 9}") == data(text + "m: {x: 9, y: 2}")
    assert data(text + "m: {x: 9, <<: *b}") == data(text + "m: {x: 9, y: 2}")
    assert data(text + "m: {<<: [*b, *o]}") == data(text + "m: {x: 1, y: 2, z: 4}")


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert data("'<<': {a: 1}") == {"<<": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\nb: 2\na: 3", 'f:3:1: duplicate key "a", first on line 1'),
        ("a: {<<: 1}", "f:1:9: a merge key << takes a mapping or a list of mappings"),
        ("a: {<<: [1]}", "f:1:9: a merge key << takes a mapping or a list of mappings"),
        ("[a]: 1", "f:1:1: a key must be a string"),
        ("{a: 1}: 1", "f:1:1: a key must be a string"),
        ("a: *x", "f:1:4: alias *x names no anchor above it"),
        ("a: &x [*x]", "f:1:8: alias *x stands inside its own anchor"),
        ("a: !foo 1", "f:1:4: tag !foo is not supported here"),
        ("a: !!binary aGk=", "f:1:4: tag !!binary is not supported here"),
        ("a: !!set {b}", "f:1:4: tag !!set is not supported here"),
        ("a: !!omap [b]", "f:1:4: tag !!omap is not supported here"),
        ("a: 1\n---\nb: 2", "f:2:1: only one YAML document is allowed in a file"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_place(text: str, fault: str) -> None:
    assert faults(text) == [fault]


def test_all_faults_of_a_file_are_told() -> None:
    assert len(faults("a: 1\na: 2\nb: !x 1\n[c]: 1\nb: 3")) == 4


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1\nb: 2", "f:2:2: not valid YAML: while parsing a flow sequence"),
        ("a:\n\t- b", "f:2:1: not valid YAML: while scanning for the next token"),
        ("a: 'x\ny", "f:2:2: not valid YAML: while scanning a quoted scalar"),
        ("é: é\x01", "f:1:5: not valid YAML: control characters are not allowed"),
        ("a: 1\nb: \ud800", "f:2:4: not valid YAML: lone surrogate"),
        ("a: b: c", "f:1:5: not valid YAML: mapping values are not allowed"),
    ],
)
def test_bad_syntax_is_one_problem_and_leaves_nothing(text: str, place: str) -> None:
    document = parse(text, file="f")
    assert document.root is None
    assert [str(p)[: len(place)] for p in document.problems] == [place]


def test_a_file_over_the_size_limit_is_not_parsed() -> None:
    assert faults("#" * (tree.MAX_BYTES + 1)) == [
        "f:1:1: file is too large: 1048577 bytes, at most 1048576"
    ]


def test_the_number_of_events_is_bounded() -> None:
    assert "over 200000 YAML events" in faults("[" + "1," * tree.MAX_EVENTS + "]")[0]


def test_depth_is_bounded_with_and_without_aliases() -> None:
    deep = tree.MAX_DEPTH
    assert faults("[" * deep + "]" * deep) == []
    assert "nested too deeply" in faults("[" * (deep + 2) + "]" * (deep + 2))[0]
    half = "[" * 40 + "]" * 40
    assert "nested too deeply" in faults(f"a: &a {half}\nb: " + "[" * 40 + "*a" + "]" * 40)[0]


def test_the_number_of_aliases_is_bounded() -> None:
    many = ["*a"] * tree.MAX_ALIASES
    assert faults(f"a: &a 1\nb: [{', '.join(many)}]") == []
    assert "too many aliases" in faults(f"a: &a 1\nb: [{', '.join([*many, '*a'])}]")[0]


def test_an_alias_bomb_stops_before_it_expands() -> None:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 9)]
    assert "too large once aliases are expanded" in faults("\n".join(lines))[0]


def test_null_is_plain_only() -> None:
    place = tree.Place(1, 1)
    assert is_null(ScalarNode("", plain=True, place=place))
    assert not is_null(ScalarNode("", plain=False, place=place))
    assert not is_null(MapNode({}, place))


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=5), trees, max_size=4))
def test_what_is_written_is_read(value: object) -> None:
    assert data(yaml.safe_dump(value, default_style='"')) == value


@given(st.text(max_size=200))
def test_any_text_is_a_tree_or_problems(text: str) -> None:
    document = parse(text, file="f")
    assert document.root is not None or document.problems
    assert all(p.line >= 1 and p.column >= 1 for p in document.problems)


@given(st.text(alphabet="ab:-[]{}&*!<, \n'\"|>#?%@", max_size=60))
def test_yaml_like_text_is_a_tree_or_problems(text: str) -> None:
    document = parse(text, file="f")
    assert document.root is not None or document.problems
