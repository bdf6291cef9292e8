"""Rule files as canonical text: what means the same is the same."""

from __future__ import annotations

import pytest

from tocsin.config_loader.report import Report
from tocsin.config_loader.rule_text import (
    Action,
    canonical,
    differences,
    effective,
    group_yaml,
    without_unsaid,
)
from tocsin.config_loader.rules import read_rule_text
from tocsin.rule_engine.config import RuleFile

ONE = """\
groups:
  - name: g
    interval: 30s
    labels: {b: "1", a: "2"}
    rules:
      - alert: Down
        for: 5m
        annotations: {z: "1", a: "2"}
        labels: {severity: page}
        expr: up  ==   0
      - record: "a:b"
        expr: |
          sum by (job) (rate(x[5m]))
            / 2
"""
SAME = """\
groups:
- rules:
  - expr: up == 0
    alert: "Down"
    labels:
      severity: 'page'
    annotations:
      a: 2
      z: 1
    for: 300s
  - record: a:b
    expr: (sum(rate(x[300s])) by (job)) / 2.0
  name: g
  labels:
    a: 2
    b: "1"
  interval: 30000ms
"""


def read(text: str) -> RuleFile:
    report = Report()
    file = read_rule_text(text, file="r.yml", report=report)
    assert report.problems == []
    assert file is not None
    return file


def test_the_text_of_a_file_is_in_the_order_people_read_it() -> None:
    assert (
        canonical(read(ONE))
        == """\
groups:
  - name: g
    interval: 30s
    labels:
      a: '2'
      b: '1'
    rules:
      - alert: Down
        expr: up  ==   0
        for: 5m
        labels:
          severity: page
        annotations:
          a: '2'
          z: '1'
      - record: a:b
        expr: |-
          sum by (job) (rate(x[5m]))
            / 2
"""
    )


def test_the_text_reads_back_as_the_file() -> None:
    assert canonical(read(canonical(read(ONE)))) == canonical(read(ONE))
    group = read(ONE).groups[0]
    assert (
        read("groups:\n- " + group_yaml(group).replace("\n", "\n  ")).groups[0]
        == (read(canonical(read(ONE))).groups[0])
    )


def test_files_that_mean_the_same_do_not_differ() -> None:
    same = SAME.replace("(sum(rate(x[300s])) by (job))", "sum(rate(x[300s])) by (job)")
    assert list(differences({"a": read(ONE)}, {"a": read(same)})) == []


def test_parentheses_are_a_difference_of_words() -> None:
    (found,) = differences({"a": read(ONE)}, {"a": read(SAME)})
    changed = [line for line in found.diff.splitlines() if line[:1] in "+-"]
    assert changed[2:] == [
        "-        expr: (sum(rate(x[300s])) by (job)) / 2.0",
        "+        expr: |-",
        "+          sum by (job) (rate(x[5m]))",
        "+            / 2",
    ]


def test_namespaces_are_added_changed_and_removed() -> None:
    ours = {"new": read(ONE), "same": read(ONE), "other": read(ONE)}
    theirs = {"same": read(ONE), "other": read(ONE.replace("5m", "6m", 1)), "old": read(ONE)}
    found = {one.namespace: one for one in differences(ours, theirs)}
    assert {name: one.action for name, one in found.items()} == {
        "new": Action.ADD,
        "old": Action.REMOVE,
        "other": Action.CHANGE,
    }
    assert found["other"].diff.startswith("--- server/other\n+++ other\n@@ ")
    assert "-        for: 6m\n+        for: 5m\n" in found["other"].diff
    assert all(line[:1] in "+@" for line in found["new"].diff.splitlines()[2:])


def test_a_namespace_without_groups_is_still_one() -> None:
    (found,) = differences({"empty": read("groups: []")}, {})
    assert found.action is Action.ADD


def test_the_order_of_rules_is_a_difference() -> None:
    two = "groups: [{name: g, rules: [{record: a, expr: x}, {record: b, expr: y}]}]"
    other = "groups: [{name: g, rules: [{record: b, expr: y}, {record: a, expr: x}]}]"
    assert len(list(differences({"a": read(two)}, {"a": read(other)}))) == 1


def test_what_a_server_tells_of_a_file_has_the_labels_of_groups_in_its_rules() -> None:
    file = read(ONE.replace("severity: page", "severity: page, a: own"))
    (group,) = effective(file).groups
    assert group.labels == {}
    assert [rule.labels for rule in group.rules] == [
        {"a": "own", "b": "1", "severity": "page"},
        {"a": "2", "b": "1"},
    ]


@pytest.mark.parametrize(("ours", "left"), [("", None), ("interval: 1m,", "1m")])
def test_an_interval_ours_does_not_say_does_not_count(ours: str, left: str | None) -> None:
    theirs = read("groups: [{name: g, interval: 1m}, {name: h, interval: 2m}]")
    mine = read(f"groups: [{{name: g, {ours} limit: 0}}]")
    found = {group.name: group.interval for group in without_unsaid(theirs, mine).groups}
    assert (found["g"] and str(found["g"]), str(found["h"])) == (left, "2m")
