"""Relabelling does what Prometheus' does: every action, its documented examples, its corners."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.metrics_collector.relabel import (
    Action,
    RelabelConfig,
    check_relabel,
    compile_rules,
    expand,
    relabel,
)
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels

Labelled = dict[str, str]


def rule(**keys: Any) -> RelabelConfig:
    return msgspec.convert(keys, RelabelConfig)


def made(labels: Labelled, *rules: dict[str, Any]) -> Labelled | None:
    configs = [rule(**keys) for keys in rules]
    assert list(check_relabel(configs)) == []
    return relabel(labels, compile_rules(configs))


def replace(source: str, regex: str, target: str, replacement: str) -> dict[str, Any]:
    return {
        "source_labels": [source],
        "regex": regex,
        "target_label": target,
        "replacement": replacement,
    }


@pytest.mark.parametrize(
    ("keys", "added"),
    [
        (replace("a", "f(.*)", "d", "ch${1}-ch${1}"), {"d": "choo-choo"}),
        (replace("a", "f(.*)", "d", "$1"), {"d": "oo"}),
        (replace("a", "f(?P<rest>.*)", "d", "${rest}$rest"), {"d": "oooo"}),
        (replace("a", ".*(o).*", "d", "$1"), {"d": "o"}),
        (replace("a", "o", "d", "x"), {}),
        (replace("a", "fo", "d", "x"), {}),
        (replace("a", "foo", "a", "bar"), {"a": "bar"}),
        (replace("a", "(f)(x)?.*", "d", "[$2$1]"), {"d": "[f]"}),
        (replace("a", "(f).*", "${1}_x", "v"), {"f_x": "v"}),
        (replace("a", "(f)(.*)", "$2", "$1"), {"oo": "f"}),
        (replace("a", "(f).*", "${9}", "v"), {}),
        (replace("a", "(f).*", "made_${1}", "$2"), {}),
        (replace("no", ".*", "d", "x"), {"d": "x"}),
        ({"target_label": "d", "replacement": "x"}, {"d": "x"}),
        ({"source_labels": ["a", "b"], "target_label": "d"}, {"d": "foo;bar"}),
        ({"source_labels": ["a", "b"], "target_label": "d", "separator": ""}, {"d": "foobar"}),
        ({"source_labels": ["a", "b"], "target_label": "d", "separator": None}, {"d": "foobar"}),
        ({"source_labels": ["a", "no", "b"], "target_label": "d"}, {"d": "foo;;bar"}),
    ],
)
def test_replace_writes_what_the_match_gives(keys: dict[str, Any], added: Labelled) -> None:
    labels = {"a": "foo", "b": "bar"}
    assert made(labels, keys) == {**labels, **added}


@pytest.mark.parametrize("replacement", ["", None, "$2"])
def test_a_label_that_becomes_empty_is_gone(replacement: str | None) -> None:
    keys = {"target_label": "a", "replacement": replacement}
    assert made({"a": "1", "b": "2"}, keys) == {"b": "2"}


def test_rules_follow_one_another() -> None:
    steps = made(
        {"a": "foo", "b": "bar", "c": "baz"},
        {**replace("a", "f(.*);(.*)r", "a", "b${1}${2}m"), "source_labels": ["a", "b"]},
        {**replace("c", "(b).*b(.*)ba(.*)", "d", "$1$2$2$3"), "source_labels": ["c", "a"]},
    )
    assert steps == {"a": "boobam", "b": "bar", "c": "baz", "d": "boooom"}


@pytest.mark.parametrize(
    ("action", "regex", "kept"),
    [
        ("keep", "foo", True),
        ("keep", "fo", False),
        ("keep", "f|o", False),
        ("keep", "f.*", True),
        ("Keep", "foo", True),
        ("drop", "foo", False),
        ("drop", "fo", True),
        ("DROP", ".*o.*", False),
        ("drop", "f|o", True),
    ],
)
def test_keep_and_drop_look_at_the_whole_value(action: str, regex: str, kept: bool) -> None:  # noqa: FBT001
    keys = {"source_labels": ["a"], "regex": regex, "action": action}
    assert (made({"a": "foo"}, keys) is not None) is kept


def test_what_is_dropped_is_not_looked_at_again() -> None:
    drop = {"source_labels": ["a"], "regex": "foo", "action": "drop"}
    assert made({"a": "foo"}, drop, {"target_label": "a", "replacement": "x"}) is None


@pytest.mark.parametrize(
    ("action", "target", "kept"),
    [
        ("keepequal", "__port1", True),
        ("keepequal", "__port2", False),
        ("dropequal", "__port1", False),
        ("dropequal", "__port2", True),
        ("dropequal", "none", True),
        ("keepequal", "none", False),
    ],
)
def test_equal_compares_with_another_label(action: str, target: str, kept: bool) -> None:  # noqa: FBT001
    labels = {"__tmp_port": "1234", "__port1": "1234", "__port2": "5678"}
    keys = {"source_labels": ["__tmp_port"], "target_label": target, "action": action}
    assert made(labels, keys) == (labels if kept else None)


@pytest.mark.parametrize(
    ("value", "shard"), [("baz", "976"), ("foo\nbar", "734")]
)  # values of Prometheus' own tests
def test_hashmod_gives_the_shards_of_prometheus(value: str, shard: str) -> None:
    keys = {"source_labels": ["c"], "target_label": "d", "action": "hashmod", "modulus": 1000}
    assert made({"c": value}, keys) == {"c": value, "d": shard}


def test_labelmap_copies_labels_whose_name_matches() -> None:
    labels = {"a": "0", "__meta_my_bar": "1", "__meta_my_baz": "2", "__meta_other": "3"}
    keys = {"regex": "__meta_(my.*)", "action": "labelmap"}
    assert made(labels, keys) == {**labels, "my_bar": "1", "my_baz": "2"}
    keys = {"regex": "(a)", "replacement": "x_${1}", "action": "labelmap"}
    assert made(labels, keys) == {**labels, "x_a": "0"}


def test_labelmap_to_no_name_changes_nothing() -> None:
    assert made({"a": "0"}, {"regex": "a()", "action": "labelmap"}) == {"a": "0"}


def test_labeldrop_and_labelkeep_look_at_names() -> None:
    labels = {"a": "foo", "b1": "bar", "b2": "baz"}
    assert made(labels, {"regex": "(b.*)", "action": "labeldrop"}) == {"a": "foo"}
    assert made(labels, {"regex": "(b.*)", "action": "labelkeep"}) == {"b1": "bar", "b2": "baz"}
    assert made(labels, {"regex": "", "action": "labelkeep"}) == {}


@pytest.mark.parametrize(
    ("value", "lower", "upper"),
    [("bAr123Foo", "bar123foo", "BAR123FOO"), ("Straße", "straße", "STRAßE"), ("ÄΣ", "äσ", "ÄΣ")],
)
def test_case_changes_character_by_character(value: str, lower: str, upper: str) -> None:
    keys = {"source_labels": ["a"], "target_label": "b"}
    assert made({"a": value}, {**keys, "action": "lowercase"}) == {"a": value, "b": lower}
    assert made({"a": value}, {**keys, "action": "uppercase"}) == {"a": value, "b": upper}


def test_tags_become_path_job_and_label() -> None:
    tags = {"__meta_sd_tags": "path:/secret,job:some-job,label:foo=bar"}
    assert made(
        tags,
        replace("__meta_sd_tags", "(?:.+,|^)path:(/[^,]+).*", "__metrics_path__", "${1}"),
        replace("__meta_sd_tags", "(?:.+,|^)job:([^,]+).*", "job", "${1}"),
        replace("__meta_sd_tags", "(?:.+,|^)label:([^=]+)=([^,]+).*", "${1}", "${2}"),
    ) == {**tags, "__metrics_path__": "/secret", "job": "some-job", "foo": "bar"}


def test_a_dropped_label_may_be_written_again() -> None:
    port, note = "__meta_kubernetes_pod_container_port_name", "__meta_annotation_port"
    assert made(
        {port: "foo", note: "9091"},
        {"regex": f"^{port}$", "action": "labeldrop"},
        replace(note, "(.+)", port, "metrics"),
        {"source_labels": [port], "regex": "^metrics$", "action": "keep"},
    ) == {port: "metrics", note: "9091"}


def test_a_dot_matches_a_newline_too() -> None:
    keys = {"source_labels": ["a"], "regex": "x.y", "action": "keep"}
    assert made({"a": "x\ny"}, keys) == {"a": "x\ny"}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("$1", "one"),
        ("${1}x", "onex"),
        ("$1x", ""),
        ("$$1", "$1"),
        ("$", "$"),
        ("${", "${"),
        ("${}", "${}"),
        ("${1", "${1"),
        ("$-$1", "$-one"),
        ("${name}!", "N!"),
        ("$name_", ""),
        ("${7}", ""),
        ("$01", ""),
        ("plain", "plain"),
    ],
)
def test_templates_expand_as_in_go(template: str, text: str) -> None:
    assert expand(template, {"0": "all", "1": "one", "name": "N"}) == text


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ({"action": "explode"}, ("action",), 'unknown relabel action "explode"'),
        ({"action": "keep", "regex": "("}, ("regex",), "bad regular expression"),
        ({"action": "hashmod", "target_label": "a"}, ("modulus",), "other than 0"),
        ({"action": "hashmod", "target_label": "a", "modulus": -1}, ("modulus",), "range"),
        ({"action": "hashmod", "target_label": "a-", "modulus": 2}, ("target_label",), "a-"),
        ({}, (), "relabel action replace needs a target_label"),
        ({"action": "lowercase"}, (), "needs a target_label"),
        ({"action": "keepequal"}, (), "needs a target_label"),
        ({"target_label": "-x"}, ("target_label",), '"-x" is invalid target_label'),
        ({"target_label": "0${3}"}, ("target_label",), "invalid"),
        ({"target_label": "${"}, ("target_label",), "invalid"),
        ({"target_label": "foo${"}, ("target_label",), "invalid"),
        ({"target_label": "-foo${1}bar-"}, ("target_label",), "invalid"),
        ({"action": "uppercase", "target_label": "${3}"}, ("target_label",), "invalid"),
        ({"action": "labelmap", "replacement": "-$1"}, ("replacement",), "invalid"),
        ({"action": "labelmap", "replacement": None}, ("replacement",), '"" is invalid'),
        (
            {"action": "lowercase", "target_label": "a", "replacement": "x"},
            ("replacement",),
            "takes no replacement",
        ),
        (
            {"action": "dropequal", "target_label": "a", "regex": "x"},
            ("regex",),
            "takes no regex",
        ),
        ({"action": "labeldrop", "source_labels": ["a"]}, ("source_labels",), "takes no"),
        ({"action": "labelkeep", "target_label": "a"}, ("target_label",), "takes no"),
        ({"source_labels": ["a-b"], "target_label": "a"}, ("source_labels", 0), "valid label"),
    ],
)
def test_a_fault_is_told_with_its_place(
    keys: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    [finding] = check_relabel([rule(action="keep"), rule(**keys)])
    assert finding.path == (1, *path)
    assert message in finding.message


@pytest.mark.parametrize(
    "target", ["label", "label${1}", "${1}label", "$1", "asd$2asd", "_${1}_", "foo${bar}foo"]
)
def test_a_target_label_may_hold_references(target: str) -> None:
    assert list(check_relabel([rule(target_label=target)])) == []


def test_an_unknown_action_does_not_compile() -> None:
    with pytest.raises(InvalidInput):
        compile_rules([rule(action="explode")])


names = st.sampled_from(["a", "b", "__tmp", "job", "x1"])
label_sets = st.dictionaries(names, st.text(max_size=8))
regexes = st.sampled_from(["(.*)", "(.)(.*)", "a|b", "", "x(?P<n>.*)?", ".+", "[^a]*(a?)"])
rules = st.builds(
    RelabelConfig,
    source_labels=st.lists(names, max_size=3).map(tuple),
    separator=st.text(max_size=2),
    regex=regexes,
    modulus=st.integers(1, 5),
    target_label=st.sampled_from(["a", "t", "${1}", "t_$2", "$n"]),
    replacement=st.one_of(st.text(max_size=6), st.sampled_from(["$1", "${2}x", "$n", "$$"])),
    action=st.sampled_from([action.value for action in Action]),
)


@given(label_sets, st.lists(rules, max_size=4))
def test_relabelling_never_fails_and_gives_a_label_set(
    labels: Labelled, configs: list[RelabelConfig]
) -> None:
    before = dict(labels)
    after = relabel(labels, compile_rules(configs))
    assert labels == before
    if after is not None:
        assert all(name and value for name, value in after.items())
        assert dict(Labels.of(after)) == after


@given(label_sets)
def test_no_rules_change_nothing(labels: Labelled) -> None:
    assert relabel(labels, ()) == dict(Labels.of(labels))


@given(st.text())
def test_a_template_without_groups_keeps_its_text(text: str) -> None:
    assert expand(text.replace("$", "$$"), {}) == text
