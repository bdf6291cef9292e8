"""What a tenant's `rule_packs` make of the packs that are shipped."""

from __future__ import annotations

import re

import pytest

from tocsin.config_loader.convert import convert
from tocsin.config_loader.packs import (
    PacksInForce,
    alert_rows,
    pack_names,
    pack_tests,
    parameter_rows,
    parse_pack,
    read_pack,
    read_packs,
    render,
)
from tocsin.config_loader.report import Report
from tocsin.config_loader.tree import parse
from tocsin.metrics_collector.catalogue import catalogue
from tocsin.model.duration import parse_duration
from tocsin.model.errors import ConfigError, InvalidInput
from tocsin.model.severity import Severity
from tocsin.promql.names import metric_names
from tocsin.promql.parser import parse as parse_promql
from tocsin.rule_engine.check import check_rules, lint_rules
from tocsin.rule_engine.pack import NUMBER, PackChoice, ParameterUnit, Runbook, amount, holes

NAMES = ("adapters", "ai_ml", "business", "security", "system", "tocsin")
ALERTS = [(name, alert) for name in NAMES for alert in read_pack(name).alerts]


def in_force(text: str) -> tuple[PacksInForce, list[str]]:
    root = parse(f"rule_packs: {text}", file="t.yaml").root
    assert root is not None
    choices: list[str | PackChoice] = (
        convert(root.at("rule_packs"), list[str | PackChoice]).value or []
    )
    report = Report()
    return read_packs(choices, root, report=report), [str(p) for p in report.problems]


def test_the_packs_are_these() -> None:
    assert pack_names() == list(NAMES)


def test_a_name_alone_takes_a_pack_as_it_is() -> None:
    found, problems = in_force("[system, ai_ml]")
    assert problems == []
    assert list(found.rules) == ["pack:system", "pack:ai_ml"]
    assert found.rules["pack:ai_ml"] == render(PackChoice(name="ai_ml")).file
    assert found.amounts["system"]["disk_free_ratio"].number == 0.05


def test_changes_reach_rules_and_amounts() -> None:
    found, problems = in_force(
        "[{name: ai_ml, set: {drift_psi: 0.3, model_age: 1w}, for: {ModelStale: 1d},"
        " without: [FeatureStoreStale], runbooks: 'https://wiki'}]"
    )
    assert problems == []
    rules = {rule.alert: rule for group in found.rules["pack:ai_ml"].groups for rule in group.rules}
    assert rules["ModelFeatureDrift"].expr.endswith("> 0.3")
    assert rules["ModelStale"].expr.endswith("> 604800")
    assert str(rules["ModelStale"].hold) == "1d"
    assert rules["ModelStale"].annotations["runbook_url"] == "https://wiki/ModelStale"
    assert "FeatureStoreStale" not in rules
    assert found.amounts["ai_ml"]["drift_psi"].number == 0.3


def test_tenants_that_choose_the_same_share_the_rules() -> None:
    one, other = (
        in_force("[{name: system, set: {restarts: 5}}]"),
        in_force("[{set: {restarts: 5}, name: system}]"),
    )
    assert one[0].rules["pack:system"] is other[0].rules["pack:system"]


def test_every_fault_is_told_at_its_place() -> None:
    _, problems = in_force("[sistem, {name: ai_ml, without: [ModelStal], set: {drift: 1}}, ai_ml]")
    assert problems == [
        't.yaml:1:14: there is no rule pack "sistem" (did you mean "system"?)',
        't.yaml:1:71: the pack "ai_ml" has no parameter "drift" (did you mean "drift_psi"?)',
        't.yaml:1:46: the pack "ai_ml" has no alert "ModelStal" (did you mean "ModelStale"?)',
        't.yaml:1:76: the pack "ai_ml" is there already: write all changes into one entry',
    ]


def test_a_render_that_cannot_be_says_everything() -> None:
    with pytest.raises(InvalidInput, match=r'no parameter "x"; .* no alert "Y"'):
        render(PackChoice(name="ai_ml", set={"x": "1"}, without=["Y"]))
    with pytest.raises(InvalidInput, match="there are: adapters, ai_ml"):
        render(PackChoice(name="zzz"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "pack:p:2:1: not valid YAML"),
        ("groups: []", 'required field "tocsin" is missing'),
        ("x", "a mapping"),
    ],
)
def test_a_pack_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_pack("p", text)


@pytest.mark.parametrize("name", NAMES)
def test_a_pack_is_a_rule_file_without_fault(name: str) -> None:
    file = render(PackChoice(name=name)).file
    assert check_rules(file) == []
    assert lint_rules(file) == []
    assert all(group.name.startswith("tocsin-") for group in file.groups)


def test_no_two_packs_share_a_group_or_an_alert() -> None:
    packs = [read_pack(name) for name in NAMES]
    groups = [group.name for pack in packs for group in pack.file.groups]
    alerts = [alert for pack in packs for alert in pack.alerts]
    assert len(set(groups)) == len(groups)
    assert len(set(alerts)) == len(alerts)


@pytest.mark.parametrize("name", NAMES)
def test_no_rule_names_a_tenant(name: str) -> None:
    for rule in read_pack(name).rules:
        assert not re.search(r'tenant\s*(=~|=|!=|!~)\s*"', rule.expr), rule.name


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_is_in_the_catalogue_or_recorded_by_a_pack(name: str) -> None:
    recorded = {rule.record for each in NAMES for rule in read_pack(each).rules if rule.record}
    for rule in render(PackChoice(name=name)).file.groups:
        for each in rule.rules:
            names = metric_names(parse_promql(each.expr))
            assert catalogue().missing(set(names) - recorded) == [], each.name


@pytest.mark.parametrize(("name", "alert"), ALERTS, ids=[alert for _, alert in ALERTS])
def test_an_alert_says_what_to_do(name: str, alert: str) -> None:
    pack = read_pack(name)
    book = pack.runbook(alert, pack.defaults())
    assert isinstance(book, Runbook)
    assert book.steps
    rules = [rule for rule in pack.rules if rule.alert == alert]
    for rule in rules:
        assert rule.labels["severity"] in set(Severity)
        assert set(rule.annotations) == {"summary", "description"}
    for text in (book.meaning, *book.steps):
        assert text[-1] in ".?)`", text
        assert "{{" not in text


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_used_bounded_and_explained(name: str) -> None:
    pack = read_pack(name)
    used = {hole for rule in pack.rules for hole in holes(rule.expr)}
    assert used == set(pack.head.parameters)
    for parameter in pack.head.parameters.values():
        amount(parameter, parameter.value)
        assert parameter.help.endswith((".", "?"))
        if parameter.unit is ParameterUnit.RATIO:
            assert parameter.at_most


@pytest.mark.parametrize("name", NAMES)
def test_a_duration_that_promql_calculates_with_is_written_as_a_number(name: str) -> None:
    pack = read_pack(name)
    for parameter, each in pack.head.parameters.items():
        if each.unit is not ParameterUnit.DURATION:
            continue
        texts = [rule.expr for rule in pack.rules if parameter in holes(rule.expr)]
        for text in texts:
            bare = "${" + parameter + "}"
            assert text.count(f"[{bare}]") == text.count(bare), text
            assert bare in text or "${" + parameter + NUMBER + "}" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_pack_comes_with_unit_tests(name: str) -> None:
    assert all(f"rule_files: [{name}.yml]" in text for text in pack_tests(name).values())
    assert pack_tests(name)


def test_rows_say_what_a_parameter_moves_and_what_an_alert_needs() -> None:
    pack = read_pack("ai_ml")
    drift = next(row for row in parameter_rows(pack) if row["name"] == "drift_psi")
    assert (drift["value"], drift["unit"], drift["alerts"]) == (
        "0.2",
        "psi",
        ["ModelFeatureDrift"],
    )
    stale = next(row for row in alert_rows(pack) if row["name"] == "ModelStale")
    assert (stale["severity"], stale["for"], stale["parameters"]) == ("info", "1h", ["model_age"])


@pytest.mark.parametrize("name", NAMES)
def test_no_rule_looks_back_further_than_its_pack_says(name: str) -> None:
    pack = read_pack(name)
    for rule in pack.rules:
        spans = re.findall(r"\[(\d+[a-z]+)[:\]]|offset (\d+[a-z]+)", rule.expr)
        for found in spans:
            span = parse_duration(next(filter(None, found)))
            assert span <= pack.head.looks_back, rule.name
