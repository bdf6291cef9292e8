"""What is wrong with a rule file: every fault promtool refuses, with its place.

`lint_rules` finds what promtool only warns of. Source: prometheus `model/rulefmt` and
`cmd/promtool`, checked against promtool 2.42.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import EMPTY, METRIC_NAME, Labels
from tocsin.model.settings import Finding
from tocsin.promql.parser import DEFAULT, Grammar, parse
from tocsin.rule_engine.config import Rule, RuleFile, RuleGroup, RuleSettings
from tocsin.rule_engine.rendering import Expander

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_SHORTEST = timedelta(milliseconds=1)
_LARGEST = 2**63 - 1


def check_rules(file: RuleFile, grammar: Grammar = DEFAULT) -> list[Finding]:
    """Return every fault of `file` for which promtool refuses it, in file order.

    `grammar` says which PromQL the rules may use.
    """
    findings = []
    first: dict[str, int] = {}
    for index, group in enumerate(file.groups):
        at = ("groups", index)
        if group.name in first:
            message = f'groupname: "{group.name}" is repeated in the same file'
            findings.append(Finding((*at, "name"), message))
        first.setdefault(group.name, index)
        findings += [finding.under(*at) for finding in _check_group(group, grammar)]
    return findings


def lint_rules(file: RuleFile) -> list[Finding]:
    """Return what is legal but surely not meant: a rule that stands there twice."""
    places = [
        (("groups", g, "rules", r), _identity(group, rule))
        for g, group in enumerate(file.groups)
        for r, rule in enumerate(group.rules)
    ]
    counts = Counter(identity for _, identity in places)
    return [
        Finding(place, f"duplicate rule {name!r} with labels {labels}: the series will collide")
        for place, (name, labels) in places
        if counts[name, labels] > 1
    ]


def check_settings(settings: RuleSettings) -> list[Finding]:
    """Return the faults of a tenant's rule settings."""
    findings = [
        Finding((field,), f"{field} must be at least 1ms")
        for field, value in (
            ("evaluation_interval", settings.evaluation_interval),
            ("resend_delay", settings.resend_delay),
        )
        if value < _SHORTEST
    ]
    return findings + list(_bad_labels(settings.external_labels, "external_labels"))


def _identity(group: RuleGroup, rule: Rule) -> tuple[str, Labels]:
    return rule.name, Labels.of({**group.labels, **rule.labels})


def _check_group(group: RuleGroup, grammar: Grammar) -> Iterator[Finding]:
    if not group.name:
        yield Finding(("name",), "Groupname must not be empty")
    if abs(group.limit) > _LARGEST:
        yield Finding(("limit",), "limit does not fit into 64 bits")
    yield from _bad_labels(group.labels, "labels")
    for index, rule in enumerate(group.rules):
        for finding in _check_rule(rule, grammar):
            yield finding.under("rules", index)


def _check_rule(rule: Rule, grammar: Grammar) -> Iterator[Finding]:
    if rule.record and rule.alert:
        yield Finding((), "only one of 'record' and 'alert' must be set")
    elif not rule.name:
        yield Finding((), "one of 'record' or 'alert' must be set")
    yield from _check_expr(rule.expr.strip(), grammar)
    yield from _bad_labels(rule.labels, "labels")
    if rule.record:
        yield from _check_recording(rule)
    if rule.alert:
        yield from _check_alerting(rule)


def _check_expr(expr: str, grammar: Grammar) -> Iterator[Finding]:
    if not expr:
        yield Finding(("expr",), "field 'expr' must be set in rule")
        return
    try:
        parse(expr, grammar)
    except InvalidInput as error:
        yield Finding(("expr",), f"could not parse expression: {error}")


def _check_recording(rule: Rule) -> Iterator[Finding]:
    for key, given in (
        ("annotations", rule.annotations),
        ("for", rule.hold),
        ("keep_firing_for", rule.keep_firing_for),
    ):
        if given:
            yield Finding((key,), f"invalid field '{key}' in recording rule")
    if not _METRIC_NAME.fullmatch(rule.record):
        yield Finding(("record",), f"invalid recording rule name: {rule.record}")


def _check_alerting(rule: Rule) -> Iterator[Finding]:
    for name in rule.annotations:
        if not _LABEL_NAME.fullmatch(name):
            yield Finding(("annotations", name), f"invalid annotation name: {name}")
    expander = Expander(rule.alert, EMPTY, "", query=lambda _expr: ())
    for section, texts in (("labels", rule.labels), ("annotations", rule.annotations)):
        for name, text in texts.items():
            try:
                expander.check(text)
            except InvalidInput as error:
                yield Finding((section, name), f"template of {section[:-1]} {name!r}: {error}")


def _bad_labels(labels: Mapping[str, str], section: str) -> Iterator[Finding]:
    for name in labels:
        if not _LABEL_NAME.fullmatch(name) or name == METRIC_NAME:
            yield Finding((section, name), f"invalid label name: {name}")
