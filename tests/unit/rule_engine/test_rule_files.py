"""A rule file is what promtool takes, and only that."""

from typing import Any

import msgspec
import pytest

from tocsin.model.settings import Duration, from_scalar
from tocsin.rule_engine.check import check_rules, check_settings, lint_rules
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.rule_engine.definition import RuleKind, groups_of

ALERT = {"alert": "Down", "expr": "up == 0"}


def rule_file(*groups: Any) -> RuleFile:
    return msgspec.convert({"groups": list(groups)}, RuleFile, dec_hook=from_scalar)


def group(*rules: Any, **keys: Any) -> dict[str, Any]:
    return {"name": "g", "rules": list(rules), **keys}


def test_a_complete_rule_file_has_no_faults() -> None:
    whole = rule_file(
        group(
            {
                **ALERT,
                "for": "5m",
                "keep_firing_for": "1h",
                "labels": {"severity": "page", "who": "{{ $labels.team }}"},
                "annotations": {"summary": "{{ $value | humanize }}"},
                "tocsin": {"slo": {"objective": 99.9}},
            },
            {"record": "job:up:sum", "expr": "sum by (job) (up)", "labels": {"a": "b"}},
            interval="30s",
            limit=10,
            query_offset="10s",
            labels={"team": "db"},
        )
    )
    assert check_rules(whole) == []
    assert lint_rules(whole) == []


@pytest.mark.parametrize("key", ["exprr", "fore"])
def test_an_unknown_key_is_refused(key: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=key):
        rule_file(group({**ALERT, key: "1"}))


@pytest.mark.parametrize(
    ("rule", "path", "message"),
    [
        ({"expr": "up"}, (), "one of 'record' or 'alert' must be set"),
        ({"alert": "A", "record": "a", "expr": "up"}, (), "only one of 'record' and 'alert'"),
        ({"alert": "A"}, ("expr",), "field 'expr' must be set in rule"),
        ({"alert": "A", "expr": "sum("}, ("expr",), "could not parse expression: 1:"),
        ({**ALERT, "labels": {"a-b": "x"}}, ("labels", "a-b"), "invalid label name: a-b"),
        ({**ALERT, "labels": {"__name__": "x"}}, ("labels", "__name__"), "invalid label name"),
        ({**ALERT, "labels": {"a": "{{ nope }}"}}, ("labels", "a"), "template of label 'a'"),
        ({**ALERT, "annotations": {"a b": "x"}}, ("annotations", "a b"), "invalid annotation name"),
        (
            {**ALERT, "annotations": {"a": "{{ if }}"}},
            ("annotations", "a"),
            "template of annotation 'a'",
        ),
        ({"record": "a{b=1}", "expr": "up"}, ("record",), "invalid recording rule name: a{b=1}"),
        ({"record": "a", "expr": "up", "for": "1m"}, ("for",), "invalid field 'for'"),
        (
            {"record": "a", "expr": "up", "keep_firing_for": "1m"},
            ("keep_firing_for",),
            "invalid field 'keep_firing_for' in recording rule",
        ),
        (
            {"record": "a", "expr": "up", "annotations": {"a": "b"}},
            ("annotations",),
            "invalid field 'annotations' in recording rule",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(
    rule: dict[str, Any], path: tuple[str, ...], message: str
) -> None:
    [finding] = check_rules(rule_file(group(rule)))
    assert finding.path == ("groups", 0, "rules", 0, *path)
    assert message in finding.message


def test_every_fault_is_told_at_once() -> None:
    assert len(check_rules(rule_file(group({"expr": "("}, {"alert": "A"})))) == 3


@pytest.mark.parametrize(
    ("groups", "path", "message"),
    [
        ([group(), group()], ("groups", 1, "name"), 'groupname: "g" is repeated'),
        ([group(name="")], ("groups", 0, "name"), "Groupname must not be empty"),
        ([group(labels={"1": "x"})], ("groups", 0, "labels", "1"), "invalid label name: 1"),
    ],
)
def test_a_fault_of_a_group_is_told_with_its_place(
    groups: list[dict[str, Any]], path: tuple[str, ...], message: str
) -> None:
    [finding] = check_rules(rule_file(*groups))
    assert finding.path == path
    assert message in finding.message


def test_a_template_is_only_parsed_so_a_query_may_find_nothing() -> None:
    text = '{{ query "up" | first | value }}'
    assert check_rules(rule_file(group({**ALERT, "annotations": {"a": text}}))) == []


def test_a_rule_that_stands_there_twice_is_legal_but_told() -> None:
    twice = rule_file(group(ALERT, {**ALERT, "expr": "up == 1"}, {**ALERT, "labels": {"a": "b"}}))
    assert check_rules(twice) == []
    assert [f.path for f in lint_rules(twice)] == [
        ("groups", 0, "rules", 0),
        ("groups", 0, "rules", 1),
    ]


def test_settings_are_checked() -> None:
    settings = RuleSettings(evaluation_interval=Duration(0), external_labels={"a-b": "x"})
    assert [f.path for f in check_settings(settings)] == [
        ("evaluation_interval",),
        ("external_labels", "a-b"),
    ]
    assert check_settings(RuleSettings()) == []


def test_defaults_come_from_the_group_then_from_the_settings() -> None:
    settings = RuleSettings(rule_query_offset=Duration(seconds=7))
    own, bare = groups_of(
        {
            "b.yml": rule_file(group(ALERT, name="bare")),
            "a.yml": rule_file(group(interval="15s", query_offset="1s", limit=3)),
        },
        settings,
    )
    assert (own.file, own.interval.total_seconds(), own.query_offset.total_seconds()) == (
        "a.yml",
        15,
        1,
    )
    assert (bare.interval.total_seconds(), bare.query_offset.total_seconds()) == (60, 7)
    assert own.limit == 3


def test_a_rule_has_the_labels_of_its_group_under_its_own() -> None:
    [made] = groups_of(
        {"f": rule_file(group({**ALERT, "labels": {"a": "own"}}, labels={"a": "x", "b": "y"}))},
        RuleSettings(),
    )
    assert dict(made.rules[0].labels) == {"a": "own", "b": "y"}


def test_the_identity_of_a_rule_is_its_place_kind_name_and_labels_not_its_expression() -> None:
    [before] = groups_of({"f": rule_file(group(ALERT, ALERT))}, RuleSettings())
    changed = {**ALERT, "expr": "up == 2", "for": "1m", "annotations": {"a": "b"}}
    [after] = groups_of(
        {"f": rule_file(group(changed, {**ALERT, "labels": {"x": "y"}}))}, RuleSettings()
    )
    assert after.rules[0].key == before.rules[0].key
    assert len({rule.key for rule in (*before.rules, *after.rules)}) == 3


def test_the_expression_is_cut_and_the_kind_follows_the_key() -> None:
    rules = group({"record": "a", "expr": "\n  up\n"}, ALERT)
    [made] = groups_of({"f": rule_file(rules)}, RuleSettings())
    assert [rule.kind for rule in made.rules] == [RuleKind.RECORDING, RuleKind.ALERTING]
    assert made.rules[0].expr == "up"
    assert made.key == "f;g"
