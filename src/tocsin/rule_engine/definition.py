"""Rules ready to run: defaults filled in, group labels laid under, one identity each.

Identity decides what a reload keeps. As in Prometheus, a rule is the same rule when its group
(file and name), its kind, name and labels are the same; duplicates are told apart by order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tocsin.model.labels import Labels, Pairs
from tocsin.rule_engine.config import Rule, RuleFile, RuleGroup, RuleSettings


class RuleKind(StrEnum):
    """What a rule gives (the `type` of the Prometheus API)."""

    ALERTING = "alerting"
    RECORDING = "recording"


@dataclass(frozen=True, slots=True)
class RuleDef:
    """One rule. `labels` and `annotations` of an alerting rule are templates.

    `labels` are laid over those of each element; an empty one removes the label.
    `key` names the rule within its tenant and is stable over reloads and restarts.
    """

    key: str
    kind: RuleKind
    name: str
    expr: str
    labels: Pairs
    annotations: Labels
    hold: timedelta
    keep_firing_for: timedelta


@dataclass(frozen=True, slots=True)
class GroupDef:
    """One rule group of one file; `limit` 0 or less means none."""

    file: str
    name: str
    interval: timedelta
    limit: int
    query_offset: timedelta
    rules: tuple[RuleDef, ...]

    @property
    def key(self) -> str:
        """Return what names the group within its tenant, as Prometheus writes it."""
        return f"{self.file};{self.name}"


def groups_of(files: Mapping[str, RuleFile], settings: RuleSettings) -> tuple[GroupDef, ...]:
    """Return every group of `files` (by file name), sorted by file and in file order."""
    return tuple(
        _group(file, group, settings) for file in sorted(files) for group in files[file].groups
    )


def _group(file: str, group: RuleGroup, settings: RuleSettings) -> GroupDef:
    offset = settings.rule_query_offset if group.query_offset is None else group.query_offset
    return GroupDef(
        file=file,
        name=group.name,
        interval=group.interval or settings.evaluation_interval,
        limit=group.limit,
        query_offset=offset,
        rules=_rules(f"{file};{group.name}", group),
    )


def _rules(group_key: str, group: RuleGroup) -> tuple[RuleDef, ...]:
    seen: Counter[str] = Counter()
    rules = []
    for rule in group.rules:
        labels = tuple(sorted({**group.labels, **rule.labels}.items()))
        kind = RuleKind.ALERTING if rule.alert else RuleKind.RECORDING
        same = f"{group_key};{kind};{rule.name}{Labels(labels)}"
        rules.append(_rule(rule, key=f"{same};{seen[same]}", kind=kind, labels=labels))
        seen[same] += 1
    return tuple(rules)


def _rule(rule: Rule, *, key: str, kind: RuleKind, labels: Pairs) -> RuleDef:
    return RuleDef(
        key=key,
        kind=kind,
        name=rule.name,
        expr=rule.expr.strip(),
        labels=labels,
        annotations=Labels.of(rule.annotations),
        hold=rule.hold,
        keep_firing_for=rule.keep_firing_for,
    )
